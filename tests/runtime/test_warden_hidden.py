"""The warden where /proc hides from it what a task has become (proc(5), hidepid): a setuid program.

Here the warden is root without the capabilities to see and to kill others, and the others are
nobody: to become root instead a warden would have to be somebody else.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from stenella.runtime.warden_tasks import start_ticks

from .warden_worker import DEADLINE_S, Worker, wait_until

pytestmark = pytest.mark.live

NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c")
#: ``gid``: whose group may see all the same; 0 by default, which is root's own.
MOUNT = "mount -t proc -o hidepid=2,gid=4711 proc /proc"
WITHOUT = ("setpriv", "--bounding-set", "-sys_ptrace,-kill", "--inh-caps", "-all")
WARDEN = (sys.executable, "-P", "-m", "stenella.runtime.warden_main")
NOBODY = 65_534


def can_hide() -> bool:
    """Whether we may have a /proc of our own, and whether its kernel hides anything there."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("unshare") is None:
        return False
    done = subprocess.run([*NAMESPACE, MOUNT], capture_output=True, check=False)
    return done.returncode == 0


needs_namespaces = pytest.mark.skipif(not can_hide(), reason="needs root and its own /proc")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker whose warden lives among what it cannot see, and is still there at the end."""
    with open(tmp_path / "warden.err", "wb") as errors:
        begin = f'{MOUNT} && exec "$@"'
        warden = subprocess.Popen(
            [*NAMESPACE, begin, "sh", *WITHOUT, *WARDEN, str(tmp_path)], stderr=errors
        )
    wait_until((tmp_path / "warden.sock").exists)
    worker = Worker(tmp_path)
    worker.wait("records")
    yield worker
    worker.post("leave")
    worker.end()
    try:
        assert warden.wait(DEADLINE_S) == 0
        assert (tmp_path / "warden.err").read_text() == ""
    finally:
        warden.kill()
        warden.wait()


def of_nobody(program: str, folder: Path) -> str:
    """A copy that becomes nobody as it begins, and may be killed by whoever began it."""
    copy = shutil.copy(shutil.which(program) or "", folder / program)
    os.chown(copy, NOBODY, NOBODY)
    os.chmod(copy, 0o4755)
    return str(copy)


def asleep(seconds: str) -> list[psutil.Process]:
    """Those that sleep so long."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "sleep" and process.cmdline()[-1] == seconds:
                found.append(process)
    return found


def test_when_a_process_began_that_is_not_there_cannot_be_told() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)

    assert start_ticks(pid, 0, 1_000_000_000) == 0


@needs_namespaces
def test_the_number_of_a_warden_that_went_on_to_a_hidden_process_is_no_wardens(
    tmp_path: Path,
) -> None:
    mount = MOUNT.replace("hidepid=2", "hidepid=1")  # shown, but not what it is
    script = f'{mount} && {{ "$0" 60 & exec "$@" $!; }}'
    ask = "import sys; from stenella.runtime import machine as m; "
    ask += "print(m.start_ticks(int(sys.argv[1])))"

    told = subprocess.run(
        [*NAMESPACE, script, of_nobody("sleep", tmp_path), *WITHOUT, sys.executable, "-c", ask],
        capture_output=True,
        check=True,
    )

    assert told.stdout == b"None\n"


@needs_namespaces
def test_what_hides_begins_and_ends_like_others(worker: Worker, tmp_path: Path) -> None:
    program = of_nobody("true", tmp_path)
    for number in range(1, 151):  # of which some, as a rule, begin where one tick ends
        worker.start(number, program)

    ended = [worker.wait("ended", number) for number in range(1, 151)]

    assert {(end["code"], end["problem"]) for end in ended} == {(0, None)}


@needs_namespaces
def test_what_hides_is_killed(worker: Worker, tmp_path: Path) -> None:
    hidden = of_nobody("sleep", tmp_path)
    worker.start(1, "/bin/sh", "-c", f"{hidden} 61.25 & exec {hidden} 61.25")
    wait_until(lambda: len(asleep("61.25")) == 2)
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=0)

    ended = worker.wait("ended", 1)

    assert (ended["intent"], asleep("61.25")) == ("person", [])


@needs_namespaces
@pytest.mark.parametrize("asked", [True, False])
def test_what_hides_and_cannot_be_killed_is_told_and_waited_for(
    worker: Worker, asked: bool
) -> None:
    become = f"setpriv --reuid {NOBODY} sleep 61.{1 + asked}"
    script = f"exec {become}" if asked else f"{become} & sleep 0.3"
    worker.start(1, "/bin/sh", "-c", script)
    wait_until(lambda: asleep(f"61.{1 + asked}"))
    if asked:
        worker.post("kill", dispatch_id=1, intent="person", grace_ms=0)

    [pid] = worker.wait("kill_failed", 1)["pids"]
    assert not worker.heard("ended", 1)
    [left] = asleep(f"61.{1 + asked}")
    left.kill()

    ended = worker.wait("ended", 1)
    assert (pid == worker.wait("begun", 1)["pid"]) is asked
    assert (ended["intent"], ended["signal"]) == (
        ("person", signal.SIGKILL) if asked else (None, None)
    )
