"""The supervisor's pauses between starts, and who is there again after a way down cut short."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.home.layout import Home
from stenella.runtime.supervisor import PAUSES_S, STEADY_S, Desired, Supervisor, ask_for

from ..live.home import LiveHome, until
from ..live.test_life import WAIT_FOR_GATE

#: Well above what a start takes, well below what `LiveHome` waits for a command.
SOON_S = 20.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LiveHome]:
    live = LiveHome(tmp_path)
    live.environment["STENELLA_CLUSTER__HEARTBEAT_S"] = "5"  # who stands still is not soon missed
    yield live
    live.leave()


def alive(home: LiveHome) -> list[int]:
    """Pids of the workers that take tasks."""
    return [row["pid"] for row in home.json("status")["workers"] if row["state"] == "alive"]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_what_cannot_be_started_is_tried_again_after_growing_pauses(tmp_path: Path) -> None:
    """Seen: the home of a running cluster was removed, and its supervisor took a core."""
    said: list[str] = []
    supervisor = Supervisor(Home(tmp_path), Desired(0, None), None, said.append)
    [master] = supervisor.children
    master.log = tmp_path / "gone" / "master.log"
    master.started_s = 1.0  # it had run for long

    pauses_s = []
    for now_s in (1_000.0, 2_000.0, 3_000.0):
        supervisor._start(master, now_s)
        assert master.due_s is not None
        pauses_s.append(round(master.due_s - now_s, 6))

    assert pauses_s == list(PAUSES_S[:3])
    assert "cannot be started" in said[0]


def test_a_master_that_was_told_to_stay_is_started_again_however_it_ends(tmp_path: Path) -> None:
    """It was leaving when somebody ran `up`, who was told that the cluster is there."""
    said: list[str] = []
    supervisor = Supervisor(Home(tmp_path), Desired(0, None), 2.0, said.append)
    [master] = supervisor.children
    with subprocess.Popen(["sleep", "60"]) as process:
        master.pid = process.pid

        supervisor._read_desired()

        assert process.wait(20) == -signal.SIGTERM
    supervisor._child_ended(master, 0, 1_000.0)
    assert (supervisor.exit_code, supervisor._is_missing(master)) == (None, True)
    master.pid = process.pid + 1
    supervisor._child_ended(master, 0, 1_001.0)
    assert supervisor.exit_code == 0


DRAINED, TOLD, KILLED = 0, 143, -signal.SIGKILL


@pytest.mark.parametrize(
    ("ends", "missing"),
    [
        ([("worker 1", DRAINED), ("master", KILLED)], ["master", "worker 1"]),
        ([("master", TOLD), ("worker 1", DRAINED)], ["master", "worker 1"]),
        ([("worker 1", DRAINED)], []),
        ([("worker 1", DRAINED), ("worker 2", KILLED)], ["worker 2"]),
        ([("worker 1", DRAINED), ("worker 2", DRAINED), ("master", DRAINED)], []),
    ],
)
def test_a_drained_worker_stays_away_only_for_a_master_that_goes_down(
    tmp_path: Path, ends: list[tuple[str, int]], missing: list[str]
) -> None:
    supervisor = Supervisor(Home(tmp_path), Desired(2, None), None, lambda _line: None)
    children = {child.name: child for child in supervisor.children}
    for number, child in enumerate(supervisor.children, start=1):
        child.pid, child.started_s = number, 900.0

    for name, code in ends:
        supervisor._child_ended(children[name], code, 1_000.0)

    assert [c.name for c in supervisor.children if supervisor._is_missing(c)] == missing


def test_a_worker_that_drains_long_after_a_master_had_fallen_stays_away(tmp_path: Path) -> None:
    supervisor = Supervisor(Home(tmp_path), Desired(1, None), None, lambda _line: None)
    master, worker = supervisor.children
    supervisor._child_ended(master, KILLED, 1_000.0)
    master.pid, master.started_s = 1, 1_000.0

    supervisor._child_ended(worker, DRAINED, 1_000.0 + STEADY_S)

    assert not supervisor._is_missing(worker)


@pytest.mark.live
@pytest.mark.slow
def test_workers_that_drained_for_a_master_that_was_then_killed_are_there_again(
    home: LiveHome,
) -> None:
    """One has left already, one still drains: neither came back, and the cluster took no task."""
    home.run("up", "--workers", "2", "--slots", "1", "--detach")
    gate = home.folder / "gate"
    gated = home.definition("gated", home.noting(1, WAIT_FOR_GATE.format(gate=gate)))
    number = str(home.json("submit", gated)["workflow_instance_id"])
    until(home.ledger_lines, "it runs")
    [master] = home.pids("masters")

    down = home.start("down", "--wait", "60s")
    until(lambda: len(home.pids("workers")) == 1, "the idle one has left")
    down.kill()
    down.communicate()
    home.kill(master)
    until(lambda: len(alive(home)) == 2, "both take tasks again", SOON_S)
    gate.touch()

    assert home.json("wait", number)["tasks"][0]["attempt"] == 1
    assert home.json("run", home.definition("after", home.noting(2)))["state"] == "SUCCESS"
    assert len(alive(home)) == 2


@pytest.mark.live
@pytest.mark.slow
def test_a_worker_that_drains_for_an_idle_cluster_which_then_stays_is_there_again(
    home: LiveHome,
) -> None:
    """Its end came just after that of its master, and was taken for the way down."""
    home.run("run", home.definition("one", home.noting(1)))
    [worker] = home.pids("workers")
    master = int((home.root / "run" / "master.lock").read_text())
    os.kill(worker, signal.SIGSTOP)
    until(lambda: not (home.root / "run" / "endpoints.json").exists(), "the cluster leaves")
    time.sleep(0.3)  # the order to drain comes to a worker that cannot take it yet

    os.kill(master, signal.SIGSTOP)
    os.kill(worker, signal.SIGCONT)
    assert ask_for(Home(home.root), Desired(1, None))  # as `up` does
    os.kill(master, signal.SIGCONT)
    until(lambda: is_gone(worker) and is_gone(master), "both have ended", SOON_S)

    until(lambda: len(alive(home)) == 1, "others are there", SOON_S)
    assert home.json("run", home.definition("after", home.noting(1)))["state"] == "SUCCESS"
