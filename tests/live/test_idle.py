"""A cluster that has nothing to do does nothing: no commit, no wake-up but for heartbeats."""

import sqlite3
import time
from pathlib import Path

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

#: Heartbeats so far apart that none falls into the time that is looked at.
SELDOM = {"STENELLA_CLUSTER__HEARTBEAT_S": "60", "STENELLA_CLUSTER__LEASE_S": "180"}
IDLE_S = 5.0
#: Of a process in that time; the sweeper's look may be among them.
WAKES_MAX = 3


def test_an_idle_cluster_neither_commits_nor_wakes_but_for_heartbeats(home: LiveHome) -> None:
    home.environment |= SELDOM
    home.run("up", "--workers", "1", "--detach")
    # Without a process: a folder for one is kept for the next a while, and removed at a heartbeat.
    home.run("run", home.definition("nothing", [{"name": "t", "type": "noop"}]))
    seen: list[list[int]] = []
    until(lambda: is_quiet(home, seen), "the worker has settled what it ran")
    before, written = wakes(home), sizes(home)

    time.sleep(IDLE_S)  # not for something: it is what is looked at

    woke = {lock: count - before[lock] for lock, count in wakes(home).items()}
    assert {lock: count for lock, count in woke.items() if count > WAKES_MAX} == {}
    assert sizes(home) == written


def is_quiet(home: LiveHome, seen: list[list[int]]) -> bool:
    """Whether nothing was written in the last ten looks."""
    seen.append(sizes(home))
    return len(seen) > 10 and all(size == seen[-1] for size in seen[-10:])


def sizes(home: LiveHome) -> list[int]:
    """The number of the last commit, and the bytes of what is written to."""
    database = sqlite3.connect(f"file:{home.root}/stenella.db?mode=ro", uri=True)
    try:
        [[commit_no]] = database.execute("SELECT commit_no FROM master")
    finally:
        database.close()
    files = ["stenella.db-wal", "workers/1/journal.db-wal", "workers/1/warden.log"]
    return [commit_no, *((home.root / file).stat().st_size for file in files)]


def wakes(home: LiveHome) -> dict[str, int]:
    """How often threads of each process have gone to sleep; libzmq's own, with its pings, aside."""
    counts = {}
    for lock in (
        "run/supervisor.lock",
        "run/master.lock",
        "workers/1/lock",
        "workers/1/warden.lock",
    ):
        threads = Path(f"/proc/{int((home.root / lock).read_text())}/task").iterdir()
        statuses = [(thread / "status").read_text() for thread in threads]
        counts[lock] = sum(
            int(status.split("voluntary_ctxt_switches:")[1].split()[0])
            for status in statuses
            if "Name:\tZMQbg" not in status
        )
    return counts
