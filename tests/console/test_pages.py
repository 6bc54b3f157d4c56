"""Documents as lines for people: they fit into 80 columns and say what is there."""

import pytest

from stenella.console import pages
from stenella.console.progress import count_line


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_status_without_workers_says_so() -> None:
    master = {"id": 1, "pid": 9, "endpoint": "tcp://127.0.0.1:5000"}

    lines = pages.status({"masters": [master], "workers": [], "problem": None})

    assert lines[1].split() == ["1", "9", "tcp://127.0.0.1:5000"]
    assert lines[-1] == "no worker has registered yet"


def test_a_long_value_is_shortened_and_kept_on_one_line() -> None:
    assert pages.value_of("a\nb") == "a b"
    assert pages.value_of([1, {"x": "ä"}]) == '[1, {"x": "ä"}]'
    assert len(pages.value_of("x" * 500)) == pages.VALUE_LENGTH_MAX


def test_counts_are_of_final_running_and_failed_tasks() -> None:
    counts = {"SUCCESS": 8, "FAILURE": 1, "UPSTREAM_FAILED": 1, "RUNNING_EXECUTION": 2}

    line = count_line({**counts, "DISPATCH": 1, "WAITING": 7})

    assert line == "10/20 done, 3 running, 1 failed"
