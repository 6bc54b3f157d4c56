"""Master actor: who the workers are, whether they are heard, and what they really have.

Registrations and heartbeats come in; listings go to the event persister to be judged, capacity to
the dispatcher. Invariants: a worker's row is written in the turn of its Welcome and nothing is
sent to a new boot before; what is not listed is judged once per boot and epoch; a worker that is
silent is ``late``, never dead (its rows wait for it).
"""

import json
from typing import Any, assert_never

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
from ...protocol.rows import WorkerRow
from ..base import Boot, Context, Loaded, PeerLost, Timer
from .messages import (
    Done,
    DrainAll,
    Judge,
    RecoverWorkers,
    Relay,
    Relayed,
    Status,
    TellStatus,
    Verdicts,
    WorkerBeat,
    WorkerSilent,
    WorkerUp,
)

#: Heartbeats missed before a worker is late: one may be lost, two are a sign.
BEATS_MISSED = 3
#: The drain's order is repeated, and its end looked at, that often.
DRAIN_REPEAT_MS = 1_000

Inbox = (
    Boot
    | Timer
    | Loaded
    | PeerLost
    | WorkerRegister
    | WorkerDrained
    | Heartbeat
    | Verdicts
    | RecoverWorkers
    | TellStatus
    | DrainAll
    | Relay
)


class Known:
    """A worker: its row, and what this master has heard of it."""

    def __init__(self, row: WorkerRow) -> None:
        self.row = row
        self.boot = ""  # welcomed by this master under this epoch
        self.peer = b""
        self.heard_ms: int | None = None
        self.late = True
        self.draining = False
        self.drained = False
        self.free_slots = 0
        self.asking: WorkerRegister | None = None  # its listing is being judged
        self.asking_peer = b""
        self.former_kernels: list[str] = []  # kernel boots that this master has seen replaced


class Registry:
    """Owns the workers' rows and when each was last heard."""

    def __init__(self, master: int, epoch: int, heartbeat_ms: int) -> None:
        self.master = master
        self.epoch = epoch
        self.heartbeat_ms = heartbeat_ms
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
                ctx.set_timer("late", self.heartbeat_ms)
            case RecoverWorkers():
                ctx.load("workers")
            case Loaded():
                self.workers = {row.id: Known(row) for row in message.rows}
                self.recovered_ms = ctx.now_ms
                ctx.recovered()
            case WorkerRegister():
                self._register(message, ctx)
            case Verdicts():
                self._welcome(message, ctx)
            case Heartbeat():
                self._beat(message, ctx)
            case PeerLost():
                self._lose(message.peer, ctx)
            case TellStatus():
                there = [known for known in self.workers.values() if known.row.left_at is None]
                workers = [self._status(known) for known in there]
                ctx.tell("gateway", Status(message.request_id, workers))
            case DrainAll():
                self.drain = message
                self._go_on_draining(ctx)
            case WorkerDrained():
                self._drained(message, ctx)
            case Relay():
                self._relay(message, ctx)
            case Timer(name="late"):
                self._look_for_late(ctx)
                ctx.set_timer("late", self.heartbeat_ms)
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
        if known is not None and not self._may_take_over(known, register):
            self._refuse_identity(known, register, ctx)
            return
        if known is None:
            known = self.workers[register.worker] = Known(_row(register, ctx.wall_ms))
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
            ),
        )

    def _may_take_over(self, known: Known, register: WorkerRegister) -> bool:
        """Same boot; a later life of the same journal; or whoever it was is not heard any more.

        A reboot is waited out like a clone, and its life need not be later: a power cut loses what
        the journal had not synced.
        """
        if register.kernel_boot in known.former_kernels:
            return False  # sent before a reboot that we know of
        latest = known.asking or known.row
        if register.boot == latest.boot:
            return True
        if (register.journal, register.kernel_boot) == (latest.journal, latest.kernel_boot):
            return register.life > latest.life
        return known.late

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
        text = (
            f"{register.worker} is known from {known.row.host}, pid {known.row.pid}, with another "
            "journal or a later life of this one: two workers with one identity, or a restored "
            "folder; give this one a folder and key of its own"
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
        row = _row(register, ctx.wall_ms)
        row.event_no, row.stored_no = known.row.event_no, known.row.stored_no
        if row.kernel_boot != known.row.kernel_boot:
            known.former_kernels.append(known.row.kernel_boot)
        known.row, known.boot, known.peer = row, register.boot, known.asking_peer
        known.late, known.drained, known.draining = False, False, False
        known.heard_ms = ctx.now_ms
        busy = sum(1 for attempt in register.attempts if attempt.phase != "ended")
        known.free_slots = max(0, register.slots - busy)
        ctx.write(row)
        ctx.send(
            known.peer,
            WorkerWelcome(
                master=self.master,
                epoch=self.epoch,
                to_boot=register.boot,
                judged=True,
                verdicts=verdicts.verdicts,
            ),
        )
        up = WorkerUp(row.id, row.boot, known.peer, register.groups, register.slots, register.types)
        ctx.tell("dispatcher", up)

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
        known.free_slots, known.draining = beat.free_slots, beat.draining
        ctx.tell(
            "dispatcher",
            WorkerBeat(ctx.sender, boot, ctx.peer, beat.number, beat.free_slots, beat.draining),
        )

    def _look_for_late(self, ctx: Context) -> None:
        limit_ms = BEATS_MISSED * self.heartbeat_ms
        for known in self.workers.values():
            heard_ms = known.heard_ms
            if not known.late and heard_ms is not None and ctx.now_ms - heard_ms > limit_ms:
                self._call_late(known, ctx)

    def _lose(self, peer: bytes, ctx: Context) -> None:
        for known in self.workers.values():
            if known.peer == peer:
                self._call_late(known, ctx)

    def _call_late(self, known: Known, ctx: Context) -> None:
        known.late = True
        ctx.tell("dispatcher", WorkerSilent(known.row.id))

    def _status(self, known: Known) -> dict[str, Any]:
        row = known.row
        state = "late" if known.late else "draining" if known.draining else "alive"
        return {
            "id": row.id,
            "pid": row.pid,
            "host": row.host,
            "groups": json.loads(row.groups),
            "slots": row.slots,
            "free": known.free_slots if not known.late else None,
            "state": state,
        }

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
        young = ctx.now_ms - self.recovered_ms <= BEATS_MISSED * self.heartbeat_ms
        return known.row.left_at is None and known.heard_ms is None and young

    def _drained(self, drained: WorkerDrained, ctx: Context) -> None:
        known = self.workers.get(ctx.sender)
        if known is not None and known.boot == drained.boot:
            known.drained = True
            if known.row.left_at is None and self.drain is not None and not self.drain.keep:
                known.row.left_at = ctx.wall_ms
                ctx.write(known.row)
            self._end_drain(ctx)


def _row(register: WorkerRegister, wall_ms: int) -> WorkerRow:
    return WorkerRow(
        id=register.worker,
        boot=register.boot,
        life=register.life,
        kernel_boot=register.kernel_boot,
        journal=register.journal,
        groups=json.dumps(register.groups),
        slots=register.slots,
        types=json.dumps(register.types),
        version=register.version,
        pid=register.pid,
        host=register.host,
        registered_at=wall_ms,
    )
