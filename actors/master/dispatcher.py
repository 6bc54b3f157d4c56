"""Master actor: who runs what; the only sender of requests and kills to workers.

Ready keys wait in one queue per (group, type), by priority, then first come first served, across
the types of a group (`ready_queue`); a key goes to the least loaded worker that takes it. Placing
comes after all that has become ready together. Invariants: a worker never has more live dispatches
than slots; nothing is sent to a full, silent or draining worker; what comes back goes to its former
place; every request and every kill without an answer is repeated by the table in
``actors/backoff.py``.
"""

import heapq
from typing import assert_never

import msgspec

from ...protocol.commands import (
    HeartbeatAck,
    TaskExecuteRequest,
    TaskExecuteRequestAck,
    TaskKillRequest,
    TaskKillResponse,
)
from ..backoff import repeat_after_ms
from ..base import Boot, Context, Timer
from .capacity import NEXT, Slots, Waits, why_waits
from .cause import AHEAD_CAUSES_MAX as AHEAD_MAX
from .cause import Cause
from .messages import (
    Answered,
    CountRunning,
    DrainAll,
    Ended,
    Explain,
    Forgettable,
    KillFailed,
    ManyReady,
    MayForget,
    Message,
    NotPlaced,
    Occupied,
    Place,
    PlaceAll,
    Placed,
    PlacedAll,
    Ready,
    Return,
    SendAgain,
    SendKill,
    Status,
    Withdrawn,
    WorkerBeat,
    WorkerChanged,
    WorkerSilent,
    WorkerUp,
)
from .ready_queue import AGE_MS, Key, ReadyQueue, rank_ms

#: Queues that are kept although they are empty, so that the next key finds their workers sorted.
EMPTY_QUEUES_MAX = 64
#: Between two looks at all that is unanswered: it may be 256,000 requests to 1,000 workers.
LOOK_MS_MIN = 100


class PlaceReady(Message, frozen=True):
    """To oneself, behind what has become ready or free in the same moment: place it now."""


Inbox = (
    Boot
    | PlaceReady
    | Timer
    | Ready
    | ManyReady
    | Withdrawn
    | PlacedAll
    | NotPlaced
    | Answered
    | Occupied
    | Ended
    | SendAgain
    | SendKill
    | WorkerUp
    | WorkerChanged
    | WorkerBeat
    | WorkerSilent
    | DrainAll
    | CountRunning
    | MayForget
    | Explain
    | TaskExecuteRequestAck
    | TaskKillResponse
)


class Unanswered:
    """A request or a kill that is repeated until the worker answers."""

    def __init__(self, worker: str, command: TaskExecuteRequest | TaskKillRequest) -> None:
        self.worker = worker
        self.command = command
        self.sent = 0
        self.due_ms = 0


class Dispatcher:
    """Owns the ready queues, the slots, and what is unanswered."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.age_ms = AGE_MS
        self.queues: dict[tuple[str, str], ReadyQueue[Slots]] = {}  # by group and type
        self.places: dict[int, Key] = {}  # live dispatch of this master → its place in the queue
        self.placing = False  # a `PlaceReady` is under way
        self.refused_in = 0  # the last turn in which something was not placed
        self.delayed: dict[int, int] = {}  # task instance id → ticket of its wait
        self.waits: list[tuple[int, int, Ready]] = []  # by end; also those of no `delayed` any more
        self.tickets = 0
        self.workers: dict[str, Slots] = {}
        self.requests: dict[int, Unanswered] = {}
        self.kills: dict[int, Unanswered] = {}
        self.stopping = False
        self.timer_ms: int | None = None  # when the one timer fires

    def held(self) -> int:
        """Keys ready or delayed, and commands without an answer."""
        waiting = sum(len(queue.ids) for queue in self.queues.values()) + len(self.delayed)
        return waiting + len(self.requests) + len(self.kills)

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Ended():
                self._free(message.worker, message.dispatch_id, ctx)
            case NotPlaced():
                self._take_refusal(message, ctx)
                return
            case Ready():
                self._enqueue(message, ctx)
            case ManyReady():
                self._enqueue_all(message.ready, ctx)
            case Withdrawn():
                self._withdraw(message)
                return
            case PlaceReady():
                self.placing = False
                self._place(ctx)
                return
            case PlacedAll():
                self._take_placed(message.placed, ctx)
                return
            case Answered():
                self.requests.pop(message.dispatch_id, None)
                return
            case Occupied():
                self._occupy(message)
                return
            case SendAgain():
                self._repeat_from_now(self.requests, message.worker, message.request, ctx)
                return
            case SendKill():
                self._repeat_from_now(self.kills, message.worker, message.request, ctx)
                return
            case WorkerUp():
                self._take_up(message, ctx)
            case WorkerBeat():
                self._hear(message, ctx)
            case WorkerChanged():
                self._adjust(message, ctx)
            case WorkerSilent():
                self._silence(self._slots(message.worker), ctx)
                return
            case DrainAll():
                self.stopping = True
            case TaskExecuteRequestAck():
                self._request_answered(message, ctx)
            case TaskKillResponse():
                self._kill_answered(message, ctx)
                return
            case CountRunning():
                self._count_running(message, ctx)
                return
            case MayForget():
                self._forget(message, ctx)
                return
            case Explain():
                self._explain(message, ctx)
                return
            case Boot():
                return
            case Timer():
                self._look_at_due(ctx)
            case _:
                assert_never(message)
        if self.placing or self.stopping:
            return
        if any(queue.ids for queue in self.queues.values()):
            self.placing = True
            ctx.tell("dispatcher", PlaceReady())

    # --- queues ---------------------------------------------------------------------------------

    def _enqueue_all(self, all_ready: list[Ready], ctx: Context) -> None:
        for ready in all_ready:
            ctx.look_at(ready)
            self._enqueue(ready, ctx)

    def _enqueue(self, ready: Ready, ctx: Context) -> None:
        self.tickets += 1
        if ready.wait_ms > 0:
            due = (ctx.now_ms + ready.wait_ms, self.tickets, ready)
            heapq.heappush(self.waits, due)
            self.delayed[ready.task_instance_id] = self.tickets
            self._arm(due[0], ctx)
            return
        key = self.places.get(ready.returned_from)
        if key is None:
            rank = rank_ms(ctx.now_ms, ready.waited_ms, ready.level, self.age_ms)
            key = Key(rank, self.tickets, ready.task_instance_id)
        self._queue(ready.group, ready.task_type).push(key)

    def _withdraw(self, withdrawn: Withdrawn) -> None:
        self.delayed.pop(withdrawn.task_instance_id, None)
        queue = self.queues.get((withdrawn.group, withdrawn.task_type))
        if queue is not None:
            queue.remove(withdrawn.task_instance_id)
            self._drop_if_empty(queue)

    def _drop_if_empty(self, queue: ReadyQueue[Slots]) -> None:
        if not queue.ids and len(self.queues) > EMPTY_QUEUES_MAX:
            del self.queues[queue.group, queue.task_type]

    def _queue(self, group: str, task_type: str) -> ReadyQueue[Slots]:
        queue = self.queues.get((group, task_type))
        if queue is None:
            queue = self.queues[group, task_type] = ReadyQueue(group, task_type)
            for slots in self.workers.values():
                queue.offer(slots)
        return queue

    def _place(self, ctx: Context) -> None:
        """Key by key, those first that go first, as long as some worker takes the queue's."""
        if self.stopping:
            return
        heads = [
            (head, name)
            for name, queue in self.queues.items()
            if (head := queue.head()) is not None and queue.taker() is not None
        ]
        heapq.heapify(heads)
        places: list[Place] = []
        while heads:
            _, name = heapq.heappop(heads)
            queue = self.queues[name]
            slots = queue.taker()
            if slots is None:
                continue  # its last worker is full by now
            places.append(self._place_on(slots, queue.pop(), queue.task_type, ctx))
            if (head := queue.head()) is not None:
                heapq.heappush(heads, (head, name))
            self._drop_if_empty(queue)
        if places:
            ctx.tell("event_persister", PlaceAll(places))

    def _place_on(self, slots: Slots, key: Key, task_type: str, ctx: Context) -> Place:
        dispatch_id = ctx.new_id("dispatch")
        slots.place(dispatch_id, key.task_instance_id, task_type)
        self.places[dispatch_id] = key
        self._offer(slots)
        return Place(key.task_instance_id, slots.name, slots.boot, dispatch_id)

    def _take_placed(self, all_placed: list[Placed], ctx: Context) -> None:
        for placed in all_placed:
            ctx.look_at(placed.request)
            # Not before: until it is among the requests, a beat would call it settled.
            self._slots(placed.worker).placed_max = placed.request.dispatch_id
            self._repeat_from_now(self.requests, placed.worker, placed.request, ctx)

    def _take_refusal(self, refused: NotPlaced, ctx: Context) -> None:
        """What goes next may be refused as well, a million tasks of an instance that is stopped:
        it is placed in the next turn.
        """
        self._free(refused.worker, refused.dispatch_id, ctx)
        if self.refused_in != ctx.turn_no:
            self.refused_in = ctx.turn_no
            ctx.next_turn(PlaceReady())

    # --- workers --------------------------------------------------------------------------------

    def _slots(self, worker: str) -> Slots:
        slots = self.workers.get(worker)
        if slots is None:
            slots = self.workers[worker] = Slots(worker)
        return slots

    def _occupy(self, occupied: Occupied) -> None:
        slots = self._slots(occupied.worker)
        slots.place(occupied.dispatch_id, occupied.task_instance_id, occupied.task_type)
        self._offer(slots)

    def _adjust(self, wanted: WorkerChanged, ctx: Context) -> None:
        slots = self._slots(wanted.worker)
        slots.count, slots.draining = wanted.slots, wanted.draining
        self._changed(slots, ctx)

    def _silence(self, slots: Slots, ctx: Context) -> None:
        slots.silent = True
        self._changed(slots, ctx)

    def _free(self, worker: str, dispatch_id: int, ctx: Context) -> None:
        self.requests.pop(dispatch_id, None)
        self.kills.pop(dispatch_id, None)
        self.places.pop(dispatch_id, None)
        slots = self._slots(worker)
        slots.free(dispatch_id)
        self._offer(slots)

    def _changed(self, slots: Slots, ctx: Context) -> None:
        """To be called after every change of what a worker may be given."""
        slots.note(ctx.wall_ms)
        self._offer(slots)

    def _offer(self, slots: Slots) -> None:
        """To be called after every change of what a worker has."""
        for queue in self.queues.values():
            queue.offer(slots)

    def _take_up(self, up: WorkerUp, ctx: Context) -> None:
        slots = self._slots(up.worker)
        if slots.boot != up.boot:
            slots.refused_types = set()
            slots.beat = 0
            for unanswered, dispatch_id in self._unanswered(slots):
                if unanswered[dispatch_id].command.to_boot != up.boot:
                    del unanswered[dispatch_id]
        slots.boot, slots.peer, slots.groups = up.boot, up.peer, up.groups
        slots.types, slots.count = frozenset(up.types), up.slots
        slots.silent, slots.no_disk, slots.refused_at_beat = False, False, None
        slots.draining = up.draining
        self._changed(slots, ctx)
        self._send_all(slots, ctx)

    def _hear(self, beat: WorkerBeat, ctx: Context) -> None:
        slots = self._slots(beat.worker)
        is_reconnected, slots.peer = slots.peer != beat.peer, beat.peer
        slots.silent, slots.draining, slots.no_disk = False, beat.draining, beat.no_disk
        slots.count = beat.slots
        if is_reconnected:  # what was sent over the former connection may be lost
            self._send_all(slots, ctx)
        slots.beat = max(slots.beat, beat.number)
        if slots.refused_at_beat is not None and (
            beat.number > slots.refused_at_beat and beat.free_slots > 0
        ):
            slots.refused_at_beat = None
        self._changed(slots, ctx)
        ack = HeartbeatAck(
            number=beat.number,
            epoch=self.epoch,
            to_boot=beat.boot,
            welcomed=True,
            settled_below=self._settled_below(slots),
        )
        ctx.send_now(beat.peer, ack)

    def _settled_below(self, slots: Slots) -> int:
        """Everything below was placed there by this master and is answered, or never was."""
        open_ids = (dispatch_id for _, dispatch_id in self._unanswered(slots))
        return min(open_ids, default=slots.placed_max + 1 if slots.placed_max else 0)

    def _unanswered(self, slots: Slots) -> list[tuple[dict[int, "Unanswered"], int]]:
        """Its requests, then its kills: each is of a dispatch that it holds. No look at others'."""
        return [
            (unanswered, dispatch_id)
            for unanswered in (self.requests, self.kills)
            for held in (slots.live, slots.instant)
            for dispatch_id in held
            if dispatch_id in unanswered
        ]

    def _count_running(self, count: CountRunning, ctx: Context) -> None:
        for document in count.workers:
            slots = self.workers.get(document["id"])
            document["running"] = len(slots.live) if slots is not None else 0
        ctx.tell("gateway", Status(count.request_id, count.workers))

    def _forget(self, message: MayForget, ctx: Context) -> None:
        slots = self.workers.get(message.worker)
        live = len(slots.live) + len(slots.instant) if slots is not None else 0
        if slots is not None and not live:
            self._silence(slots, ctx)  # the queues must not take it for one that is there
            del self.workers[message.worker]
        ctx.tell("registry", Forgettable(message.request_id, message.worker, live))

    # --- why one waits --------------------------------------------------------------------------

    def why(self, group: str, task_type: str, queued_at: int) -> Waits:
        """What keeps a task that is ready since ``queued_at`` (wall) from being placed."""
        if self.stopping:
            return Waits("shutdown", "the cluster is going down", queued_at)
        return why_waits(self.workers.values(), group, task_type, queued_at)

    def _explain(self, explain: Explain, ctx: Context) -> None:
        """Name the holder of what waits in a queue or a wait, or is on its way to a worker."""
        waiting = [cause for cause in explain.causes if cause.queue is not None]
        for cause in waiting:
            assert cause.queue is not None
            queue = self.queues.get(cause.queue)
            if cause.task_instance_id in self.delayed:
                cause.owner = "dispatcher"
            elif queue is not None and cause.task_instance_id in queue.ids:
                ahead = queue.ahead(cause.task_instance_id) if len(waiting) <= AHEAD_MAX else 0
                self._say_queued(cause, ahead)
        for cause in explain.causes:
            if cause.dispatch_id in self.requests:
                entry = self.requests[cause.dispatch_id]
                cause.owner = "dispatcher"
                cause.until = ctx.wall_ms + entry.due_ms - ctx.now_ms
                cause.next = f"its answer; asked {entry.sent} times, then again"
        ctx.tell("registry", explain)

    def _say_queued(self, cause: Cause, ahead: int) -> None:
        assert cause.queue is not None
        waits = self.why(*cause.queue, cause.since or 0)
        cause.owner, cause.cause, cause.since = "dispatcher", waits.cause, waits.since
        before = f"; {ahead} {'goes' if ahead == 1 else 'go'} before it" if ahead else ""
        cause.sentence = f"waits: {waits.sentence}{before}"
        following = NEXT.get(waits.cause, "it is placed as soon as a worker takes it")
        cause.next = following.format(group=cause.queue[0])

    # --- answers --------------------------------------------------------------------------------

    def _request_answered(self, ack: TaskExecuteRequestAck, ctx: Context) -> None:
        entry = self.requests.get(ack.dispatch_id)
        if entry is None or entry.worker != ctx.sender or ack.epoch != self.epoch:
            return
        if not ack.accepted and ack.reason == "fenced":
            return  # a copy from before it was answered
        del self.requests[ack.dispatch_id]
        if ack.accepted:
            return
        slots = self._slots(entry.worker)
        if ack.reason == "unknown_type":
            slots.refused_types.add(entry.command.task_type)  # type: ignore[union-attr]
        elif ack.reason != "never_began":
            slots.refused_at_beat = slots.beat
        self._changed(slots, ctx)
        self._return(entry, ack.dispatch_id, ack.reason, ctx)

    def _kill_answered(self, answer: TaskKillResponse, ctx: Context) -> None:
        if answer.outcome == "kill_failed" and answer.epoch == self.epoch:
            # No answer to a request of ours but a state, told for as long as it lasts.
            ctx.tell("event_persister", KillFailed(ctx.sender, answer))
            return
        entry = self.kills.get(answer.dispatch_id)
        if entry is None or entry.worker != ctx.sender or answer.epoch != self.epoch:
            return
        del self.kills[answer.dispatch_id]
        if answer.outcome == "never_began":
            self.requests.pop(answer.dispatch_id, None)
            self._return(entry, answer.dispatch_id, answer.outcome, ctx)

    def _return(self, entry: Unanswered, dispatch_id: int, reason: str, ctx: Context) -> None:
        """The slot is free once the persister says so: until then its place is remembered."""
        task_instance_id = entry.command.task_instance_id
        ctx.tell("event_persister", Return(task_instance_id, dispatch_id, reason))

    # --- repeats --------------------------------------------------------------------------------

    def _repeat_from_now(
        self,
        unanswered: dict[int, Unanswered],
        worker: str,
        command: TaskExecuteRequest | TaskKillRequest,
        ctx: Context,
    ) -> None:
        entry = unanswered[command.dispatch_id] = Unanswered(worker, command)
        self._send(entry, ctx)

    def _send(self, entry: Unanswered, ctx: Context) -> None:
        slots = self._slots(entry.worker)
        entry.sent += 1
        entry.due_ms = ctx.now_ms + repeat_after_ms(entry.sent)
        self._arm(entry.due_ms, ctx)
        if slots.boot == entry.command.to_boot:
            ctx.send(slots.peer, entry.command)

    def _send_all(self, slots: Slots, ctx: Context) -> None:
        """At once what would be repeated some time: the worker has (re)appeared."""
        for unanswered, dispatch_id in self._unanswered(slots):
            self._send(unanswered[dispatch_id], ctx)

    def _look_at_due(self, ctx: Context) -> None:
        self.timer_ms = None
        while self.waits and self.waits[0][0] <= ctx.now_ms:
            _, ticket, ready = heapq.heappop(self.waits)
            if self.delayed.get(ready.task_instance_id) == ticket:
                del self.delayed[ready.task_instance_id]
                self._enqueue(msgspec.structs.replace(ready, wait_ms=0), ctx)
        for unanswered in (self.requests, self.kills):
            for entry in unanswered.values():
                if entry.due_ms <= ctx.now_ms:
                    self._send(entry, ctx)
        dues = [e.due_ms for u in (self.requests, self.kills) for e in u.values()]
        if dues:
            dues = [max(min(dues), ctx.now_ms + LOOK_MS_MIN)]
        dues += [due_ms for due_ms, _, _ in self.waits[:1]]
        if dues:
            self._arm(min(dues), ctx)

    def _arm(self, due_ms: int, ctx: Context) -> None:
        if self.timer_ms is None or due_ms < self.timer_ms:
            self.timer_ms = due_ms
            ctx.set_timer("due", max(0, due_ms - ctx.now_ms))
