"""A lock has one holder, whom the refused can name, and ends with its process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.home.locks import hold, holder
from stenella.protocol.errors import RefusedInState

HOLDER = """
import sys
from pathlib import Path
from stenella.home.locks import hold
lock = hold(Path(sys.argv[1]), "the master")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds ``tmp_path/lock``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_free_lock_has_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None


def test_the_holder_is_known_until_it_releases(tmp_path: Path) -> None:
    lock = hold(tmp_path / "lock", "the master")
    assert holder(tmp_path / "lock") == os.getpid()

    lock.release()
    lock.release()
    assert holder(tmp_path / "lock") is None
    hold(tmp_path / "lock", "the master").release()


def test_a_held_lock_is_refused_within_one_process_too(tmp_path: Path) -> None:
    lock = hold(tmp_path / "lock", "the master")

    with pytest.raises(RefusedInState, match=f"process {os.getpid()}"):
        hold(tmp_path / "lock", "the master")
    lock.release()


@pytest.mark.live
@pytest.mark.slow
def test_another_process_is_refused_with_the_holders_pid(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(RefusedInState, match=f"the master .* process {other.pid} "):
        hold(tmp_path / "lock", "the master")
    assert holder(tmp_path / "lock") == other.pid


@pytest.mark.live
@pytest.mark.slow
def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()

    assert holder(tmp_path / "lock") is None
    hold(tmp_path / "lock", "the master").release()


@pytest.mark.live
@pytest.mark.slow
def test_asking_who_holds_never_refuses_a_start(tmp_path: Path) -> None:
    asker = "import sys; from pathlib import Path; from stenella.home.locks import holder\n"
    asker += "path = Path(sys.argv[1])\nprint('asking', flush=True)\nwhile True: holder(path)"
    (tmp_path / "lock").touch()
    with subprocess.Popen(
        [sys.executable, "-c", asker, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            hold(tmp_path / "lock", "the master").release()
        process.kill()
