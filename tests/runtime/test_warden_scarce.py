"""B27: a warden that gets no file just now waits, and takes nothing for gone that it cannot see."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from .warden_worker import Worker, at_work, gone, pid_in, served, wait_until, warden_pid

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with served(tmp_path) as folder:
        yield folder


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    with at_work(folder) as worker:
        yield worker


@contextmanager
def no_more_files(folder: Path, left: int = 0) -> Iterator[psutil.Process]:
    """The folder's warden, which gets ``left`` files and no more."""
    pid = warden_pid(folder)
    warden = psutil.Process(pid)
    _, hard = warden.rlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(len(taken) + left + 1) if number not in taken]
    warden.rlimit(resource.RLIMIT_NOFILE, (free[left], hard))  # a limit on the highest number
    try:
        yield warden
    finally:
        warden.rlimit(resource.RLIMIT_NOFILE, (hard, hard))


def rests(worker: Worker, warden: psutil.Process) -> int:
    """How often it waited while it was asked twenty things; who asks again and again never does."""
    before = warden.num_ctx_switches().voluntary
    for dispatch_id in range(100, 120):
        worker.post("kill", dispatch_id=dispatch_id, intent="person", grace_ms=0)
        worker.wait("unknown", dispatch_id)
    return int(warden.num_ctx_switches().voluntary - before)


def test_b27_a_connection_that_gets_no_file_waits_and_costs_no_time(
    worker: Worker, folder: Path
) -> None:
    with no_more_files(folder) as warden, socket.socket(socket.AF_UNIX) as stranger:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stranger.connect(f"/proc/self/fd/{place}/warden.sock")
        os.close(place)

        assert rests(worker, warden) >= 5
    second = Worker(folder, life=2)
    worker.die()
    assert second.wait("records")["records"] == []
    second.die()


def test_b27_what_cannot_be_looked_for_is_not_taken_for_gone(worker: Worker, folder: Path) -> None:
    daemon = "setsid sh -c 'echo $$ > daemon; exec sleep 1000' & while [ ! -e go ]; do :; done"
    worker.start(1, "/bin/sh", "-c", daemon)
    begun = worker.wait("begun", 1)
    left_behind = pid_in(folder / "daemon")

    with no_more_files(folder) as warden:
        (folder / "go").touch()
        wait_until(lambda: gone(begun["pid"]))

        assert rests(worker, warden) >= 5
        assert not worker.heard("ended", 1)
        assert not gone(left_behind)
    assert worker.wait("ended", 1)["code"] == 0
    assert gone(left_behind)


def test_b27_a_start_takes_the_last_file(worker: Worker, folder: Path) -> None:
    with no_more_files(folder, left=1):
        worker.start(1, "/bin/sh", "-c", "exit 3")

        assert worker.wait("ended", 1)["code"] == 3
