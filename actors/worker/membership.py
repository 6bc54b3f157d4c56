"""Worker actor: makes the worker known to its master, and keeps it known.

It registers with everything the executor has, again every second until welcomed, and beats every
``heartbeat_ms``. Invariant: nothing is registered before the executor has recovered (journal read,
warden answered), and every registration carries a listing taken in the same turn; a listing made
before the epoch was known is never judged (DESIGN section 5, reconciliation). A lease counts from
the sending of what was answered; the warden, which keeps it, goes by the clock of ``ctx.now_ms``.
"""

import logging
from typing import assert_never

from ...protocol.commands import (
    DebugReply,
    DebugRequest,
    Heartbeat,
    HeartbeatAck,
    WorkerAdjust,
    WorkerDrain,
    WorkerDrained,
    WorkerRefused,
    WorkerRegister,
    WorkerWelcome,
)
from ...protocol.rows import JournalNode
from .. import peek
from ..base import Boot, Context, Leave, LinkChanged, Timer, Vitals
from .identity import Identity
from .messages import (
    Adjust,
    CountSlots,
    Drain,
    Drained,
    EpochRose,
    FreeSlots,
    Judged,
    Leased,
    ListAttempts,
    Listing,
    OwnerAppeared,
    Recovered,
    SettledBelow,
    WardenMet,
    Welcomed,
)

log = logging.getLogger(__name__)

#: Between registrations without an answer; a reconnect takes a tenth of that.
REGISTER_MS = 1_000
#: After `WorkerRefused`: a person has to act, or the other identity to end.
REFUSED_MS = 5_000
#: Heartbeats and registrations whose sending is remembered until one of them is answered: the last
#: 100 s at the fastest beat. An answer to an older one renews no lease.
SENT_MAX = 2_000

Inbox = (
    Boot
    | Recovered
    | Listing
    | FreeSlots
    | Drained
    | WardenMet
    | WorkerWelcome
    | WorkerRefused
    | HeartbeatAck
    | WorkerAdjust
    | WorkerDrain
    | DebugRequest
    | LinkChanged
    | Vitals
    | Timer
)


class Membership:
    """Owns the known epoch, whether we are welcomed, and when what was sent that is unanswered."""

    def __init__(self, identity: Identity, master: bytes, epoch: int, heartbeat_ms: int) -> None:
        self.identity = identity
        self.master = master
        self.epoch = epoch
        self.heartbeat_ms = heartbeat_ms
        self.recovered = False
        self.welcomed = False
        self.leaving = False  # the cluster goes down
        self.adjusted = Adjust(draining=False, no_disk=False, slots=identity.slots)
        self.refusal = ""  # of our registration, as the master said it last
        self.numbers = 0  # of heartbeats and registrations
        self.sent_ms: dict[int, int] = {}  # by number, of what is not answered yet
        self.master_id = 0
        self.lease_ms = 0
        self.fence_grace_ms = 0
        self.warden = WardenMet(0, 0)
        self.warden_since = 0  # the first number that was sent with this one
        self.vitals = Vitals(0.0, 0, 0, 0)

    def held(self) -> int:
        """Nothing waits here."""
        return 0

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                ctx.set_timer("beat", self.heartbeat_ms)
            case Recovered():
                self.recovered = True
                ctx.tell("executor", EpochRose(self.epoch))
                self._register(ctx)
            case Listing():
                self._send_registration(message, ctx)
            case WorkerWelcome():
                self._welcome(message, ctx)
            case WorkerRefused():
                self._wait_longer(message, ctx)
            case HeartbeatAck():
                self._acknowledge(message, ctx)
            case Vitals():
                self.vitals = message
                self._adjust(self.adjusted.draining, self.adjusted.slots, ctx)
            case WardenMet():
                self._meet_warden(message, ctx)
            case LinkChanged():
                if message.up and self.recovered:
                    ctx.tell("executor", CountSlots())
                    ctx.tell("retry_reporter", OwnerAppeared())
                    self._register(ctx)
            case WorkerDrain():
                if message.to_boot == self.identity.boot and message.epoch == self.epoch:
                    self.leaving = True
                    ctx.tell("executor", Drain(message.wait_ms, message.keep))
            case WorkerAdjust():
                if message.to_boot == self.identity.boot and message.epoch == self.epoch:
                    self._adjust(message.draining, message.slots, ctx)
                    if message.restart:
                        ctx.perform(Leave("restart", again=True))
            case Drained():
                ctx.send(self.master, WorkerDrained(boot=self.identity.boot))
                ctx.perform(Leave("drained", end_warden=True))
            case DebugRequest(kind="peek"):
                ctx.send_now(self.master, peek.answer(message, ctx))
            case DebugRequest():
                reply = DebugReply(request_id=message.request_id, rows=ctx.inspect())
                ctx.send_now(self.master, reply)
            case FreeSlots():
                self._beat(message.count, ctx)
            case Timer(name="beat"):
                if self.recovered:
                    ctx.tell("executor", CountSlots())
                ctx.set_timer("beat", self.heartbeat_ms)
            case Timer():
                self._register(ctx)
            case _:
                assert_never(message)

    def _register(self, ctx: Context) -> None:
        if self.recovered and not self.welcomed:
            ctx.tell("executor", ListAttempts())
            ctx.set_timer("register", REGISTER_MS)

    def _meet_warden(self, warden: WardenMet, ctx: Context) -> None:
        """A new one: a master that watches it instead of a lease is to take it first."""
        if warden == self.warden:
            return
        self.warden, self.warden_since = warden, self.numbers + 1
        if self.welcomed and not self.lease_ms:
            self.welcomed = False
            self._register(ctx)

    def _send_registration(self, listing: Listing, ctx: Context) -> None:
        me = self.identity
        ctx.send(
            self.master,
            WorkerRegister(
                worker=me.worker,
                boot=me.boot,
                life=me.life,
                kernel_boot=me.kernel_boot,
                journal=me.journal,
                epoch=self.epoch,
                groups=me.groups,
                slots=me.slots,
                types=me.types,
                version=me.version,
                pid=me.pid,
                host=me.host,
                attempts=listing.attempts,
                number=self._next_number(ctx),
                machine=me.machine,
                warden_pid=self.warden.pid,
                warden_ticks=self.warden.start_ticks,
            ),
        )

    def _welcome(self, welcome: WorkerWelcome, ctx: Context) -> None:
        if welcome.to_boot != self.identity.boot or welcome.epoch < self.epoch:
            return
        self._learn_epoch(welcome.epoch, ctx)
        self.refusal = ""
        if not welcome.judged:
            self._register(ctx)
            return
        if welcome.number < self.warden_since:
            return  # to what was sent with a former warden
        self.welcomed = True
        ctx.tell("callback_sender", Welcomed())
        self.master_id, self.lease_ms = welcome.master, welcome.lease_ms
        self.fence_grace_ms = welcome.fence_grace_ms
        self._renew(welcome.number, ctx)
        ctx.tell("executor", Judged(welcome.verdicts))
        ctx.tell("retry_reporter", OwnerAppeared())

    def _wait_longer(self, refused: WorkerRefused, ctx: Context) -> None:
        if refused.to_boot != self.identity.boot or refused.epoch < self.epoch:
            return
        if refused.message != self.refusal:
            self.refusal = refused.message
            log.error("not taken reason=%s: %s", refused.reason, refused.message)
        ctx.set_timer("register", REFUSED_MS)

    def _adjust(self, draining: bool, slots: int, ctx: Context) -> None:
        """The executor is told, and the master by a heartbeat at once, where something changed."""
        adjusted = Adjust(draining=draining, no_disk=self.vitals.no_disk, slots=slots)
        if adjusted != self.adjusted:
            self.adjusted = adjusted
            ctx.tell("executor", adjusted)
            if self.recovered:
                ctx.tell("executor", CountSlots())

    def _learn_epoch(self, epoch: int, ctx: Context) -> None:
        if epoch == self.epoch:
            return
        self.epoch = epoch
        self.welcomed = False
        self.leaving = False  # who ordered that is gone
        ctx.put(
            JournalNode(
                journal=self.identity.journal,
                cluster=self.identity.cluster,
                life=self.identity.life,
                epoch=epoch,
                place=self.identity.place,
            )
        )
        ctx.tell("executor", EpochRose(epoch))

    def _acknowledge(self, ack: HeartbeatAck, ctx: Context) -> None:
        if ack.to_boot != self.identity.boot or ack.epoch < self.epoch:
            return
        if ack.welcomed and ack.epoch == self.epoch:
            if self.welcomed and self.lease_ms:
                self._renew(ack.number, ctx)
            ctx.tell("executor", SettledBelow(ack.settled_below))
            return
        if self.welcomed:
            self.welcomed = False
            self._register(ctx)

    def _next_number(self, ctx: Context) -> int:
        self.numbers += 1
        self.sent_ms[self.numbers] = ctx.now_ms
        if len(self.sent_ms) > SENT_MAX:
            del self.sent_ms[next(iter(self.sent_ms))]
        return self.numbers

    def _renew(self, number: int, ctx: Context) -> None:
        """What was sent then is answered: the lease runs from that moment, not from now."""
        sent_ms = self.sent_ms.get(number)
        if sent_ms is None:
            return  # a later one was answered before
        for earlier in [n for n in self.sent_ms if n <= number]:
            del self.sent_ms[earlier]
        until_ms = sent_ms + self.lease_ms if self.lease_ms else 0
        ctx.tell("executor", Leased(self.master_id, until_ms, self.fence_grace_ms))

    def _beat(self, free_slots: int, ctx: Context) -> None:
        ctx.send_now(
            self.master,
            Heartbeat(
                boot=self.identity.boot,
                number=self._next_number(ctx),
                sent_ms=ctx.wall_ms,
                free_slots=free_slots,
                load=self.vitals.load,
                memory_free_bytes=self.vitals.memory_free_bytes,
                disk_free_bytes=self.vitals.disk_free_bytes,
                hub_lag_ms=self.vitals.hub_lag_ms,
                draining=self.leaving or self.adjusted.draining,
                slots=self.adjusted.slots,
                no_disk=self.adjusted.no_disk,
                warden_pid=self.warden.pid,
                warden_ticks=self.warden.start_ticks,
            ),
        )
