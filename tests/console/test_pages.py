"""Documents as lines for people: they fit into 80 columns and say what is there."""

import click
import pytest

from stenella.console import pages
from stenella.console.progress import count_line

MAILBOX = {
    "node": "worker-12",
    "actor": "workflow_executor",
    "depth": 10_000,
    "high_water": 10_000,
    "held": 12,
    "oldest_ms": 12_000,
    "handled": 1_234_567,
    "busy_us_p99": 12_345,
    "rejected": {"full": 3},
}
EVENT = {
    "event_no": 12,
    "event": "DISPATCH",
    "from": "SUBMITTED_SUCCESS",
    "to": "UPSTREAM_FAILED",
    "at": 1_764_000_000.257,
    "actor": "workflow_executor",
    "attempt": 1,
    "dispatch_id": 123_456,
    "callback_seq": 2,
    "host": "h",
}


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_mailboxes_fit_and_say_why_something_was_rejected() -> None:
    lines = pages.mailboxes([MAILBOX])

    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("full 3")


def test_a_trace_names_what_could_not_be_killed() -> None:
    event = EVENT | {"event": "KILL_FAILED", "detail": "KILL does not end process 99\x1b[2J"}

    lines = pages.trace([EVENT | {"detail": "late"}, event])

    assert lines[-1] == f"{EVENT['event_no']}: KILL does not end process 99\\x1b[2J"
    assert not [line for line in lines if "late" in line]


def test_a_trace_fits_and_has_milliseconds() -> None:
    lines = pages.trace([EVENT])

    assert max(len(click.unstyle(line)) for line in lines) <= 80
    assert ":00.257" in lines[1]


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
