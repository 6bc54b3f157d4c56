"""Poison: which message or which instance's rows crashed a node, and what is done about it.

A node that crashes in `receive`, or by data that its database refuses, writes down its suspects
before it ends (`run/suspects`). While there are any, the next life takes one message from outside
at a time, until all that followed from it is done; so a second crash names one message, or one
instance. Then the message is a dead letter, acknowledged ``quarantined`` and never taken again, and
the instance is parked: shown as NEEDS_ATTENTION and left alone until a person acts. A worker that
nobody's message has crashed suspects its own journal, and begins anew without it the second time.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..protocol.codec import digest
from ..protocol.commands import (
    Command,
    FromClient,
    FromWorker,
    Heartbeat,
    OfAttempt,
    Refused,
    Request,
    TaskExecuteRequest,
    TaskExecuteRequestAck,
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunning,
    TaskExecuteRunningAck,
    WorkerRegister,
)
from ..protocol.rows import DeadLetter
from .base import Boot, Loaded, Timer

#: So often a message or an instance may crash the node.
CRASHES_MAX = 2
#: Of a life after a crash that is spent with care: everybody repeats within it (a client's longest
#: pause is 5 s, a worker's first after a Welcome is none).
CARE_MS = 30_000
#: After so long nobody is suspected any more: six times the longest pause of a retry reporter, so
#: that what is repeated seldom is found, too.
FORGIVE_MS = 600_000
#: Messages remembered while what follows from them is not on disk: ten turns of the default size.
TAKEN_MAX = 10_000
#: Reads of recovery, whose rows are themselves under suspicion.
RECOVERY = ("live_instances", "tasks_of")

#: The key of a worker's journal, whose rows are under suspicion where no message can be.
JOURNAL = "journal"
#: Who takes a message that comes a second time without its sender.
TAKES_AGAIN = ("event_persister", "gateway")

_command: msgspec.json.Decoder[FromWorker | FromClient] = msgspec.json.Decoder(
    FromWorker | FromClient
)

Taken = tuple[str, Any, str]  # actor, message, sender


class Suspect(msgspec.Struct, frozen=True):
    """One line of ``run/suspects``: what may have caused one crash."""

    key: str
    workflow_instance_id: int
    actor: str = ""  # of a message: who it is for
    sender: str = ""
    kind: str = ""  # the command's name; empty: it is an instance
    body: str = ""  # the command as JSON; empty where it was too long
    sole: bool = True  # nobody else was suspected of that crash


class Redelivered(msgspec.Struct, frozen=True):
    """A dead letter that a person wants taken again; it goes in the turn that takes it."""

    letter: int
    sender: str
    command: Command


def convicted(suspects: list[Suspect]) -> list[Suspect]:
    """Those that crashed the node as often as is borne, each once.

    A message among many is suspected only; it must have been alone at least once.
    """
    crashes = Counter(suspect.key for suspect in suspects)
    by_key = {suspect.key: suspect for suspect in suspects if suspect.sole or not suspect.kind}
    return [found for key, found in by_key.items() if crashes[key] >= CRASHES_MAX]


def letter(suspect: Suspect, wall_ms: int) -> DeadLetter:
    """What is kept of it for people, and heeded from now on."""
    what = f"{suspect.kind} of {suspect.sender}" if suspect.kind else "its rows"
    return DeadLetter(
        at=wall_ms,
        actor=suspect.actor,
        sender=suspect.sender,
        reason=f"quarantined: {what} crashed the master {CRASHES_MAX} times",
        body=suspect.body or "{}",
        key=suspect.key,
        workflow_instance_id=suspect.workflow_instance_id,
    )


def command_of(body: str) -> FromWorker | FromClient | None:
    """The message in a dead letter; None where it is none, or is only described."""
    try:
        return _command.decode(body)
    except msgspec.MsgspecError:
        return None


def redeliveries(letters: list[tuple[int, str, str, str]]) -> list[tuple[str, Redelivered]]:
    """Letters (id, actor, sender, body) that a person has let go on, for whom they are."""
    return [
        (actor, Redelivered(number, sender, command))
        for number, actor, sender, body in letters
        if actor in TAKES_AGAIN and (command := command_of(body)) is not None
    ]


def instance_key(workflow_instance_id: int) -> str:
    """The key of an instance whose rows are suspected."""
    return f"instance {workflow_instance_id}"


def key_of(sender: str, command: Any) -> str:
    """Equal for all copies of a message."""
    kind = type(command).__name__
    match command:
        case TaskExecuteRequest():
            return f"{kind} {command.task_instance_id}.{command.attempt}"
        case OfAttempt():
            return f"{kind} {sender} {command.dispatch_id}.{getattr(command, 'seq', 0)}"
        case Request():
            return f"{kind} {command.request_id}"
        case Heartbeat() | WorkerRegister():
            return f"{kind} {sender} {command.boot}"
        case _:
            return f"{kind} {sender} {digest(msgspec.msgpack.encode(command))}"


def quarantine_answer(command: Command) -> Command | None:
    """What the sender of a quarantined message is told, so that it does not repeat it for ever."""
    match command:
        case TaskExecuteRunning():
            ack: Any = TaskExecuteRunningAck
        case TaskExecuteResponse():
            ack = TaskExecuteResponseAck
        case TaskExecuteRequest():
            return TaskExecuteRequestAck(**_ids(command), accepted=False, reason="quarantined")
        case Request():
            text = (
                "this request has crashed the master twice and is not taken again; "
                "see `stenella debug dead-letters`, and please report it"
            )
            return Refused(
                request_id=command.request_id, exit_code=6, code="quarantined", message=text
            )
        case _:
            return None
    return ack(**_ids(command), seq=command.seq, outcome="quarantined")  # type: ignore[no-any-return]


def _ids(command: OfAttempt) -> dict[str, Any]:
    return {name: getattr(command, name) for name in OfAttempt.__struct_fields__}


class Suspicion:
    """Who would be to blame if the node crashed now.

    ``former``: keys of earlier lives' suspects; ``quarantined``: keys of messages that are not
    taken; ``parked``: instances that are left alone; ``instance_of``: a task's instance;
    ``journal``: it can begin anew without what it remembers, so that may be suspected.
    """

    def __init__(
        self,
        former: Iterable[str] = (),
        quarantined: Iterable[str] = (),
        parked: Iterable[int] = (),
        instance_of: Callable[[int], int | None] = lambda task_instance_id: None,
        journal: bool = False,
    ) -> None:
        self.former = Counter(former)
        self.quarantined = set(quarantined)
        self.parked = set(parked)
        self.instance_of = instance_of
        self.journal = journal
        self.taken: deque[Taken] = deque(maxlen=TAKEN_MAX)
        #: The first instance that is not on disk yet: whoever submits it is suspected instead.
        self.first_new_instance = 0
        self.careful_until_ms: int | None = None  # None: not recovered yet

    def is_careful(self, now_ms: int) -> bool:
        """Whether one message is taken at a time."""
        if not self.former:
            return False
        return self.careful_until_ms is None or now_ms < self.careful_until_ms

    def begin_care(self, now_ms: int) -> None:
        """The node is rebuilt: everybody repeats from now on."""
        self.careful_until_ms = now_ms + CARE_MS

    def refuses(self, sender: str, command: Any) -> bool:
        """Whether the message is quarantined."""
        return bool(self.quarantined) and key_of(sender, command) in self.quarantined

    def blame_message(self, receiving: Taken, from_outside: bool) -> list[Suspect]:
        """`receive` has raised: who it was."""
        actor, message, sender = receiving
        if isinstance(message, Redelivered):
            return [_message(actor, message.command, message.sender)]
        if from_outside:
            return [_message(actor, message, sender)]
        instances = self._instances(message)
        if instances:
            return [Suspect(instance_key(number), number) for number in instances]
        return self._window() or self._own_journal()

    def blame_commit(self, instances: Iterable[int]) -> list[Suspect]:
        """The database has refused a batch's data, rows of these instances among it."""
        found = self._window() or [
            Suspect(instance_key(number), number) for number in self._to_park(instances)
        ]
        return found or self._own_journal()

    def _own_journal(self) -> list[Suspect]:
        """Nobody from outside and no instance: what this node itself has written down."""
        return [Suspect(JOURNAL, 0)] if self.journal else []

    def _window(self) -> list[Suspect]:
        """Whatever came last and is not done; heartbeats have no consequences of their own."""
        suspects = [
            _message(actor, message, sender)
            for actor, message, sender in self.taken
            if not isinstance(message, Heartbeat)
        ]
        of_copies_one = list({suspect.key: suspect for suspect in suspects}.values())
        sole = len(of_copies_one) == 1
        return [msgspec.structs.replace(suspect, sole=sole) for suspect in of_copies_one]

    def _instances(self, message: Any) -> list[int]:
        """The instances that an inner message is about."""
        found: list[int | None] = []
        if isinstance(message, Loaded):
            if message.name in RECOVERY:
                rows = [row[0] if isinstance(row, tuple) else row for row in message.rows]
                found = [getattr(row, "workflow_instance_id", None) or row.id for row in rows]
        elif not isinstance(message, Boot | Timer):
            found = [getattr(message, "workflow_instance_id", None)]
            if hasattr(message, "task_instance_id"):
                found.append(self.instance_of(message.task_instance_id))
            if hasattr(message, "instance"):
                found.append(message.instance.id)
            found += [row.workflow_instance_id for row in getattr(message, "rows", ())]
        return self._to_park(number for number in found if number)

    def _to_park(self, instances: Iterable[int]) -> list[int]:
        """Those whose parking may help: they are on disk, and it has not been tried."""
        return [
            number
            for number in dict.fromkeys(instances)
            if number < self.first_new_instance and number not in self.parked
        ]


def _message(actor: str, command: Any, sender: str) -> Suspect:
    return Suspect(
        key_of(sender, command),
        getattr(command, "workflow_instance_id", 0) if isinstance(command, OfAttempt) else 0,
        actor,
        sender,
        type(command).__name__,
        msgspec.json.encode(command).decode(),
    )
