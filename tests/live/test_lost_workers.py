"""Workers of a second home that are killed, frozen or cut off: leases of two seconds, for real."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .home import LiveHome, until
from .test_elsewhere import Elsewhere, joined, said_more, workers
from .test_life import WAIT_FOR_GATE
from .test_poison import go_on, mend, parked, spoil

pytestmark = [pytest.mark.live, pytest.mark.slow]

LEASE_S, FENCE_GRACE_S = 2.0, 0.5
#: Two of one task at a time would find the lock taken.
ALONE = 'exec 9> "{lock}"\nflock -n 9 || exit 9\n'


#: Longer than it takes to see on a busy machine that a worker is missed.
PATIENT = pytest.mark.parametrize("lease_s", [60.0])


@pytest.fixture
def lease_s() -> float:
    return LEASE_S


@pytest.fixture
def far(home: LiveHome, tmp_path: Path, lease_s: float) -> Iterator[Elsewhere]:
    """A second home with the worker ``far``; the first one has none yet."""
    home.environment["STENELLA_CLUSTER__LEASE_S"] = str(lease_s)
    home.environment["STENELLA_CLUSTER__FENCE_GRACE_S"] = str(FENCE_GRACE_S)
    home.run("up", "--workers", "0", "--detach")
    made = Elsewhere(tmp_path / "elsewhere", home)
    made.worker(made.key("worker", "far"), "--slots", "2")
    joined(home, "far")
    yield made
    for process in made.started:
        process.send_signal(signal.SIGCONT)
    made.end()


def begin(home: LiveHome, **fields: Any) -> tuple[str, dict[str, Any]]:
    """A task that runs on ``far`` until the gate is there; its instance and how it is shown."""
    script = ALONE.format(lock=home.folder / "lock")
    script += WAIT_FOR_GATE.format(gate=home.folder / "gate")
    tasks = [task | fields for task in home.noting(1, script)]
    number = str(home.json("submit", home.definition("w", tasks))["workflow_instance_id"])
    until(home.ledger_lines, "it runs")
    return number, until(lambda: (t := shown(home, number)) and t["pid"] and t, "it has a pid")


def shown(home: LiveHome, number: str) -> dict[str, Any]:
    task: dict[str, Any] = home.json("show", number)["tasks"][0]
    return task


@contextmanager
def locked(journal: Path) -> Iterator[None]:
    """Nobody else can write it, as while a backup holds it."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield


def gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_what_a_lost_machine_ran_is_run_by_another_worker(home: LiveHome, far: Elsewhere) -> None:
    number, _ = begin(home)
    home.run("up", "--workers", "1", "--detach")
    lose(far)
    killed_s = time.monotonic()
    until(lambda: len(home.ledger_lines()) == 2, "it runs elsewhere")
    took_s = time.monotonic() - killed_s
    (home.folder / "gate").touch()
    done = home.json("wait", number)["tasks"][0]

    assert (done["state"], done["attempt"], done["worker"]) == ("SUCCESS", 2, "worker-1")
    assert LEASE_S + 2 * FENCE_GRACE_S - 0.5 < took_s < 20.0  # a heartbeat earlier it was heard
    assert workers(home)["far"]["state"] == "dead"
    trace = home.json("debug", "trace", f"{number}/t0000")
    assert [row["event"] for row in trace if row["actor"] == "registry"] == ["LOST"]


def test_so_it_is_if_its_instance_was_left_alone_when_the_machine_was_lost(
    home: LiveHome, far: Elsewhere
) -> None:
    number, _ = begin(home)
    home.run("down", "--keep")
    lose(far)
    spoil(home)
    home.run("up", "--workers", "1", "--detach")
    parked(home)
    until(lambda: workers(home)["far"]["state"] == "dead", "its worker is given up")

    mend(home)
    go_on(home)
    until(lambda: len(home.ledger_lines()) == 2, "it runs elsewhere")
    (home.folder / "gate").touch()
    done = home.json("wait", number)["tasks"][0]

    assert (done["state"], done["attempt"], done["worker"]) == ("SUCCESS", 2, "worker-1")
    home.run("worker", "rm", "far")


def test_a_frozen_workers_warden_ends_what_runs_before_it_is_run_elsewhere(
    home: LiveHome, far: Elsewhere
) -> None:
    number, task = begin(home)
    home.run("up", "--workers", "1", "--detach")

    far.started[0].send_signal(signal.SIGSTOP)
    until(lambda: gone(task["pid"]), "its warden has ended it", 20.0)
    assert len(home.ledger_lines()) == 1
    until(lambda: len(home.ledger_lines()) == 2, "it runs elsewhere")
    far.started[0].send_signal(signal.SIGCONT)
    joined(home, "far")
    (home.folder / "gate").touch()
    done = home.json("wait", number)["tasks"][0]

    assert (done["state"], done["attempt"], done["worker"]) == ("SUCCESS", 2, "worker-1")
    assert len(home.ledger_lines()) == 2


@PATIENT
def test_a_worker_that_is_back_in_time_goes_on_as_if_nothing_had_happened(
    home: LiveHome, far: Elsewhere
) -> None:
    number, task = begin(home)

    far.started[0].send_signal(signal.SIGSTOP)
    until(lambda: workers(home)["far"]["state"] == "late", "it is missed")
    far.started[0].send_signal(signal.SIGCONT)
    joined(home, "far")
    (home.folder / "gate").touch()
    done = home.json("wait", number)["tasks"][0]

    assert (done["state"], done["attempt"], done["pid"]) == ("SUCCESS", 1, task["pid"])


@PATIENT
def test_a_log_on_a_worker_that_is_not_heard_is_told_so_and_read_when_it_is_back(
    home: LiveHome, far: Elsewhere
) -> None:
    tasks = home.noting(1, "echo begun\n" + WAIT_FOR_GATE.format(gate=home.folder / "gate"))
    number = str(home.json("submit", home.definition("w", tasks))["workflow_instance_id"])
    address = f"{number}/t0000"
    until(lambda: shown(home, number)["pid"], "it runs")
    heard = home.run("logs", address)

    far.started[0].send_signal(signal.SIGSTOP)
    until(lambda: workers(home)["far"]["state"] == "late", "it is missed")
    error = home.json("logs", address, code=6)["error"]
    [row] = home.json("logs", number, code=6)
    [cause] = home.json("explain", address)["causes"]
    follower = home.start("logs", address, "-f")
    until(lambda: "the log is on far" in said_more(follower), "who follows is told")
    far.started[0].send_signal(signal.SIGCONT)
    (home.folder / "gate").touch()
    read_on = follower.communicate(timeout=60)[0]

    assert heard == "begun\n"
    assert error["code"] == "worker_away"
    assert "the log is on far, which is not connected; it may come back" in error["message"]
    assert row["text"] is None
    assert cause["cause"] == "worker_silent"
    assert "far is not heard" in cause["sentence"]
    assert (follower.returncode, read_on) == (0, "begun\n")


def test_a_worker_that_cannot_write_for_longer_than_its_lease_loses_nothing_and_can_be_told_to_kill(
    home: LiveHome, far: Elsewhere
) -> None:
    """Its lease waited for the disk, and its warden ended all that ran; and so did a kill."""
    number, task = begin(home)

    with locked(far.root / "workers" / "1" / "journal.db"):
        waiting = home.json("submit", home.definition("waiting", home.noting(1)))
        until(lambda: "storage stalled" in said_more(far.started[0]), "it cannot write")
        time.sleep(2 * LEASE_S)
        assert not gone(task["pid"])
        home.run("kill", f"{number}/t0000")
        until(lambda: gone(task["pid"]), "it is killed", 20.0)

    assert home.json("wait", number, code=1)["tasks"][0]["state"] == "KILL"
    [other] = home.json("wait", str(waiting["workflow_instance_id"]))["tasks"]
    assert (other["state"], other["attempt"]) == ("SUCCESS", 1)


def test_what_is_to_be_kept_goes_on_out_of_reach_and_its_result_counts(
    home: LiveHome, far: Elsewhere
) -> None:
    number, task = begin(home, on_isolation="keep")
    home.run("up", "--workers", "1", "--detach")

    far.started[0].send_signal(signal.SIGSTOP)
    kept = until(lambda: (t := shown(home, number))["message"] and t, "it is kept")
    assert not gone(task["pid"])
    (home.folder / "gate").touch()
    until(lambda: gone(task["pid"]), "it ends out of reach")
    far.started[0].send_signal(signal.SIGCONT)
    done = home.json("wait", number)["tasks"][0]

    assert kept["state"] == "RUNNING_EXECUTION"
    assert "far" in kept["message"]
    assert kept["message"].endswith("UTC, kept")
    assert (done["state"], done["attempt"], done["message"]) == ("SUCCESS", 1, None)
    assert home.ledger_lines() == ["t0000"]


def lose(far: Elsewhere) -> None:
    """All at once, as when the power fails."""
    for path in Path("/proc").glob("[0-9]*"):
        if _is_of(far, path):
            os.kill(int(path.name), signal.SIGKILL)


def _is_of(far: Elsewhere, path: Path) -> bool:
    """Whether a process is of that home, or of a task on it."""
    try:
        environment = (path / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    mine = f"STENELLA_HOME={far.root}".encode()
    return mine in environment or any(
        entry.startswith(b"STENELLA_ATTEMPT=") and b".far." in entry for entry in environment
    )
