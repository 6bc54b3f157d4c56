"""Leases, from outside: nothing runs beyond one, nothing is ended within one, and nobody is called
dead who might run anything.

Knows when what was answered had been sent, and what really runs on which machine. A machine that
stands still as a whole cannot end anything; it has its first moments awake for that. Where the
warden is gone and no life of the worker has started another, nobody can: that is its limit.
"""

from typing import TYPE_CHECKING, Any

from stenella.protocol.commands import (
    Command,
    Heartbeat,
    HeartbeatAck,
    WorkerRegister,
    WorkerWelcome,
)
from stenella.protocol.states import Event

from .story import Violation

if TYPE_CHECKING:
    from .machine import Process
    from .node import Node
    from .rows import Rows
    from .worker_node import WorkerNode
    from .world import World

Fields = dict[str, Any]
#: A look of the warden, KILL, and that it takes effect: the first moments of a machine that wakes.
AWAKE_MS = 100
#: A new warden sweeps what the former left: two passes that find nothing, after some that do.
SWEEP_MS = 3_000
#: So long it may take from an answer's arrival until the warden goes by it.
PASSED_ON_MS = 1_000


class Leases:
    """When each worker's lease was renewed last, and who was declared dead."""

    def __init__(self, world: "World", rows: "Rows") -> None:
        self.world, self.rows = world, rows
        self.sent_ms: dict[tuple[str, int], int] = {}  # (boot, number) → when
        self.renewed_ms: dict[str, int] = {}  # worker → sending of what was answered last
        self.epochs: dict[str, int] = {}  # boot → the highest that it was told of
        self.taken_ms: dict[str, int] = {}  # boot → when it was told that it is the worker
        self.renewals: dict[str, list[tuple[int, int]]] = {}  # boot → (told, sending of that)
        self.leased: dict[str, bool] = {}  # worker → whether its last Welcome gave it a lease
        self.heard_ms: dict[str, list[int]] = {}  # worker → when the master answered it
        self.dead: dict[str, None] = {}
        self.written: dict[str, int] = {}  # worker → event_no of its row
        #: Dispatches that were taken from a dead worker, or kept there: their own end may be lost.
        self.given_up: dict[int, None] = {}

    # --- what is said -----------------------------------------------------------------------------

    def on_send(self, node: "Node", commands: list[Command]) -> None:
        """A worker speaks, or the master answers."""
        for command in commands:
            match command:
                case Heartbeat() | WorkerRegister():
                    self.sent_ms[node.boot, command.number] = self.world.now_ms
                case HeartbeatAck(welcomed=True):
                    worker = command.to_boot.rpartition("-")[0].rpartition("-")[0]
                    self.heard_ms.setdefault(worker, []).append(self.world.now_ms)

    def told(self, node: "Node", commands: list[Command]) -> None:
        """A worker hears."""
        for command in commands:
            match command:
                case HeartbeatAck() if command.to_boot == node.boot:
                    if command.welcomed:
                        self._renew(node, command.number)
                    self._note_renewal(command)
                case WorkerWelcome() if command.to_boot == node.boot:
                    if command.judged:
                        self.leased[node.name] = command.lease_ms > 0
                        self._renew(node, command.number)
                    self._note_welcome(command)

    def _renew(self, node: "Node", number: int) -> None:
        sent_ms = self.sent_ms.get((node.boot, number), 0)
        self.renewed_ms[node.name] = max(sent_ms, self.renewed_ms.get(node.name, 0))

    def _note_welcome(self, welcome: WorkerWelcome) -> None:
        boot = welcome.to_boot
        if welcome.epoch > self.epochs.get(boot, 0):
            self.epochs[boot] = welcome.epoch
            self.taken_ms.pop(boot, None)
        if welcome.judged and welcome.epoch == self.epochs[boot]:
            self.taken_ms.setdefault(boot, self.world.now_ms)

    def _note_renewal(self, ack: HeartbeatAck) -> None:
        """What must let it go on: a heartbeat that its present master answered to the worker."""
        boot = ack.to_boot
        if ack.epoch < self.epochs.get(boot, 0):
            return
        if not ack.welcomed or ack.epoch != self.epochs.get(boot):
            self.taken_ms.pop(boot, None)
        elif self.world.now_ms - self.taken_ms.get(boot, self.world.now_ms) > self._passing_ms:
            renewal = self.world.now_ms, self.sent_ms[boot, ack.number]
            self.renewals.setdefault(boot, []).append(renewal)

    @property
    def _passing_ms(self) -> int:
        return PASSED_ON_MS + 10 * self.world.options.cycle_ms_max

    # --- what runs --------------------------------------------------------------------------------

    def _slow(self, ms: int) -> int:
        """So much time on the slowest of the clocks."""
        return int(ms / (1 - self.world.options.drift)) + 1

    def excuses(self, process: "Process") -> bool:
        """Nobody could end it: see the module's docstring."""
        machine, now_ms = process.machine, self.world.now_ms
        if process.killed_ms is not None and process.plan.get("stubborn_ms"):
            return True
        return (
            machine.frozen
            or now_ms - machine.thawed_ms < AWAKE_MS
            or machine.warden is None
            or now_ms - machine.warden_started_ms < SWEEP_MS
        )

    def on_spawn(self, node: "WorkerNode", process: "Process") -> None:
        """I14: nothing begins beyond the lease. Raises `Violation`."""
        if not self.leased.get(node.name) or self.excuses(process):
            return
        limit_ms = self.renewed_ms[node.name] + self._slow(self.world.options.lease_ms)
        if self.world.now_ms > limit_ms + AWAKE_MS:
            text = f"{node.name} begins {process.start['marker']} after its lease, {limit_ms} ms"
            raise Violation("I14 nothing begins after a lease", text, _number(process))

    def on_end(self, node: "WorkerNode", process: "Process") -> None:
        """I14: what runs has ended a grace after the lease. Raises `Violation`."""
        kept = process.start["keep"] or not self.leased.get(node.name)
        if kept or self.excuses(process):
            return
        options, machine = self.world.options, process.machine
        limit_ms = self.renewed_ms[node.name] + self._slow(
            options.lease_ms + options.fence_grace_ms
        )
        limit_ms = max(limit_ms, machine.warden_started_ms + SWEEP_MS, machine.thawed_ms)
        if self.world.now_ms > limit_ms + AWAKE_MS:
            text = f"{process.start['marker']} on {node.name} ended {self.world.now_ms - limit_ms}"
            raise Violation("I14 self-fencing", f"{text} ms too late", _number(process))

    def on_overdue(self, node: "WorkerNode", dispatch_id: int) -> None:
        """I14: a warden ends nothing of a worker that was answered in time and could tell it.

        Whatever its disk does: `PASSED_ON_MS` is in memory and on a socket. Raises `Violation`.
        """
        machine, now_ms, options = node.machine, self.world.now_ms, self.world.options
        told_by_ms = now_ms - self._passing_ms
        began_ms = max(node.risen_ms, node.went_on_ms, machine.thawed_ms, machine.warden_started_ms)
        stands_still = node.stands_still or machine.frozen or began_ms > told_by_ms
        if not (node.alive and options.is_roomy) or stands_still:
            return
        renewals = self.renewals.get(node.boot, [])
        renewed_ms = max((sent for told, sent in renewals if told <= told_by_ms), default=0)
        left_ms = renewed_ms + int(options.lease_ms / node.rate) - 1 - now_ms
        if renewals and left_ms > 0:
            text = f"{node.name} has {left_ms} ms left, dispatch {dispatch_id} is ended"
            number = self.rows.dispatches[dispatch_id]["task_instance_id"]
            raise Violation("I14 nothing is ended within a lease", text, number)

    # --- who is dead ------------------------------------------------------------------------------

    def look(self, events: list[Fields]) -> None:
        """After a commit of the master with these events. Raises `Violation`."""
        rows = self.rows.staff.before
        dead = {worker: None for worker, row in rows.items() if row["dead_at"]}
        deaths = [worker for worker in dead if worker not in self.dead]
        known = self.dead | dead  # what was parked is taken from them when it is let go on
        self.dead = dead
        for event in events:
            if event["actor"] != "registry":
                continue
            if event["worker"] in known or event["dispatch_id"] in self.given_up:
                self.given_up[event["dispatch_id"]] = None
            elif event["event"] == Event.LOST and event["detail"] == "worker_lost":
                row = rows[event["worker"]]
                if row["event_no"] > self.written.get(row["id"], 0) + 1:  # back in the same commit
                    self.given_up[event["dispatch_id"]] = None
                    continue
                raise Violation("I12 dead before it is replaced", f"{event}")
        for worker in deaths:
            self._check_death(worker)
        self.written = {worker: row["event_no"] for worker, row in rows.items()}

    def _check_death(self, worker: str) -> None:
        """I14, I34: whoever is declared dead was silent for long enough, and can run nothing."""
        (node,) = (w for w in self.world.workers if w.name == worker)
        options = self.world.options
        patience_ms = options.lease_ms + 2 * options.fence_grace_ms
        master = self.world.master
        age_ms = master.wall_ms() - self.rows.staff.before[worker]["dead_at"]
        decided_ms = self.world.now_ms - int(age_ms / master.rate)  # the commit took its time
        before = [ms for ms in self.heard_ms.get(worker, []) if ms < decided_ms - 1]
        silent_ms = decided_ms - (before or [0])[-1]
        jumps = options.clock_jump_ms or not before
        if silent_ms * (1 + options.drift) + 2 < patience_ms and not jumps:
            text = f"{worker} was heard {silent_ms} ms before its death"
            raise Violation("I14 not dead before lease and two graces", text)
        for process in node.machine.processes.values():
            kept = node.leased and process.start["keep"]
            if not kept and not (node.leased and self.excuses(process)):
                text = f"pid {process.pid} runs on {worker}, which is declared dead"
                raise Violation("I14 nothing runs on the dead", text, _number(process))


def _number(process: "Process") -> int:
    number: int = process.start["task_instance_id"]
    return number
