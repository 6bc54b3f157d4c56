"""Clusters with many tasks that lose a node, and how long it takes until they go on.

``python -m tests.live.at_scale adoption 1000`` and ``… master 10000`` print one JSON line each;
`test_at_scale.py` runs them smaller. Times are seconds from the new process's start.
"""

import fcntl
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .home import LiveHome, until

LOOK_S = 0.005
LIMIT_S = 600.0
#: One process, which waits without using the processor, and writes that it has begun.
HELD = '#!/bin/sh\necho ran >> "{folder}/ran.$STENELLA_TASK"\nexec flock -s "{lock}" true'


@contextmanager
def held(path: Path) -> Iterator[Any]:
    """A lock that tasks wait for; to be released by ``fcntl.flock``."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


class Look:
    """The cluster's database, read beside it."""

    def __init__(self, home: LiveHome) -> None:
        name = f"file:{home.root}/stenella.db?mode=ro"
        self.connection = sqlite3.connect(name, uri=True, isolation_level=None)

    def __call__(self, sql: str, *values: Any) -> Any:
        return self.connection.execute(sql, values).fetchone()[0]

    def running(self) -> int:
        count: int = self("SELECT count(*) FROM task_instance WHERE state = 1 AND pid > 0")
        return count


def now_s() -> float:
    """The clock by which the kernel notes when a process began."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def began_s(pid: int) -> float:
    """When the process began, to a hundredth."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(stat[19]) / os.sysconf("SC_CLK_TCK")


def pid_in(path: Path) -> int:
    return int(path.read_text())


def adoption(home: LiveHome, count: int) -> dict[str, Any]:
    """A worker is killed with twice ``count`` tasks; half of them end before it is there again."""
    with held(home.folder / "ends") as ends, held(home.folder / "stays") as stays:
        home.run("up", "--workers", "1", "--slots", str(2 * count), "--detach")
        look = Look(home)
        tasks = [
            {"name": f"{kind}{n}", "script": HELD.format(folder=home.folder, lock=lock.name)}
            for kind, lock in (("e", ends), ("s", stays))
            for n in range(count)
        ]
        number = home.json("submit", home.definition("many", tasks))["workflow_instance_id"]
        until(lambda: look.running() == 2 * count, "all run", LIMIT_S)
        supervisor = pid_in(home.root / "run" / "supervisor.lock")
        os.kill(supervisor, signal.SIGSTOP)
        home.kill(pid_in(home.root / "workers" / "1" / "lock"))
        fcntl.flock(ends, fcntl.LOCK_UN)
        log = home.root / "workers" / "1" / "warden.log"
        until(lambda: log.read_text().count('"ended"') >= count, "half have ended", LIMIT_S)
        os.kill(supervisor, signal.SIGCONT)
        while look("SELECT count(*) FROM task_instance WHERE state = 7") < count:
            time.sleep(LOOK_S)
        while look("SELECT count(*) FROM task_event WHERE event = 13") < count:
            time.sleep(LOOK_S)
        known_s = now_s()
        adopted_s = known_s - began_s(home.pids("workers")[0])
        stopped_s = now_s()
        home.run("stop", str(number))
        while look("SELECT count(*) FROM task_instance WHERE state = 9") < count:
            time.sleep(LOOK_S)
        return {
            "adopted": 2 * count,
            "adopted_s": round(adopted_s, 2),
            "killed": count,
            "killed_s": round(now_s() - stopped_s, 2),
            "lost": look("SELECT count(*) FROM task_event WHERE event = 5"),
            "twice": sum(p.read_text() != "ran\n" for p in home.folder.glob("ran.*")),
        }


def master_restart(home: LiveHome, count: int) -> dict[str, Any]:
    """The master is killed with ``count`` live tasks, a tenth of them running."""
    running = count // 10
    with held(home.folder / "stays") as stays:
        home.run("up", "--workers", "1", "--slots", str(running + 4), "--detach")
        look = Look(home)
        script = HELD.format(folder=home.folder, lock=stays.name)
        tasks = [{"name": f"s{n}", "script": script} for n in range(running)]
        tasks += [{"name": f"q{n}", "script": "sleep 0.2"} for n in range(count - running)]
        home.json("submit", home.definition("many", tasks))
        until(lambda: look.running() >= running, "they run", LIMIT_S)
        live = look("SELECT count(*) FROM task_instance WHERE state IN (0, 1, 17)")
        epoch = look("SELECT epoch FROM master")
        home.kill(home.pids("masters")[0])
        while look("SELECT epoch FROM master") == epoch:
            time.sleep(LOOK_S)
        last = look("SELECT max(id) FROM task_event")
        placed = "SELECT count(*) FROM task_event WHERE id > ? AND event = 0"
        while not look(placed, last):
            time.sleep(LOOK_S)
        went_on_s = now_s()
        return {
            "live": live,
            "goes_on_s": round(went_on_s - began_s(look("SELECT pid FROM master")), 2),
            "lost": look("SELECT count(*) FROM task_event WHERE event = 5"),
        }


MEASURES = {"adoption": adoption, "master": master_restart}


def main(what: str, count: int) -> None:
    """Measure once, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        home = LiveHome(Path(folder))
        try:
            sys.stdout.write(json.dumps(MEASURES[what](home, count)) + "\n")
        finally:
            home.run("down", "--wait", "0s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
