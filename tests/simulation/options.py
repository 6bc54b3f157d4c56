"""What a seed draws: its cluster, its load and its weather, whole kinds of fault switched off.

A different mix per seed finds more than everything on at once. Times are virtual milliseconds.
Each option is drawn by a chance of its own, so that one more changes nothing about the others.
What each fault of reliability.md section 4 is called here stands in `coverage.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

#: What heals; the rest is what the cluster is.
WEATHER = (
    *("loss", "repeats", "delay_ms_max", "fifo", "ghosts", "cut_interval_ms", "partition_ms"),
    *("clog_ms", "forge_ms", "herd_ms", "queue_max", "crash_point", "crash_at", "crash_judging"),
    *("master_crash_ms", "worker_crash_ms", "warden_crash_ms", "reboot_ms", "blackout_ms"),
    *(
        "down_ms_max",
        "freeze_ms",
        "suspend_ms",
        "lose_ms",
        "block_ms",
        "child_kill_ms",
        "shutdowns",
        "dismissed",
        "mended_ms",
    ),
    *("commit_ms_max", "commit_slow", "commit_stall", "commit_unknown", "commit_final"),
    "scarce",
    *("disk_full_ms", "disk_ms", "orders_ms", "flap_ms", "twin_ms", "clock_jump_ms"),
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
    pids_max: int = 30_000  # of a machine, then they begin anew
    keeping: float = 0.0  # of tasks that are to outlive a lease
    leased: float = 0.5  # of workers that are on machines of their own
    lease_ms: int = 10_000
    fence_grace_ms: int = 4_000
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
    poison: float = 0.0  # of tasks that take their machine down
    limits: float = 0.0  # of tasks, and half as many workflows, that have a timeout
    delays: float = 0.0  # of tasks that wait before their first try
    priorities: bool = False  # drawn for workflows and tasks; else all are medium
    age_ms: int = 600_000  # so long a wait makes up for one level of priority
    stops: float = 0.0  # of instances that somebody stops
    dry: float = 0.0  # of instances that are only rehearsed
    log_bytes_max: int = 0  # of each task's log; 0: wardens do not look at them
    storm_ms: int = 0  # interval: somebody does something to something
    kills: float = 0.0  # of instances in which somebody kills tasks
    parts: float = 0.0  # of submits whose definition is named, and sent in parts before
    doubles: float = 0.2  # of requests that are sent again although they were answered
    shutdowns: int = 0  # interval
    dismissed: float = 0.0  # of workers that a shutdown ends, and that are not up again for long
    big: float = 0.0  # of tasks that only workers of group big take
    orders_ms: int = 0  # between two of people's orders to workers
    safety_ms: int = 60_000
    # the wire
    loss: float = 0.0
    repeats: float = 0.0
    delay_ms_max: int = 5
    fifo: bool = True  # frames of a connection arrive in the order they were sent
    ghosts: bool = False  # what a dead connection still held arrives at the next one
    queue_max: int = 1_000  # frames under way on one connection; more are dropped
    cut_interval_ms: int = 0
    cut_ms_max: int = 8_000
    partition_ms: int = 0  # interval: the master is cut off from all
    clog_ms: int = 0  # interval: connections stand still one by one, and go on in another order
    forge_ms: int = 0  # interval: a worker speaks of another's attempt
    herd_ms: int = 0  # interval: all connections break at once
    # processes
    crash_point: float = 0.0  # at each gap between two effects
    crash_at: int = 0  # at this gap, counted over all nodes
    crash_judging: float = 0.0  # while a registration is under way
    master_crash_ms: int = 0
    worker_crash_ms: int = 0
    warden_crash_ms: int = 0
    child_kill_ms: int = 0  # a task's process is killed by somebody else
    reboot_ms: int = 0
    twin_ms: int = 0  # between two clones of workers
    flap_ms: int = 0  # between two times when a worker comes and goes every second
    disk_ms: int = 0  # between two times when a worker's disk is short
    power_cut: bool = False  # a reboot loses what was not synced
    blackout_ms: int = 0  # interval: all nodes crash at once
    down_ms_max: int = 2_000
    freeze_ms: int = 0  # interval: SIGSTOP, then SIGCONT
    freeze_ms_max: int = 10_000
    lose_ms: int = 0  # interval: a worker is lost for good
    suspend_ms: int = 0  # interval: a worker's machine stands still as a whole
    suspend_ms_max: int = 30_000
    block_ms: int = 0  # interval: a node's loop stands still, its threads go on
    # disks and clocks
    commit_ms_max: int = 2
    commit_slow: float = 0.0  # commits that take seconds
    commit_stall: float = 0.0  # commits that fail for a while
    scarce: float = 0.0  # of spawns that fail for want of a process, of memory, of a file
    commit_unknown: float = 0.0  # commits whose answer is lost, whether they succeeded or not
    commit_final: float = 0.0  # commits after which the node must end
    disk_full_ms: int = 0  # interval
    disk_full_ms_max: int = 10_000  # a lease, or several
    crasher: str = ""  # what crashes whoever receives it, of one instance (poison.py)
    mended_ms: int = 0  # interval: somebody mends the program, and lets go on what was parked
    cycle_ms_max: int = 1
    file_ms_max: int = 5
    clock_offset_ms_max: int = 0
    clock_jump_ms: int = 0
    drift: float = 0.0  # of each node's clocks, either way

    def text(self) -> str:
        """Every option, for the report of a failure."""
        return " ".join(f"{name}={value!r}" for name, value in vars(self).items())

    @property
    def is_prompt(self) -> bool:
        """Whether a node does what it plans within the longest cycle and commit."""
        slow = self.commit_slow or self.commit_stall or self.commit_unknown or self.disk_full_ms
        return not (slow or self.freeze_ms or self.suspend_ms or self.block_ms)

    @property
    def is_roomy(self) -> bool:
        """Whether a node takes what comes, and soon."""
        behind = self.turn_messages * 50 < self.cycle_ms_max
        return self.mailbox_max >= 1_000 and self.ahead_bytes >= 1_000_000 and not behind

    def healed(self) -> "Options":
        """The same cluster in fine weather."""
        fine = Options(seed=self.seed)
        return replace(self, **{name: getattr(fine, name) for name in WEATHER})


Draw = Callable[[Random], Any]


def some(*values: Any) -> Draw:
    """One of them, each as likely."""
    return lambda random: random.choice(values)


def kind(chance: float, *values: Any) -> Draw:
    """A kind of fault: off in most seeds, else one of the values."""
    off = type(values[0])(0)
    return lambda random: random.choice(values) if random.random() < chance else off


DRAWN: dict[str, Draw] = {
    # the cluster
    "workers": some(1, 2, 2, 3),
    "slots": some(1, 2, 4),
    "leased": some(0.0, 0.5, 1.0),
    "lease_ms": some(10_000, 10_000, 5_000),
    "fence_grace_ms": some(4_000, 4_000, 1_000),
    "keeping": kind(0.3, 0.3),
    "turn_messages": some(1, 3, 1_000, 1_000),
    "mailbox_max": some(4, 50, 100_000, 100_000),
    "ahead_bytes": some(400, 4_000, 16 * 1024 * 1024, 16 * 1024 * 1024),
    "pids_max": some(30_000, 30_000, 40),
    # the load
    "instances": some(2, 4, 8),
    "tasks_max": some(3, 6, 12),
    "task_ms_max": some(5, 500, 4_000),
    "failing": some(0.0, 0.2, 0.5),
    "noops": some(0.0, 0.3, 0.9),
    "deaf": kind(0.3, 0.3),
    "littering": kind(0.3, 0.3),
    "odd": kind(0.3, 0.15),
    "stubborn": kind(0.2, 0.3),
    "poison": kind(0.1, 0.1),
    "stops": kind(0.4, 0.3, 0.7),
    "kills": kind(0.4, 0.3, 1.0),
    "storm_ms": kind(0.15, 300, 3_000),
    "dry": kind(0.3, 0.3),
    "log_bytes_max": kind(0.3, 100_000),
    "doubles": some(0.0, 0.3),
    "parts": kind(0.4, 0.3, 1.0),
    "shutdowns": kind(0.15, 20_000),
    "dismissed": kind(0.3, 0.5),
    "limits": kind(0.5, 0.3, 0.8),
    "delays": kind(0.3, 0.2, 0.6),
    "priorities": some(True, False),
    "age_ms": some(100, 5_000, 600_000),
    "big": kind(0.3, 0.2, 0.6),
    "orders_ms": kind(0.3, 1_000, 8_000),
    "safety_ms": some(20_000, 40_000, 60_000),
    # the wire
    "loss": kind(0.5, 0.02, 0.1, 0.3),
    "repeats": kind(0.4, 0.05, 0.3),
    "delay_ms_max": some(2, 20, 300, 3_000),
    "fifo": some(True, True, False),
    "ghosts": some(True, False, False, False),
    "queue_max": some(1_000, 1_000, 1_000, 3),
    "cut_interval_ms": kind(0.3, 6_000, 20_000),
    "cut_ms_max": some(1_000, 15_000),
    "partition_ms": kind(0.15, 10_000, 30_000),
    "clog_ms": kind(0.15, 10_000, 30_000),
    "forge_ms": kind(0.1, 2_000),
    "herd_ms": kind(0.1, 3_000, 15_000),
    # processes
    "crash_point": kind(0.3, 0.002, 0.01),
    "crash_judging": kind(0.15, 0.1, 0.5),
    "master_crash_ms": kind(0.3, 5_000, 15_000),
    "worker_crash_ms": kind(0.3, 1_000, 3_000, 15_000),
    "warden_crash_ms": kind(0.3, 5_000, 15_000),
    "child_kill_ms": kind(0.15, 2_000),
    "reboot_ms": kind(0.15, 10_000, 20_000),
    "power_cut": some(True, False),
    "flap_ms": kind(0.15, 15_000),
    "twin_ms": kind(0.2, 4_000, 15_000),
    "blackout_ms": kind(0.1, 15_000),
    "down_ms_max": some(1, 100, 3_000),
    "freeze_ms": kind(0.2, 5_000, 20_000),
    "freeze_ms_max": some(1_000, 10_000, 40_000),
    "lose_ms": kind(0.15, 15_000),
    "suspend_ms": kind(0.2, 10_000, 30_000),
    "block_ms": kind(0.15, 5_000, 20_000),
    # disks and clocks
    "commit_ms_max": some(1, 20, 500),
    "commit_slow": kind(0.15, 0.01),
    "commit_stall": kind(0.2, 0.02, 0.2),
    "commit_unknown": kind(0.2, 0.02, 0.2),
    "commit_final": kind(0.2, 0.005),
    "disk_full_ms": kind(0.15, 15_000),
    "disk_full_ms_max": some(10_000, 40_000),
    "disk_ms": kind(0.2, 2_000, 10_000),
    "cycle_ms_max": some(0, 1, 100),
    "file_ms_max": some(1, 200, 2_000),
    "clock_offset_ms_max": kind(0.5, 100, 3_600_000),
    "clock_jump_ms": kind(0.2, 10_000),
    "drift": kind(0.3, 0.01),
    "scarce": kind(0.15, 0.3),
    "mended_ms": kind(0.5, 20_000),
}


def draw(seed: int, **fixed: Any) -> Options:
    """The options of a seed; what is ``fixed`` is not drawn."""
    drawn = {name: of(Random(f"{seed}.{name}")) for name, of in DRAWN.items()}
    options = Options(seed=seed, **drawn | fixed)
    # A storm is more than it can take, or than can be looked up.
    slow = options.turn_messages * 50 < options.cycle_ms_max
    if slow or options.commit_ms_max > options.storm_ms:
        options = replace(options, storm_ms=10 * options.storm_ms)
    if options.crasher:  # what is parked is told again and again, and must find room beside others
        return replace(options, mailbox_max=max(options.mailbox_max, 50))
    return replace(options, mended_ms=0)  # nothing is parked
