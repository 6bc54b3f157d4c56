"""A want of memory, made by a memory group of the kernel where this user may make one (F26)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from stenella.runtime.warden_main import READ_BYTES
from stenella.runtime.warden_memory import Memory, memory_groups, read
from stenella.runtime.warden_tasks import entities

from .warden_worker import Worker, at_work, served, wait_until

pytestmark = pytest.mark.live

LIMIT_BYTES = 96 << 20
#: The limit's name and content, by the file that counts the kills there.
LIMITS = {"memory.oom_control": "memory.limit_in_bytes", "memory.events": "memory.max"}
EATER = f'{sys.executable} -c "x = [bytes([n % 9 + 1]) * (1 << 20) for n in range(1000)]"'


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory group of our own with little memory."""
    for path in memory_groups():
        counter = Path(f"/sys/fs/cgroup{path}")
        made = counter.parent / f"stenella-test-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / LIMITS[counter.name]).write_text(str(LIMIT_BYTES))
        except OSError:
            made.rmdir()
            continue
        yield made
        wait_until(partial(empties, made))
        return
    pytest.skip("this user may not make a memory group with a limit here")


def empties(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


@pytest.fixture
def worker(tmp_path: Path, group: Path) -> Iterator[Worker]:
    """Of a warden that lives in that group, as a service or a container would make it."""
    enter = f"echo $$ > {group}/cgroup.procs; exec {sys.executable} -m stenella.runtime.warden_main"
    with (
        open(tmp_path / "warden.err", "ab") as errors,
        subprocess.Popen(
            ["/bin/sh", "-c", f"{enter} {tmp_path}"], stderr=errors, start_new_session=True
        ),
    ):
        wait_until((tmp_path / "warden.sock").exists)  # else the worker would start another
        with served(tmp_path), at_work(tmp_path) as worker:
            yield worker


def test_what_the_system_killed_for_want_of_memory_says_so(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", f"exec {EATER}")

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"], ended["oom"]) == (9, None, "group")


def test_a_shell_whose_child_was_killed_so_says_it_too(worker: Worker) -> None:
    worker.start(1, "/bin/bash", "-c", f"{EATER}; exit $?")

    ended = worker.wait("ended", 1)

    assert (ended["code"], ended["oom"]) == (137, "group")


def test_a_kill_by_somebody_is_no_want_of_memory(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", "kill -KILL $$")

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["oom"]) == (9, "")


def test_kills_are_counted_by_the_group_or_by_the_machine() -> None:
    memory = Memory()

    assert memory.where in ("group", "machine")
    assert b"oom_kill " in read(memory.path)
    assert memory.kills() >= 0


def test_a_file_that_is_not_there_counts_nothing() -> None:
    memory = Memory()
    memory.path = "/proc/no/such/file"

    assert memory.kills() == 0


def test_the_machine_has_more_entities_than_this_test() -> None:
    assert 1 < entities() < READ_BYTES * 1_000
