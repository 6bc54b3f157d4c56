"""A worker's machine: processes with a life of their own, files that survive, and the warden's.

A process runs the plan that its script is (see `workflows.py`), whoever may have died around it.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .warden_process import WardenProcess

if TYPE_CHECKING:
    from .worker_node import WorkerNode
    from .world import World

KILL, TERM = 9, 15
PIDS_BEGIN = 100  # the lowest that a task gets
UNSYNCED_LINES_MAX = 30
AWAKE_MS = 1_000
#: KILL takes effect at once as a rule, later in an uninterruptible sleep.
DYING_MS_MAX = 5
WARDEN_START_MS = 60
THAW_MS_MAX = 5  # in which all goes on that waited
#: What a bomb has, what a worker allows, and how long the bomb goes on if nobody ends it.
BOMB_PROCESSES, PROCESSES_MAX = 10_000, 100
BOMB_MS = 30_000
OUTPUT = "/work/output"  # whatever else is looked at is a log
Fields = dict[str, Any]


class Process:
    """One process; ``start`` is the warden's order that it came from."""

    def __init__(
        self, machine: "Machine", pid: int, start_ticks: int, start: Fields, main: bool
    ) -> None:
        self.machine = machine
        self.pid = pid
        self.start_ticks = start_ticks
        self.start = start
        self.main = main
        self.plan: Fields = json.loads(start["argv"][1])
        self.alive = True
        self.killed_ms: int | None = None  # when it got KILL
        self.oom = ""  # where, if it died for want of memory
        self.bomb_ms: int | None = None  # since when it has more processes than it may
        self.parent: WardenProcess | None = None


class Machine:
    """What is left when every process of ours has died: the rest of the processes, and the disk."""

    def __init__(self, world: "World", node: "WorkerNode") -> None:
        self.world = world
        self.node = node
        self.boots = 0
        self.booted_ms = 0
        self.pids = PIDS_BEGIN
        self.processes: dict[int, Process] = {}  # living ones
        self.spawns: dict[int, int] = {}  # task instance id → how often
        self.folders: dict[int, Fields] = {}  # dispatch id → outputs written
        self.said: dict[int, list[str]] = {}  # dispatch id → lines of its log
        self.log: list[str] = []  # warden.log
        self.capped: dict[str, int] = {}  # log → when it was looked at last
        self.warden: WardenProcess | None = None
        self.warden_started_ms = 0
        self.frozen = False  # all of it: a suspended machine
        self.thawed_ms = -1_000_000
        self.backlog: list[Callable[[], object]] = []

    # --- standing still ---------------------------------------------------------------------------

    def freeze(self, for_ms: int) -> None:
        """Nothing happens on it, and then all goes on."""
        if self.frozen:
            return
        self.frozen = True
        self.node.stand_still(for_ms, whole=True)
        self.world.trace.add(self.world.now_ms, self.node.name, "freezes", f"for {for_ms} ms")
        self.world.after(for_ms, self.thaw)

    @property
    def has_slept(self) -> bool:
        """It stands still, or did so a moment ago."""
        return self.frozen or self.world.now_ms - self.thawed_ms < AWAKE_MS

    def thaw(self) -> None:
        """It goes on, in whatever order."""
        if not self.frozen:
            return
        self.frozen, self.thawed_ms = False, self.world.now_ms
        self.world.trace.add(self.world.now_ms, self.node.name, "thaws")
        waiting, self.backlog = self.backlog, []
        for action in waiting:
            self.world.after(self.world.random.randint(0, THAW_MS_MAX), action)

    def when_awake(self, action: Callable[[], object]) -> None:
        """Do it now, or when the machine runs again."""
        if self.frozen:
            self.backlog.append(action)
        else:
            action()

    @property
    def kernel_boot(self) -> str:
        """Changes with a reboot."""
        if self.node.leased:
            return f"kernel-{self.node.name}-{self.boots}"
        return f"kernel-here-{self.world.boots_here}"

    @property
    def seen_from_master(self) -> str:
        """By what name a master on the same machine knows it; empty: it is another one."""
        return "" if self.node.leased else self.kernel_boot

    # --- the warden -------------------------------------------------------------------------------

    def start_warden(self) -> WardenProcess:
        """Start one where there is none."""
        assert self.warden is None
        self.pids += 1
        self.warden_started_ms = self.world.now_ms
        self.warden = WardenProcess(self.world, self, self.pids)
        return self.warden

    def kill_warden(self) -> None:
        """SIGKILL: its children go on without parent."""
        if self.warden is not None:
            self.warden.die()

    def warden_ended(self) -> None:
        """It is gone, by itself or not."""
        self.warden = None
        for process in self.processes.values():
            process.parent = None

    def reboot(self) -> None:
        """Nothing of the running survives."""
        self.kill_warden()
        for process in list(self.processes.values()):
            process.alive = False
            self.world.checkers.on_end(self.node, process)
        self.processes.clear()
        self.frozen, self.backlog = False, []
        self.boots += 1
        self.booted_ms, self.pids = self.world.now_ms, PIDS_BEGIN

    def lose_log(self) -> None:
        """A power cut: the last lines of the warden's log were never synced."""
        kept = self.world.random.randint(max(0, len(self.log) - UNSYNCED_LINES_MAX), len(self.log))
        del self.log[kept:]

    # --- processes --------------------------------------------------------------------------------

    def spawn(self, start: Fields) -> Process | None:
        """A main process; None if it cannot be started."""
        number = start["task_instance_id"]
        tries = self.spawns[number] = self.spawns.get(number, 0) + 1
        process = self._new(start, main=True)
        if process.plan["odd"] == "spawn":
            del self.processes[process.pid]
            return None
        self.world.checkers.on_spawn(self.node, process)
        plan = process.plan
        duration_ms = plan.get("at_least_ms", 0) + self.world.random.randint(0, plan["ms"])
        code = 1 if tries <= plan["fails"] else 0
        self._after(duration_ms, lambda: self._finish(process, code))
        if plan["odd"] == "poison":
            self._after(duration_ms // 2, lambda: self._poison(process))
        return process

    def _after(self, wait_ms: int, action: Callable[[], object]) -> None:
        self.world.after(wait_ms, lambda: self.when_awake(action))

    def _new(self, start: Fields, main: bool) -> Process:
        unreaped = self.warden.mains if self.warden is not None else {}
        self.pids += 1
        while self.pids in self.processes or self.pids in unreaped:
            self.pids += 1
        if self.pids > PIDS_BEGIN + self.world.options.pids_max:
            self.pids = PIDS_BEGIN
            return self._new(start, main)
        ticks = (self.world.now_ms - self.booted_ms) // 10
        process = self.processes[self.pids] = Process(self, self.pids, ticks, start, main)
        process.parent = self.warden
        return process

    def _finish(self, process: Process, code: int) -> None:
        if not process.alive or process.killed_ms is not None:
            return
        start = process.start
        if process.plan["odd"] == "oom":
            process.oom = "group"
            self.end(process, None, KILL)
            return
        if process.plan["odd"] == "bomb" and process.bomb_ms is None:
            process.bomb_ms = (
                self.world.now_ms
            )  # it forks on, and ends by itself some time or not at all
            self.world.after(BOMB_MS, lambda: self._finish(process, code))
            return
        if code == 0 and process.plan["odd"] != "outputs":
            value = f"{start['task_instance_id']}.{start['attempt']}"
            if process.plan["odd"] == "text":
                value += "\0"
            self.folders[start["dispatch_id"]] = dict.fromkeys(process.plan["outputs"], value)
        if process.plan["says"]:
            self._say(process, process.plan["says"])
        if process.plan["litters"]:
            self._new(start, main=False)
        self.end(process, code, None)

    def _say(self, process: Process, line: str) -> None:
        self.said.setdefault(process.start["dispatch_id"], []).append(line)

    def _poison(self, process: Process) -> None:
        """It takes the whole machine down."""
        if process.alive:
            self.node.reboot()

    def end(self, process: Process, code: int | None, signal: int | None) -> None:
        """It is dead; its parent, if it has one, will reap it."""
        if not process.alive:
            return
        process.alive = False
        del self.processes[process.pid]
        if not process.main:
            self._say(process, "left behind")
        self.world.checkers.on_end(self.node, process)
        self.note("exits", process, f"code={code} signal={signal}")
        if process.main and process.parent is not None:
            process.parent.reap(process, code, signal)

    def terminate(self, process: Process) -> None:
        """TERM, which it may ignore."""
        if not (process.plan["deaf"] or process.plan.get("stubborn_ms")):
            wait_ms = self.world.random.randint(0, 300)
            self._after(wait_ms, lambda: self.end(process, None, TERM))

    def kill(self, process: Process) -> None:
        """KILL."""
        if process.killed_ms is None:
            process.killed_ms = self.world.now_ms
            wait_ms = self.world.random.randint(0, DYING_MS_MAX)
            wait_ms += process.plan.get("stubborn_ms", 0)
            self._after(wait_ms, lambda: self.end(process, None, KILL))

    def is_silent(self, sweep: Fields) -> bool:
        """As `runtime/warden_logs.are_empty`."""
        number, traces = sweep["dispatch_id"], sweep["traces"]
        if traces is None:
            return False
        written: dict[str, Any] = {OUTPUT: self.folders.get(number)}
        return not any(written.get(path, self.said.get(number)) for path in traces)

    def carrying(self, marker: str) -> list[Process]:
        """Living processes of one attempt."""
        return [p for p in self.processes.values() if p.start["marker"] == marker]

    def count(self, marker: str) -> int:
        """Processes of one attempt; a bomb's are not played one by one."""
        return sum(1 if p.bomb_ms is None else BOMB_PROCESSES for p in self.carrying(marker))

    def note(self, kind: str, process: Process, text: str) -> None:
        """Write into the trace."""
        about = {name: process.start[name] for name in ("task_instance_id", "dispatch_id")}
        self.world.trace.add(
            self.world.now_ms, self.node.name, kind, about | {"pid": process.pid}, text
        )
