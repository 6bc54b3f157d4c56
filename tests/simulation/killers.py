"""Pairs of faults that are known to kill schedulers, and a small world to crash at every point.

The pairs are reliability.md's list at the end of section 4, as options; each is played with seeds
of its own, everything else drawn.
"""

from typing import Any

KILLERS: dict[str, dict[str, Any]] = {
    "F25+F11 a frozen worker goes on after another life of it": {
        "freeze_ms": 4_000,
        "freeze_ms_max": 40_000,
        "worker_crash_ms": 5_000,
        "down_ms_max": 1,
        "noops": 0.0,
    },
    "F7+F9 a commit of which nobody knows, then a crash": {
        "commit_unknown": 0.3,
        "crash_point": 0.01,
    },
    "F10+F20 the power fails on results without acknowledgement": {
        "reboot_ms": 4_000,
        "power_cut": True,
        "worker_crash_ms": 4_000,
        "loss": 0.3,
        "noops": 0.0,
    },
    "F14+F6 a crash while it is reconciled, in a cut network": {
        "crash_judging": 0.5,
        "partition_ms": 8_000,
        "master_crash_ms": 8_000,
        "noops": 0.0,
    },
    "F33+F2 a clone, and old messages": {
        "twin_ms": 8_000,
        "repeats": 0.3,
        "ghosts": True,
        "noops": 0.0,
        "task_ms_max": 4_000,
        "leased": 0.7,
    },
    "F24+F31 a master that does not come round, and everybody at its door": {
        "block_ms": 6_000,
        "herd_ms": 4_000,
        "instances": 8,
        "workers": 3,
    },
    "F36+F13 users in a storm, and everything goes down": {
        "storm_ms": 300,
        "stops": 0.3,
        "kills": 0.3,
        "blackout_ms": 6_000,
        "instances": 8,
    },
}

#: Chains, outputs, a retry, a task that is killed with its instance: one of each, and no more.
SMALL: dict[str, Any] = {
    "workers": 1,
    "slots": 2,
    "instances": 2,
    "tasks_max": 4,
    "task_ms_max": 300,
    "failing": 0.3,
    "noops": 0.2,
    "stops": 0.5,
    "doubles": 0.0,
    "safety_ms": 4_000,
    "down_ms_max": 20,
}
SMALL_SEED = 2
