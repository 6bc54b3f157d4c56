"""I32 from outside: what was offered to a node's actors was received, waits, or was refused.

Stands between the turn and the actors and counts what passes.
"""

from collections.abc import Callable
from typing import Any

from stenella.actors.base import Actor, Boot, Context
from stenella.actors.master.dispatcher import Dispatcher
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.turn import Turn
from stenella.protocol.states import TASK_TO_FAIL_OVER, TaskState

from .poison import Poison
from .story import Violation

#: Far above what follows from the few messages that a turn of these worlds takes.
TURN_MESSAGES_MAX = 5_000


LookAt = Callable[[object], None]


class Counted:
    """An actor, and how much it received."""

    def __init__(self, actor: Actor, poison: Poison) -> None:
        self.actor = actor
        self.poison = poison
        self.received = 0
        self.waiting: dict[int, Any] = {}  # offered and not yet received, by identity
        self.refused = 0
        self.this_turn = 0
        self.receiving = False

    def receive(self, message: Any, ctx: Context) -> None:
        """Pass it on."""
        self.received += 1
        self.this_turn += 1
        if self.this_turn > TURN_MESSAGES_MAX:
            raise Violation("a turn ends", f"{message} is one of {self.this_turn} in one turn")
        self.waiting.pop(-1 if isinstance(message, Boot) else id(message), None)
        self.poison.strike(self.actor, message)
        self.receiving = True
        self.actor.receive(message, ctx)
        self.receiving = False

    def held(self) -> int:
        """As the actor says."""
        return self.actor.held()


def _striking(look_at: LookAt, counted: dict[str, Counted]) -> LookAt:
    """Poison may be a part of a message, too."""

    def looked_at(part: object) -> None:
        look_at(part)
        for each in counted.values():
            if each.receiving:
                each.poison.strike(each.actor, part)

    return looked_at


class Mailboxes:
    """The counted actors of one life of a node."""

    def __init__(self, actors: dict[str, Actor], poison: Poison) -> None:
        self.counted = {name: Counted(actor, poison) for name, actor in actors.items()}
        self.boots = len(actors)

    @property
    def actors(self) -> dict[str, Actor]:
        """To be given to the turn."""
        return dict(self.counted)

    @property
    def handled(self) -> int:
        """Messages received by all actors."""
        return sum(counted.received for counted in self.counted.values())

    def watch(self, turn: Turn) -> None:
        """The turn that these actors are in; it has offered each a `Boot` itself."""
        self.turn = turn
        turn.next_turn = self._going_on(turn.next_turn)  # type: ignore[method-assign, assignment]
        turn.look_at = _striking(turn.look_at, self.counted)  # type: ignore[method-assign, assignment]
        for counted in self.counted.values():
            counted.waiting[-1] = Boot()

    def _going_on(self, next_turn: Callable[[object], None]) -> Callable[[object], None]:
        """What an actor sends itself, the rest of long work, waits like what was offered."""

        def sent(message: object) -> None:
            next_turn(message)
            (sender,) = (each for each in self.counted.values() if each.receiving)
            sender.waiting[id(message)] = message

        return sent

    def offered(self, actor: str, message: Any, why_not: str) -> None:
        """Something was offered and taken, or not."""
        counted = self.counted[actor]
        if why_not:
            counted.refused += 1
        else:
            counted.waiting[id(message)] = message

    def check(self) -> None:
        """After a turn. Raises `Violation`."""
        for name, counted in self.counted.items():
            counted.this_turn = 0
            box = self.turn.mailboxes[name]
            if box.handled != counted.received or box.depth != len(counted.waiting):
                raise Violation("I32 mailbox conservation", f"{name} has lost messages")
            if sum(box.rejected.values()) != counted.refused:
                raise Violation("I32 mailbox conservation", f"{name} refused without a reason")
        self._check_dispatcher()

    def _check_dispatcher(self) -> None:
        by_name = {name: counted.actor for name, counted in self.counted.items()}
        dispatcher, persister = by_name.get("dispatcher"), by_name.get("event_persister")
        if isinstance(dispatcher, Dispatcher) and isinstance(persister, EventPersister):
            _check_unanswered(dispatcher)
            _check_waiting(dispatcher, persister)
            _check_places(persister)


def _check_unanswered(dispatcher: Dispatcher) -> None:
    """What is asked of a worker is looked for among what it holds. Raises `Violation`."""
    for unanswered in (dispatcher.requests, dispatcher.kills):
        for dispatch_id, entry in unanswered.items():
            slots = dispatcher.workers[entry.worker]
            if dispatch_id not in slots.live and dispatch_id not in slots.instant:
                text = f"{entry.command} to {entry.worker}, which does not hold it"
                number = entry.command.task_instance_id
                raise Violation("what is unanswered holds a place", text, number)


def _check_waiting(dispatcher: Dispatcher, persister: EventPersister) -> None:
    """What waits for a slot or its next try has not ended meanwhile. Raises `Violation`."""
    queued = [number for queue in dispatcher.queues.values() for number in queue.ids]
    for number in (*queued, *dispatcher.delayed):
        row = persister.tasks.get(number)
        if row is None or row.state != TaskState.SUBMITTED_SUCCESS:
            raise Violation("what waits for a slot is to run", f"{number}: {row}", number)


def _check_places(persister: EventPersister) -> None:
    """What is looked up when a worker registers or dies are the rows. Raises `Violation`."""
    rows: dict[str, dict[int, object]] = {}
    for row in persister.tasks.values():
        if row.state in TASK_TO_FAIL_OVER:
            rows.setdefault(row.worker or "", {})[row.id] = row
    if (found := {worker: had for worker, had in persister.on_worker.items() if had}) != rows:
        raise Violation("what a worker has is what the rows say", f"{found}, but {rows}")
