"""What the processes of a home cost, read of real ones."""

import os

import pytest

from stenella.bench import processes

from .home import LiveHome

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_the_processes_of_a_home_are_found_by_their_names(home: LiveHome) -> None:
    home.run("up", "--workers", "2", "--detach")
    home.run("run", "--", "sleep", "0")

    pids = processes.of_home(home.root)

    assert {"supervisor", "master", "worker-1", "worker-2"} <= set(pids)
    assert [pids["master"]] == home.pids("masters")
    assert [pids["worker-1"], pids["worker-2"]] == home.pids("workers")
    memory = processes.memory(pids["master"])
    assert memory.rss > memory.pss > 0
    assert memory.rss > memory.own > 0


def test_processor_time_is_that_of_the_threads() -> None:
    own = os.getpid()
    sum(range(3_000_000))

    spent_s = processes.processor_s(own)

    assert 0 < sum(processes.threads_s(own).values()) <= spent_s + 0.1
    assert len(processes.threads_s(own)) == processes.threads(own)
    assert processes.files(own) >= 3
