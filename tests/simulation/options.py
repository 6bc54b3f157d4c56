"""What a seed draws: its cluster, its load and its weather, whole kinds of fault switched off.

A different mix per seed finds more than everything on at once. Times are virtual milliseconds.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Any

#: What heals; the rest is what the cluster is.
WEATHER = (
    *("loss", "repeats", "delay_ms_max", "fifo", "ghosts", "cut_interval_ms", "crash_point"),
    *("master_crash_ms", "worker_crash_ms", "warden_crash_ms", "reboot_ms", "shutdowns"),
    *("orders_ms", "disk_ms", "flap_ms"),
    *("commit_ms_max", "commit_stall", "commit_final", "clock_jump_ms"),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """One seed's draw. Rates are chances per occasion; an interval of 0 means never."""

    seed: int
    # the cluster
    workers: int = 2
    slots: int = 2
    turn_messages: int = 1_000
    mailbox_max: int = 100_000
    ahead_bytes: int = 16 * 1024 * 1024
    kill_grace_ms: int = 2_000
    # the load
    instances: int = 4
    tasks_max: int = 8
    task_ms_max: int = 2_000
    failing: float = 0.2  # of tasks that fail at their first try
    noops: float = 0.3  # of tasks that need no process
    deaf: float = 0.0  # of processes that ignore TERM
    littering: float = 0.0  # of processes that leave something behind
    odd: float = 0.0  # of tasks that cannot be prepared or spawned, or give no output
    stubborn: float = 0.0  # of processes that KILL ends only after a while
    stops: float = 0.0  # of instances that somebody stops
    dry: float = 0.0  # of instances that are only rehearsed
    kills: float = 0.0  # of instances in which somebody kills tasks
    doubles: float = 0.2  # of requests that are sent again although they were answered
    shutdowns: int = 0  # interval
    big: float = 0.0  # of tasks that only workers of group big take
    orders_ms: int = 0  # between two of people's orders to workers
    safety_ms: int = 60_000
    # the wire
    loss: float = 0.0
    repeats: float = 0.0
    delay_ms_max: int = 5
    fifo: bool = True  # frames of a connection arrive in the order they were sent
    ghosts: bool = False  # what a dead connection still held arrives at the next one
    cut_interval_ms: int = 0
    cut_ms_max: int = 8_000
    # crashes
    crash_point: float = 0.0  # at each gap between two effects
    master_crash_ms: int = 0
    worker_crash_ms: int = 0
    warden_crash_ms: int = 0
    reboot_ms: int = 0
    flap_ms: int = 0  # between two times when a worker comes and goes every second
    disk_ms: int = 0  # between two times when a worker's disk is short
    down_ms_max: int = 2_000
    # disks and clocks
    commit_ms_max: int = 2
    commit_stall: float = 0.0  # commits that fail for a while
    commit_final: float = 0.0  # commits that can never succeed
    cycle_ms_max: int = 1
    file_ms_max: int = 5
    clock_offset_ms_max: int = 0
    clock_jump_ms: int = 0

    def text(self) -> str:
        """Every option, for the report of a failure."""
        return " ".join(f"{name}={value!r}" for name, value in vars(self).items())

    def healed(self) -> "Options":
        """The same cluster in fine weather."""
        fine = Options(seed=self.seed)
        return replace(self, **{name: getattr(fine, name) for name in WEATHER})


def draw(seed: int, **fixed: Any) -> Options:
    """The options of a seed; what is ``fixed`` is not drawn."""
    random = Random(seed)

    def some(*values: Any) -> Any:
        return random.choice(values)

    def kind(chance: float, *values: Any) -> Any:
        """A kind of fault: off in most seeds."""
        drawn, chosen = random.random(), random.choice(values)
        return chosen if drawn < chance else type(chosen)(0)

    drawn: dict[str, Any] = {
        "workers": some(1, 2, 2, 3),
        "slots": some(1, 2, 4),
        "turn_messages": some(1, 3, 1_000, 1_000),
        "mailbox_max": some(4, 50, 100_000, 100_000),
        "ahead_bytes": some(400, 4_000, 16 * 1024 * 1024, 16 * 1024 * 1024),
        "instances": some(2, 4, 8),
        "tasks_max": some(3, 6, 12),
        "task_ms_max": some(5, 500, 4_000),
        "failing": some(0.0, 0.2, 0.5),
        "noops": some(0.0, 0.3, 0.9),
        "deaf": kind(0.3, 0.3),
        "littering": kind(0.3, 0.3),
        "odd": kind(0.3, 0.15),
        "stubborn": kind(0.2, 0.3),
        "stops": kind(0.4, 0.3, 0.7),
        "dry": kind(0.3, 0.3),
        "kills": kind(0.4, 0.3, 1.0),
        "doubles": some(0.0, 0.3),
        "shutdowns": kind(0.15, 20_000),
        "safety_ms": some(20_000, 40_000, 60_000),
        "loss": kind(0.5, 0.02, 0.1, 0.3),
        "repeats": kind(0.4, 0.05, 0.3),
        "delay_ms_max": some(2, 20, 300, 3_000),
        "fifo": some(True, True, False),
        "ghosts": some(True, False, False, False),
        "cut_interval_ms": kind(0.4, 6_000, 20_000),
        "cut_ms_max": some(1_000, 15_000),
        "crash_point": kind(0.4, 0.002, 0.01),
        "master_crash_ms": kind(0.4, 5_000, 15_000),
        "worker_crash_ms": kind(0.4, 3_000, 15_000),
        "warden_crash_ms": kind(0.3, 5_000, 15_000),
        "reboot_ms": kind(0.1, 20_000),
        "down_ms_max": some(100, 3_000),
        "commit_ms_max": some(1, 20, 500),
        "commit_stall": kind(0.3, 0.02, 0.2),
        "commit_final": kind(0.2, 0.005),
        "cycle_ms_max": some(0, 1, 100),
        "file_ms_max": some(1, 200, 2_000),
        "clock_offset_ms_max": kind(0.5, 100, 3_600_000),
        "clock_jump_ms": kind(0.2, 10_000),
        "big": kind(0.3, 0.2, 0.6),
        "orders_ms": kind(0.4, 1_000, 8_000),
        "disk_ms": kind(0.2, 2_000, 10_000),
        "flap_ms": kind(0.15, 15_000),
    }
    return Options(seed=seed, **drawn | fixed)
