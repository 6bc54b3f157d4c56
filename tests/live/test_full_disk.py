"""B27, B28: no room, or no writing at all: nothing acknowledged is lost, and it goes on by itself.

The disks are small ones of their own (tmpfs), which takes the right to mount.
"""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

SIZE = "24m"
#: Less than the index that SQLite makes for a journal when it opens it.
FILE_BYTES = 16 * 1024


class SmallDisk:
    """A tmpfs, and the file that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.filler = folder / "filler"

    def fill(self) -> None:
        """Take every byte that is left."""
        with suppress(OSError), self.filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        with suppress(OSError), self.filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"x")

    def free(self) -> None:
        """Give it back."""
        self.filler.unlink()

    def remount(self, mode: str) -> None:
        """Read-only (ro) or not (rw)."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.folder], check=True)


@pytest.fixture
def mounted(home: LiveHome) -> Iterator[Callable[[Path], SmallDisk]]:
    """Mounts small disks; takes them away again, once nobody uses them."""
    disks: list[Path] = []

    def mount(folder: Path) -> SmallDisk:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "stenella-test", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
        disks.append(folder)
        return SmallDisk(folder)

    yield mount
    home.leave()
    for folder in disks:
        subprocess.run(["umount", "-l", folder], check=False)


def freeze(mode: str, *files: Path) -> None:
    """Nothing can be written into open files, nor can they be opened for it (+i), or it can (-i).

    A file system with open files is made read-only by the kernel alone, after an error: what SQLite
    and the nodes see then is the same, and this can be taken back. The database's index in shared
    memory is left: a write to that would be a SIGBUS.
    """
    found = [path for file in files for path in (file, file.with_name(file.name + "-wal"))]
    done = subprocess.run(["chattr", mode, *found], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user or file system cannot freeze a file: {done.stderr.strip()}")


@pytest.fixture
def frozen(home: LiveHome) -> Iterator[tuple[Path, Path]]:
    """A cluster's database and the journal of its worker; thawed at the end."""
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    files = home.root / "stenella.db", home.root / "workers" / "1" / "journal.db"
    yield files
    freeze("-i", *files)


@pytest.fixture
def on_small_disk(home: LiveHome, mounted: Callable[[Path], SmallDisk]) -> Iterator[SmallDisk]:
    """The whole home is on it; the cluster is down before the disk goes."""
    disk = mounted(home.root)
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    yield disk
    with suppress(FileNotFoundError):
        disk.free()
    home.run("down", "--wait", "0s")


def test_b27_a_full_disk_refuses_submits_with_its_reason_and_goes_on_when_there_is_room(
    home: LiveHome, on_small_disk: SmallDisk
) -> None:
    done = home.json("run", home.definition("before", home.noting(1)))
    on_small_disk.fill()

    refused = until(lambda: _refusal(home), "a submit is refused")

    assert "storage_stalled" in refused
    assert "full" in refused
    assert "full" in home.json("status")["problem"]
    doctor = home.json("doctor", code=1)
    assert {"disk", "storage"} & {row["check"] for row in doctor if row["state"] == "problem"}

    on_small_disk.free()
    until(lambda: home.json("status")["problem"] is None, "the master writes again")
    after = home.json("run", home.definition("after", home.noting(1)))

    assert after["state"] == "SUCCESS"
    assert home.json("show", str(done["workflow_instance_id"]))["state"] == "SUCCESS"


def test_b27_a_task_that_ends_while_the_disk_is_full_is_told_when_there_is_room(
    home: LiveHome, on_small_disk: SmallDisk
) -> None:
    """Its end finds neither the warden's log, nor the worker's journal, nor the database."""
    go = home.folder / "go"
    script = (
        f'until [ -e "{go}" ]; do sleep 0.1; done; echo "$STENELLA_TASK.end" >> "{home.ledger}"'
    )
    file = home.definition("running", home.noting(1, script))
    number = home.json("submit", file)["workflow_instance_id"]
    until(home.ledger_lines, "the task runs")
    on_small_disk.fill()
    go.touch()
    until(lambda: len(home.ledger_lines()) == 2, "the task has ended")

    on_small_disk.free()

    assert home.json("wait", str(number))["state"] == "SUCCESS"
    assert home.ledger_lines() == ["t0000", "t0000.end"]  # once


def test_b27_a_full_disk_of_a_worker_alone_holds_up_what_it_runs_and_loses_nothing(
    home: LiveHome, mounted: Callable[[Path], SmallDisk]
) -> None:
    """Its journal and its warden's log are on a small disk, the database is not."""
    home.root.mkdir(mode=0o700)
    (home.root / "workers").mkdir(mode=0o700)
    disk = mounted(home.root / "workers" / "1")
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    go = home.folder / "go"
    script = (
        f'until [ -e "{go}" ]; do sleep 0.1; done; echo "$STENELLA_TASK.end" >> "{home.ledger}"'
    )
    running = home.json("submit", home.definition("running", home.noting(1, script)))
    until(home.ledger_lines, "the task runs")
    disk.fill()
    until(lambda: home.json("worker", "ls")[0]["message"], "the worker says so")

    waiting = home.json("submit", home.definition("waiting", home.noting(1)))
    task = until(
        lambda: (
            (t := home.json("show", str(waiting["workflow_instance_id"]))["tasks"][0])
            and t["reason"] == "no_disk"
            and t
        ),
        "it waits and says why",
    )
    [cause] = home.json("explain", f"{waiting['workflow_instance_id']}/t0000")["causes"]
    go.touch()
    until(lambda: "t0000.end" in home.ledger_lines(), "what runs has ended")

    assert "short of disk" in task["message"]
    assert (cause["cause"], "short of disk" in cause["sentence"]) == ("no_disk", True)
    assert home.json("status")["problem"] is None  # the master is well
    for submitted in (running, waiting):
        assert home.json("show", str(submitted["workflow_instance_id"]))["state"] == (
            "RUNNING_EXECUTION"
        )
    disk.free()
    for submitted in (running, waiting):
        shown = home.json("wait", str(submitted["workflow_instance_id"]))
        assert [(task["state"], task["attempt"]) for task in shown["tasks"]] == [("SUCCESS", 1)]
    assert home.ledger_lines() == ["t0000", "t0000", "t0000.end"]


def test_b27_a_worker_that_cannot_open_its_journal_is_tried_again_after_pauses(
    home: LiveHome,
) -> None:
    """It began anew in the same process, several times a second and for as long as that was so."""
    home.run("up", "--workers", "1", "--detach")
    [worker] = home.pids("workers")
    supervisor = int((home.root / "run" / "supervisor.lock").read_text())
    said, log = home.root / "run" / "supervisor.log", home.root / "workers" / "1" / "worker.log"
    soft, hard = resource.prlimit(supervisor, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (FILE_BYTES, hard))

    home.kill(worker)
    until(lambda: "ended with code 75" in said.read_text(), "it has told its supervisor", 20.0)
    time.sleep(3.0)
    tries = log.read_text().count("trying again")
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (soft, hard))

    assert 2 <= tries <= 6  # after 0.2, 0.5, 1 and 2 s
    until(lambda: home.json("worker", "ls")[0]["state"] == "alive", "it is there again", 20.0)
    assert home.json("run", home.definition("after", home.noting(1)))["state"] == "SUCCESS"


def _refusal(home: LiveHome) -> str:
    """What a submit is refused with; an intent that meets the full disk first is not answered."""
    process = home.start("submit", home.definition("refused", home.noting(1)), "--json")
    try:
        output, _ = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ""
    return output if process.returncode == 6 else ""


def test_b28_what_turns_read_only_under_a_running_cluster_is_told_and_it_goes_on_by_itself(
    home: LiveHome, frozen: tuple[Path, Path]
) -> None:
    done = home.json("run", home.definition("before", home.noting(1)))
    go = home.folder / "go"
    script = (
        f'until [ -e "{go}" ]; do sleep 0.1; done; echo "$STENELLA_TASK.end" >> "{home.ledger}"'
    )
    number = home.json("submit", home.definition("running", home.noting(1, script)))
    until(lambda: len(home.ledger_lines()) == 2, "the task runs")
    nodes = home.pids("masters") + home.pids("workers")
    freeze("+i", *frozen)

    refused = until(lambda: _refusal(home), "a submit is refused")
    go.touch()
    until(lambda: "t0000.end" in home.ledger_lines(), "the task has ended")

    assert "storage_stalled" in refused
    assert "read-only" in refused
    assert "read-only" in home.json("status")["problem"]
    freeze("-i", *frozen)
    shown = home.json("wait", str(number["workflow_instance_id"]))
    assert [(task["state"], task["attempt"]) for task in shown["tasks"]] == [("SUCCESS", 1)]
    assert home.json("show", str(done["workflow_instance_id"]))["state"] == "SUCCESS"
    assert home.json("run", home.definition("after", home.noting(1)))["state"] == "SUCCESS"
    assert home.pids("masters") + home.pids("workers") == nodes  # none had to begin anew


def test_b28_a_read_only_file_system_is_told_and_waited_for(
    home: LiveHome, mounted: Callable[[Path], SmallDisk]
) -> None:
    disk = mounted(home.root)
    home.run("up", "--workers", "1", "--slots", "1", "--detach")
    home.run("run", home.definition("before", home.noting(1)))
    home.run("down")
    disk.remount("ro")
    try:
        refused = home.start("up", "--detach")
        output, _ = refused.communicate(timeout=60)
        assert refused.returncode in (6, 8)
        assert "read-only" in output.lower() or "writable" in output.lower()
        [problem] = [row for row in home.json("doctor", code=1) if row["check"] == "disk"]
        assert "read-only" in problem["message"]
    finally:
        disk.remount("rw")

    assert home.json("run", home.definition("after", home.noting(1)))["state"] == "SUCCESS"


def test_b27_a_task_whose_log_finds_no_room_sees_what_any_program_would(
    home: LiveHome, mounted: Callable[[Path], SmallDisk]
) -> None:
    """The logs are on a small disk of their own; the journal and the database are not."""
    home.run("up", "--workers", "1", "--slots", "1", "--detach")
    disk = mounted(home.root / "workers" / "1" / "logs")
    script = "head -c 60000000 /dev/zero || { echo refused; exit 9; }"
    document = home.json("run", home.definition("wide", [{"name": "w", "script": script}]), code=1)

    assert document["tasks"][0]["exit_code"] == 9
    assert sum(path.stat().st_size for path in disk.folder.rglob("*.log")) <= 24 * 2**20
    for path in disk.folder.rglob("*.log"):
        path.unlink()
    assert home.json("run", home.definition("next", home.noting(1)))["state"] == "SUCCESS"
    home.run("down", "--wait", "0s")
    assert os.path.ismount(disk.folder)
