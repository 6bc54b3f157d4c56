"""What the processes of a home cost, read of real ones."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stenella.bench import processes

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_the_processes_of_a_home_are_found_by_their_names(home: LiveHome) -> None:
    home.run("up", "--workers", "2", "--detach")
    home.run("run", "--", "sleep", "0")

    expected = {"supervisor", "master", "worker-1", "worker-2"}
    until(lambda: expected <= set(processes.of_home(home.root)), "all have begun")

    pids = processes.of_home(home.root)
    assert [pids["master"]] == home.pids("masters")
    assert sorted(pids[name] for name in ("worker-1", "worker-2")) == sorted(home.pids("workers"))
    memory = processes.memory(pids["master"])
    assert memory.rss > memory.pss > 0
    assert memory.rss > memory.own > 0


def test_a_child_that_still_has_its_parents_command_line_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    """As while it is being spawned."""
    words = ["-c", "print(flush=True); input()", "-m", "stenella.runtime.warden_main", "/h/1"]
    environment = os.environ | {"STENELLA_HOME": str(tmp_path)}
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(3):
            process = subprocess.Popen(
                [sys.executable, *words], env=environment, stdin=pipe, stdout=pipe
            )
            stack.callback(process.communicate, b"\n")
            assert process.stdout is not None
            process.stdout.readline()  # so the next is started later
            started.append(process.pid)

        assert processes.of_home(tmp_path) == {"warden-1": started[0]}


def test_processor_time_is_what_the_process_itself_is_told() -> None:
    own = os.getpid()
    sum(range(3_000_000))

    assert processes.processor_s(own) == pytest.approx(time.process_time(), abs=0.1)
    assert processes.threads(own) >= 1
    assert processes.files(own) >= 3
