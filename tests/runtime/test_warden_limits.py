"""The warden with real processes: time limits, also while nobody is there to ask for them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .warden_worker import Worker, at_work, gone, pid_in, served, wait_until

pytestmark = pytest.mark.live
DEAF = "trap '' TERM; echo $$ > ready; while :; do sleep 1; done"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with served(tmp_path) as folder:
        yield folder


def test_an_attempt_is_ended_at_its_limit(folder: Path) -> None:
    with at_work(folder) as worker:
        worker.start(1, "/bin/sleep", "1000", limit_ms=60)

        ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGTERM, "timeout")
    assert ended["duration_ms"] >= 60


def test_what_ignores_term_at_its_limit_is_killed_after_the_grace(folder: Path) -> None:
    with at_work(folder) as worker:
        worker.start(1, "/bin/sh", "-c", DEAF, limit_ms=300, grace_ms=50)

        ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGKILL, "timeout")


def test_a_limit_holds_while_the_worker_is_dead(folder: Path) -> None:
    with at_work(folder) as worker:
        worker.start(1, "/bin/sh", "-c", DEAF, limit_ms=300, grace_ms=50)
        pid = pid_in(folder / "ready")

        worker.die()
        wait_until(lambda: gone(pid))

    next_life = Worker(folder, life=2)
    [record] = next_life.wait("records")["records"]
    if record["phase"] != "ended":  # it is gone, and its warden has still to look
        record = next_life.wait("ended", 1)
    next_life.end()
    assert record["intent"] == "timeout"


def test_what_ends_in_time_keeps_its_code(folder: Path) -> None:
    with at_work(folder) as worker:
        worker.start(1, "/bin/sh", "-c", "exit 4", limit_ms=60)
        worker.start(2, "/bin/sleep", "1000", limit_ms=120)  # its end proves that 60 ms are over

        ended, later = worker.wait("ended", 1), worker.wait("ended", 2)

    assert (ended["code"], ended["intent"]) == (4, None)
    assert later["intent"] == "timeout"
