"""The warden with real processes: what it kills, and that nothing of it stays."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .warden_worker import (
    Worker,
    at_work,
    carrying,
    gone,
    marker,
    pid_in,
    served,
    wait_until,
)

pytestmark = pytest.mark.live


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with served(tmp_path) as folder:
        yield folder


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    with at_work(folder) as worker:
        yield worker


def stopped(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def test_term_ends_a_process_and_its_group(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "sleep 1000 & echo $! > child; wait")
    child = pid_in(folder / "child")
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=60_000)

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGTERM, "person")
    assert gone(child)
    assert worker.heard("killing", 1)


def test_what_ignores_term_is_killed_after_the_grace(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "trap '' TERM; echo $$ > ready; while :; do sleep 1; done")
    pid_in(folder / "ready")
    worker.post("kill", dispatch_id=1, intent="timeout", grace_ms=50)

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGKILL, "timeout")


def test_what_ended_before_the_kill_keeps_its_code(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", "exit 4")
    worker.wait("ended", 1)
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=50)

    wait_until(lambda: len(worker.heard("ended", 1)) == 2)

    assert {(m["code"], m["intent"]) for m in worker.heard("ended", 1)} == {(4, None)}


@pytest.mark.parametrize("killed", [False, True])
def test_a_daemon_that_left_the_session_goes_before_the_end_is_told(
    worker: Worker, folder: Path, killed: bool
) -> None:
    worker.start(2, "/bin/sleep", "1000")  # so that the daemon could be another attempt's
    daemon = "(setsid sh -c 'trap \"\" TERM; echo $$ > daemon; sleep 1000' &)"
    stays = "; sleep 1000" if killed else "; while [ ! -s daemon ]; do sleep 0.01; done"
    worker.start(1, "/bin/sh", "-c", daemon + stays)
    pid = pid_in(folder / "daemon")
    if killed:
        worker.post("kill", dispatch_id=1, intent="person", grace_ms=60_000)

    worker.wait("ended", 1)

    assert gone(pid)
    assert not worker.heard("ended", 2)


def test_a_daemon_that_hid_its_origin_goes_when_nothing_else_runs(
    worker: Worker, folder: Path
) -> None:
    hide = "(setsid env -i sh -c 'echo $$ > daemon; /bin/sleep 1000' &)"
    worker.start(1, "/bin/sh", "-c", hide + "; while [ ! -s daemon ]; do sleep 0.01; done")

    worker.wait("ended", 1)

    assert gone(pid_in(folder / "daemon"))


def test_a_background_child_goes_before_the_end_is_told(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "trap '' TERM; sleep 1000 & echo $! > child")

    assert worker.wait("ended", 1)["code"] == 0

    assert gone(pid_in(folder / "child"))


@pytest.mark.parametrize("child", ["sleep 1000 &", "(setsid sleep 1000 &);"])
def test_b30_a_task_that_forks_without_end_is_killed_and_the_others_live(
    worker: Worker, folder: Path, child: str
) -> None:
    worker.start(2, "/bin/sleep", "1000", processes_max=100)
    bomb = f"for n in $(seq 10000); do {child} done; sleep 1000"
    worker.start(1, "/bin/bash", "-c", bomb, processes_max=100)

    ended = worker.wait("ended", 1)
    worker.start(3, "/bin/true")

    assert ended["intent"] == "limit"
    assert worker.wait("ended", 3)["code"] == 0
    assert not worker.heard("ended", 2)
    assert not carrying(marker(folder, 1))


def test_b31_a_task_that_stops_itself_ends_after_the_grace(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", "kill -STOP $$")
    wait_until(lambda: stopped(worker.wait("begun", 1)["pid"]))
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=50)

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGKILL, "person")


def test_b32_orphans_of_a_task_are_reaped(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "(setsid sh -c 'echo $$ > orphan' &); sleep 1000")
    orphan = pid_in(folder / "orphan")

    wait_until(lambda: not psutil.pid_exists(orphan))

    assert not worker.heard("ended", 1)


def test_a_kill_of_what_never_came_refuses_it_later(worker: Worker, folder: Path) -> None:
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=50)
    worker.wait("unknown", 1)
    worker.start(1, "/bin/sh", "-c", "touch began")
    worker.wait("never_began", 1)
    worker.start(2, "/bin/true")
    worker.wait("ended", 2)

    assert not (folder / "began").exists()
