"""Master actor: who the workers are, whether they are heard, and what they really have.

Registrations and heartbeats come in; listings go to the event persister to be judged, capacity to
the dispatcher. Invariants: a worker's row is written in the turn of its Welcome and nothing is
sent to a new boot before; what is not listed is judged once per boot and epoch; silence makes a
worker ``late``, and dead only when nothing of it can run any more (`Known.may_be_dead`); its
death is written in the turn that replaces what it had.
"""

from typing import assert_never

from ...protocol.commands import (
    DebugRequest,
    Heartbeat,
    HeartbeatAck,
    WorkerDrain,
    WorkerDrained,
    WorkerRefused,
    WorkerRegister,
    WorkerWelcome,
)
from ..base import Boot, Context, Loaded, PeerLost, Timer, WardenGone, WatchWarden
from .cause import Cause
from .known import Intruder, Known, row_of
from .liveness import Terms
from .messages import (
    CountRunning,
    Done,
    DrainAll,
    Explain,
    Explained,
    Forgettable,
    Judge,
    MayForget,
    NotDone,
    OrderWorker,
    RecoverWorkers,
    Relay,
    Relayed,
    TellStatus,
    Verdicts,
    WorkerBeat,
    WorkerChanged,
    WorkerDead,
    WorkerSilent,
    WorkerUp,
)
from .orders import change, refusal

#: Heartbeats missed before a worker is late: one may be lost, two are a sign.
BEATS_MISSED = 3
#: The drain's order is repeated, and its end looked at, that often.
DRAIN_REPEAT_MS = 1_000

Inbox = (
    Boot
    | Timer
    | Loaded
    | PeerLost
    | WardenGone
    | WorkerRegister
    | WorkerDrained
    | Heartbeat
    | Verdicts
    | RecoverWorkers
    | TellStatus
    | Explain
    | OrderWorker
    | Forgettable
    | DrainAll
    | Relay
)


class Registry:
    """Owns the workers' rows and when each was last heard."""

    def __init__(self, master: int, epoch: int, terms: Terms) -> None:
        self.master = master
        self.epoch = epoch
        self.terms = terms
        self.look_due_ms = 0  # when the next look for late ones is due
        self.workers: dict[str, Known] = {}
        self.drain: DrainAll | None = None
        self.recovered_ms = 0

    def held(self) -> int:
        """Registrations that are being judged."""
        return sum(1 for known in self.workers.values() if known.asking is not None)

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                self._look_again(ctx)
            case RecoverWorkers():
                ctx.load("workers")
            case Loaded():
                self.workers = {row.id: Known(row) for row in message.rows}
                self.recovered_ms = ctx.now_ms
                for known in self.workers.values():
                    self._watch(known, ctx)
                ctx.recovered()
                self._hand_over_parked(ctx)
            case WorkerRegister():
                self._register(message, ctx)
            case Verdicts():
                self._welcome(message, ctx)
            case Heartbeat():
                self._beat(message, ctx)
            case PeerLost():
                self._lose(message.peer, ctx)
            case WardenGone():
                self._lose_warden(message)
            case Explain():
                self._explain(message, ctx)
            case TellStatus():
                shown = [k for k in self.workers.values() if not k.is_hidden]
                there = [k for k in shown if message.all or k.row.left_at is None]
                workers = [known.document(ctx.now_ms) for known in there]
                ctx.tell("dispatcher", CountRunning(message.request_id, workers))
            case OrderWorker():
                self._take_order(message, ctx)
            case Forgettable():
                self._forget(message, ctx)
            case DrainAll():
                self.drain = message
                self._go_on_draining(ctx)
            case WorkerDrained():
                self._drained(message, ctx)
            case Relay():
                self._relay(message, ctx)
            case Timer(name="late"):
                self._look_for_silent(ctx)
                self._look_again(ctx)
            case Timer():
                self._go_on_draining(ctx)
            case _:
                assert_never(message)

    # --- registration ---------------------------------------------------------------------------

    def _register(self, register: WorkerRegister, ctx: Context) -> None:
        if register.worker != ctx.sender:
            return  # the key is another worker's; the node has counted it
        if register.epoch != self.epoch:
            self._tell_epoch(register, ctx)
            return
        known = self.workers.get(register.worker)
        if known is not None and not known.gives_way_to(register, self.terms):
            self._refuse_identity(known, register, ctx)
            return
        if known is None:
            known = self.workers[register.worker] = Known(row_of(register, None, ctx.wall_ms))
        is_new = known.boot != register.boot
        if is_new:  # until it is welcomed nothing may be placed there, least of all on the old boot
            known.boot = ""
            ctx.tell("dispatcher", WorkerSilent(register.worker))
        known.asking, known.asking_peer = register, ctx.peer
        ctx.tell(
            "event_persister",
            Judge(
                register.worker,
                register.boot,
                known.row.journal == register.journal
                and known.row.kernel_boot == register.kernel_boot,
                is_new,
                register.attempts,
                known.row.boot,
            ),
        )

    def _tell_epoch(self, register: WorkerRegister, ctx: Context) -> None:
        welcome = WorkerWelcome(
            master=self.master,
            epoch=self.epoch,
            to_boot=register.boot,
            judged=False,
            verdicts=[],
        )
        ctx.send(ctx.peer, welcome)

    def _refuse_identity(self, known: Known, register: WorkerRegister, ctx: Context) -> None:
        before = known.intruder
        since = before.since if before and before.pid == register.pid else ctx.wall_ms
        known.intruder = Intruder(register.host, register.pid, since, ctx.now_ms)
        wait_s = -(-self.terms.patience_ms // 1_000)
        text = (
            f"{register.worker} is known from {known.row.host}, pid {known.row.pid}, with another "
            "journal or a later life of this one: two workers with one identity, or a restored "
            "folder; give this one a folder and key of its own. After a reboot, or where the "
            f"journal was lost, wait: it is taken {wait_s} s after the other was last heard"
        )
        ctx.send(
            ctx.peer,
            WorkerRefused(
                epoch=self.epoch,
                to_boot=register.boot,
                reason="duplicate_identity",
                message=text,
            ),
        )

    def _welcome(self, verdicts: Verdicts, ctx: Context) -> None:
        known = self.workers[verdicts.worker]
        register = known.asking
        if register is None or register.boot != verdicts.boot:
            return
        known.asking = None
        row = row_of(register, known.row, ctx.wall_ms)
        if not self.terms.sees(row):
            row.machine = ""  # it says that it may be watched, but not from here
        if row.kernel_boot != known.row.kernel_boot:
            known.former_kernels.append(known.row.kernel_boot)
        known.row, known.boot, known.peer = row, register.boot, known.asking_peer
        known.late, known.draining = False, False
        if self.drain is None:  # else whoever is started again at once would be waited for again
            known.drained = False
        known.slots, known.no_disk = row.slots, False  # its first beat says more
        known.heard_ms, known.heard_at = ctx.now_ms, ctx.wall_ms
        self._watch(known, ctx)
        busy = sum(1 for attempt in register.attempts if attempt.phase != "ended")
        known.free_slots = max(0, known.slots_now - busy)
        ctx.write(row)
        ctx.send(
            known.peer,
            WorkerWelcome(
                master=self.master,
                epoch=self.epoch,
                to_boot=register.boot,
                judged=True,
                verdicts=verdicts.verdicts,
                number=register.number,
                lease_ms=0 if self.terms.sees(row) else self.terms.lease_ms,
                fence_grace_ms=self.terms.fence_grace_ms,
            ),
        )
        groups, types = register.groups, register.types
        up = WorkerUp(row.id, row.boot, known.peer, groups, known.slots_now, types, known.is_closed)
        ctx.tell("dispatcher", up)
        self._adjust(known, ctx)

    # --- liveness -------------------------------------------------------------------------------

    def _beat(self, beat: Heartbeat, ctx: Context) -> None:
        known = self.workers.get(ctx.sender)
        boot = beat.boot
        if known is None or known.boot != boot:
            ack = HeartbeatAck(
                number=beat.number,
                epoch=self.epoch,
                to_boot=boot,
                welcomed=False,
                settled_below=0,
            )
            ctx.send_now(ctx.peer, ack)
            return
        known.peer, known.heard_ms, known.late = ctx.peer, ctx.now_ms, False
        known.heard_at = ctx.wall_ms
        known.free_slots, known.draining = beat.free_slots, beat.draining
        known.slots, known.no_disk = beat.slots or known.row.slots, beat.no_disk
        warden = (beat.warden_pid, beat.warden_ticks)
        if self.terms.sees(known.row) and warden != (known.row.warden_pid, known.row.warden_ticks):
            known.row.warden_pid, known.row.warden_ticks = warden
            ctx.write(known.row)
            self._watch(known, ctx)
        ctx.tell(
            "dispatcher",
            WorkerBeat(
                ctx.sender,
                boot,
                ctx.peer,
                beat.number,
                beat.free_slots,
                known.is_closed,
                known.slots_now,
                beat.no_disk,
            ),
        )
        self._adjust(known, ctx)

    def _look_again(self, ctx: Context) -> None:
        self.look_due_ms = ctx.now_ms + self.terms.heartbeat_ms
        ctx.set_timer("late", self.terms.heartbeat_ms)

    def _look_for_silent(self, ctx: Context) -> None:
        """Who was not heard for long. While this node did not look, it did not hear either."""
        self._excuse(ctx.now_ms - self.look_due_ms, ctx.now_ms)
        limit_ms = BEATS_MISSED * self.terms.heartbeat_ms
        for known in self.workers.values():
            silent_ms = ctx.now_ms - self._last_heard_ms(known)
            if not known.late and silent_ms > limit_ms:
                self._call_late(known, ctx)
            if silent_ms > self.terms.patience_ms and known.may_be_dead(self.terms):
                self._declare_dead(known, silent_ms, ctx)

    def _excuse(self, own_delay_ms: int, now_ms: int) -> None:
        """This node was itself late by so much: all deadlines move by it (DESIGN section 4)."""
        self.recovered_ms = min(now_ms, self.recovered_ms + own_delay_ms)
        for known in self.workers.values():
            if known.heard_ms is not None:
                known.heard_ms = min(now_ms, known.heard_ms + own_delay_ms)

    def _last_heard_ms(self, known: Known) -> int:
        """By this master; what an earlier one heard counts as heard at our start."""
        return self.recovered_ms if known.heard_ms is None else known.heard_ms

    # --- death ----------------------------------------------------------------------------------

    def _watch(self, known: Known, ctx: Context) -> None:
        known.warden_gone = False
        row = known.row
        if self.terms.sees(row):
            ctx.perform(WatchWarden(row.id, row.warden_pid, row.warden_ticks))

    def _lose_warden(self, gone: WardenGone) -> None:
        known = self.workers.get(gone.worker)
        if known is not None and (known.row.warden_pid, known.row.warden_ticks) == (
            gone.pid,
            gone.start_ticks,
        ):
            known.warden_gone = True

    def _declare_dead(self, known: Known, silent_ms: int, ctx: Context) -> None:
        """Committed with what follows: whatever it had is handed over."""
        known.row.dead_at = ctx.wall_ms
        ctx.write(known.row)
        known.boot, known.late = "", True
        ctx.tell("dispatcher", WorkerSilent(known.row.id))
        since_ms = ctx.wall_ms - silent_ms
        ctx.tell("event_persister", WorkerDead(known.row.id, known.row.host, since_ms))

    def _hand_over_parked(self, ctx: Context) -> None:
        """What was parked when its worker died goes on in this life, and was not handed over then.

        After `recovered`: a RESULT in a letter that a person lets go on comes first, and counts.
        """
        for known in self.workers.values():
            row = known.row
            if row.dead_at is not None:
                ctx.tell("event_persister", WorkerDead(row.id, row.host, row.dead_at))

    def _lose(self, peer: bytes, ctx: Context) -> None:
        for known in self.workers.values():
            if known.peer == peer:
                self._call_late(known, ctx)

    def _call_late(self, known: Known, ctx: Context) -> None:
        known.late = True
        ctx.tell("dispatcher", WorkerSilent(known.row.id))

    # --- why something has not ended ------------------------------------------------------------

    def _explain(self, explain: Explain, ctx: Context) -> None:
        """Name the worker that acts next, or what becomes of what a silent one has."""
        for cause in explain.causes:
            known = self.workers.get(cause.worker)
            if known is not None and known.row.dead_at is None:
                self._say_worker(cause, known, ctx)
        done = Explained(explain.request_id, explain.causes, explain.page, explain.more)
        ctx.tell(explain.to, done)

    def _say_worker(self, cause: Cause, known: Known, ctx: Context) -> None:
        cause.owner = cause.owner or f"worker {known.row.id}"
        cause.since = cause.since or known.row.registered_at
        if not known.late:
            cause.next = cause.next or "it says that it runs"
            return
        cause.cause = "worker_silent"
        has_left = known.row.left_at is not None
        cause.sentence += f"; {known.row.id} {'has left' if has_left else 'is not heard'}"
        left_ms = self._last_heard_ms(known) + self.terms.patience_ms - ctx.now_ms
        if self.terms.sees(known.row) and not known.warden_gone:
            cause.next = "its warden guards it; the worker is expected back"
        else:
            cause.until = ctx.wall_ms + max(0, left_ms)
            cause.next = "the worker is dead then; the task is run elsewhere, or kept"

    # --- what people want -----------------------------------------------------------------------

    def _take_order(self, order: OrderWorker, ctx: Context) -> None:
        known = self.workers.get(order.worker)
        refused = refusal(order, known)
        if refused is not None:
            ctx.tell("gateway", refused)
            return
        assert known is not None
        if order.order == "forget":
            ctx.tell("dispatcher", MayForget(order.request_id, order.worker))
            return
        if change(order, known, ctx.wall_ms):
            ctx.write(known.row)
            changed = WorkerChanged(order.worker, known.slots_now, known.is_closed)
            ctx.tell("dispatcher", changed)
            self._adjust(known, ctx)
        self._answer_order(order.request_id, known, ctx)

    def _answer_order(self, request_id: str, known: Known, ctx: Context) -> None:
        result = {"worker": known.row.id, "state": known.state(), "slots": known.slots_wanted}
        ctx.tell("gateway", Done(request_id, result))

    def _adjust(self, known: Known, ctx: Context) -> None:
        """Repeated with every beat until the worker says that it does as people want."""
        if known.boot and self.drain is None and (command := known.adjustment(self.epoch)):
            ctx.send(known.peer, command)

    def _forget(self, answer: Forgettable, ctx: Context) -> None:
        known = self.workers[answer.worker]
        if answer.live:
            text = (
                f"{answer.worker} is not heard and has {answer.live} attempts that may still run; "
                "it can be forgotten when they have ended or are given up"
            )
            ctx.tell("gateway", NotDone(answer.request_id, 6, "refused", text))
            return
        known.boot = ""  # should it come back, it registers
        known.row.forgotten_at = ctx.wall_ms
        known.row.draining_since = known.row.slots_set = known.row.restart_boot = None
        ctx.write(known.row)
        self._answer_order(answer.request_id, known, ctx)

    # --- the rest -------------------------------------------------------------------------------

    def _relay(self, relay: Relay, ctx: Context) -> None:
        if relay.worker is None:
            targets = [known for known in self.workers.values() if not known.late]
        else:
            target = self.workers.get(relay.worker)
            targets = [target] if target is not None and not target.late else []
        for known in targets:
            if isinstance(relay.command, DebugRequest):
                ctx.send_now(known.peer, relay.command)
            else:
                ctx.send(known.peer, relay.command)
        ctx.tell("gateway", Relayed(relay.command.request_id, len(targets)))

    def _go_on_draining(self, ctx: Context) -> None:
        drain = self.drain
        assert drain is not None
        for known in self._end_drain(ctx):
            ctx.set_timer("drain", DRAIN_REPEAT_MS)
            if not known.boot:
                continue
            order = WorkerDrain(
                epoch=self.epoch, to_boot=known.boot, wait_ms=drain.wait_ms, keep=drain.keep
            )
            ctx.send(known.peer, order)

    def _end_drain(self, ctx: Context) -> list[Known]:
        """The workers that are not drained yet; none: the shutdown is done."""
        left = [k for k in self.workers.values() if not k.drained and self._is_there(k, ctx)]
        if not left and self.drain is not None:
            ctx.tell("gateway", Done(self.drain.request_id, {"state": "down"}))
        return left

    def _is_there(self, known: Known, ctx: Context) -> bool:
        """Connected; or it has not left, and this master is too young to have heard it."""
        if known.boot:
            return not known.late
        young = ctx.now_ms - self.recovered_ms <= BEATS_MISSED * self.terms.heartbeat_ms
        return known.row.left_at is None and known.heard_ms is None and young

    def _drained(self, drained: WorkerDrained, ctx: Context) -> None:
        known = self.workers.get(ctx.sender)
        if known is not None and known.boot == drained.boot:
            known.drained = True
            if known.row.left_at is None and self.drain is not None and not self.drain.keep:
                known.row.left_at = ctx.wall_ms
                ctx.write(known.row)
            self._end_drain(ctx)
