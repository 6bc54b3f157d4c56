"""``ls show logs wait`` and ``debug trace`` read the files of a home where no cluster is up."""

import subprocess
import sys
from pathlib import Path

import pytest

from stenella.console.log_file import LocalLog, pieces, tail_offset
from stenella.home.layout import Home
from stenella.protocol.states import Event, TaskState, WorkflowState
from stenella.storage.journal import Journal

from ..storage.rows import WALL_MS, batch, earlier_attempt, event, instance, task, version
from .conftest import Call

ENDED = {"start_time": WALL_MS, "end_time": WALL_MS + 1_500, "worker": "worker-1"}
NO_SUCH, REFUSED = 3, 6


@pytest.fixture
def history(home: Home) -> Home:
    """Instance 1 failed: a was tried twice, b is below it, c never began; instance 2 is live."""
    journal = Journal.open(home.database)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    failed = {"reason": "exit_nonzero", "message": "exit code 3\x1b[2J", "exit_code": 3}
    rows = [
        version(),
        instance(1, state=WorkflowState.FAILURE, end_time=WALL_MS + 2_000),
        instance(2, state=WorkflowState.RUNNING_EXECUTION),
        task(1, state=TaskState.FAILURE, attempt=2, outputs='{"rows":5}', **ENDED, **failed),
        task(2, state=TaskState.UPSTREAM_FAILED, reason="upstream_failed"),
        earlier_attempt(1),
        event(1),
        event(1, event_no=2, event=Event.DISPATCH, from_state=0, to_state=TaskState.DISPATCH),
    ]
    journal.commit(batch(1, *rows))
    journal.close()
    logs = home.worker(1).logs / "1"
    logs.mkdir(parents=True)
    (logs / "1.1.log").write_bytes(b"first try\n")
    (logs / "1.2.log").write_bytes(b"\xffsecond\x1b[2J\n")
    return home


def test_a_fresh_home_has_no_history(call: Call) -> None:
    assert call("ls", "--json").document == []
    assert "stenella run FILE" in call("ls").out


@pytest.mark.parametrize(
    "line", ["show 7", "show last", "logs 7", "logs last/a", "wait 7", "debug trace 7"]
)
def test_what_a_fresh_home_has_not_is_not_found(line: str, call: Call) -> None:
    outcome = call(*line.split())

    assert (outcome.code, outcome.out) == (NO_SUCH, "")
    assert outcome.err.count("\n") == 1


def test_ls_lists_the_newest_first(call: Call, history: Home) -> None:
    listed = call("ls", "--json").document

    assert [document["workflow_instance_id"] for document in listed] == [2, 1]
    assert len(call("ls", "--limit", 1, "--json").document) == 1
    head, second, first = call("ls").out.splitlines()
    assert head.split() == ["ID", "WORKFLOW", "STATE", "STARTED", "TOOK"]
    assert second.split()[:3] == ["2", "sales", "RUNNING_EXECUTION"]
    assert first.split()[:3] == ["1", "sales", "FAILURE"]
    assert first.endswith("2.0 s")


def test_show_has_every_task_also_what_never_began(call: Call, history: Home) -> None:
    states = {task["name"]: task["state"] for task in call("show", 1, "--json").document["tasks"]}

    assert states == {"a": "FAILURE", "b": "UPSTREAM_FAILED", "c": "WAITING"}


def test_show_fits_on_a_terminal_and_cannot_steer_it(call: Call, history: Home) -> None:
    text = call("show", 1).out

    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "exit code 3\\x1b[2J" in text
    assert "a: rows=5" in text


def test_a_timeline_has_a_bar_for_what_ran_and_words_for_what_did_not(
    call: Call, history: Home
) -> None:
    title, _, axis, ran, *never = call("show", 1, "--timeline").out.splitlines()

    assert "FAILURE" in title
    assert axis.startswith("TASK")
    assert ran.startswith("a ")
    assert "█" in ran
    assert ran.endswith("FAILURE attempt 2")
    assert [row.split() for row in never] == [["b", "UPSTREAM_FAILED"], ["c", "WAITING"]]


def test_last_is_the_newest(call: Call, history: Home) -> None:
    assert call("show", "last", "--json").document["workflow_instance_id"] == 2


@pytest.mark.live
@pytest.mark.slow
def test_a_log_goes_into_a_pipe_byte_for_byte(history: Home) -> None:
    command = [sys.executable, "-m", "stenella", "logs", "1/a"]

    assert subprocess.run(command, capture_output=True).stdout == b"\xffsecond\x1b[2J\n"


def test_a_log_is_of_the_current_attempt_or_of_the_one_asked_for(call: Call, history: Home) -> None:
    assert call("logs", "1/a", "--attempt", 1).out == "first try\n"
    assert call("logs", "1/a", "--json").document == [
        {"task_instance_id": 1, "name": "a", "attempt": 2, "text": "�second\x1b[2J\n"}
    ]


def test_the_tail_of_a_log_is_its_last_lines(call: Call, history: Home) -> None:
    log = history.worker(1).logs / "1" / "1.2.log"
    log.write_text("".join(f"line {n}\n" for n in range(50_000)) + "no end")

    assert call("logs", "1/a", "--tail", 3).out == "line 49998\nline 49999\nno end"
    assert call("logs", "1/a", "--tail", 0).out == ""
    assert call("logs", 1, "--tail", 1).out == "a#2 │ no end\n"
    assert len(call("logs", "1/a", "--tail", 70_000).out) == log.stat().st_size
    (row,) = call("logs", "1/a", "--tail", 2, "--json").document
    assert row["text"] == "line 49999\nno end"


@pytest.mark.parametrize(
    ("data", "lines", "tail"),
    [
        (b"", 3, b""),
        (b"\n\n", 1, b"\n"),
        (b"a\nb\n", 1, b"b\n"),
        (b"a\nb", 1, b"b"),
        (b"a\nb\n", 9, b"a\nb\n"),
        (b"x" * 200_000 + b"\n" + b"y" * 100_000 + b"\n", 1, b"y" * 100_000 + b"\n"),
        (b"\n" * 65_536 + b"a\n", 2, b"\na\n"),
        (b"b\n" * 32_768, 32_768, b"b\n" * 32_768),
        (b"b\n" * 40_000, 39_999, b"b\n" * 39_999),
    ],
)
def test_last_lines_are_found_across_the_steps_backwards(
    tmp_path: Path, data: bytes, lines: int, tail: bytes
) -> None:
    (tmp_path / "log").write_bytes(data)
    log = LocalLog(tmp_path / "log")

    assert b"".join(piece for _, piece in pieces(log, tail_offset(log, lines))) == tail


def test_of_an_instance_each_line_stands_behind_its_tasks_name(call: Call, history: Home) -> None:
    assert call("logs", 1).out == "a#2 │ �second\x1b[2J\n"


@pytest.mark.parametrize(
    "line", ["logs 1/x", "logs 1/c", "logs 1/a --attempt 9", "logs 1/b", "logs 2"]
)
def test_a_log_that_is_not_there_is_not_found(line: str, call: Call, history: Home) -> None:
    outcome = call(*line.split())

    assert (outcome.code, outcome.out) == (NO_SUCH, "")


def test_a_log_on_a_worker_elsewhere_is_not_taken_for_empty_without_a_cluster(
    call: Call, home: Home
) -> None:
    journal = Journal.open(home.database)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    running = {"state": TaskState.RUNNING_EXECUTION, "worker": "far", "start_time": WALL_MS}
    rows = [
        version(),
        instance(),
        task(1, attempt=2, **running),
        earlier_attempt(1, worker="far", tail="no such file"),
        task(2, state=TaskState.SUCCESS, type="noop", **ENDED),
    ]
    journal.commit(batch(1, *rows))
    journal.close()

    now, before = call("logs", "1/a"), call("logs", "1/a", "--attempt", 1)
    of_all = call("logs", 1, "--json")

    assert (now.code, now.out) == (REFUSED, "")
    assert "no cluster is up to ask far" in now.err
    assert before.code == 0
    assert "no such file" in before.out
    assert of_all.code == REFUSED
    assert [row["text"] for row in of_all.document] == [None, ""]


@pytest.mark.parametrize("line", ["logs 1 --attempt 1", "logs 1 -f --attempt 1"])
def test_what_is_about_one_task_needs_its_name(line: str, call: Call, history: Home) -> None:
    assert call(*line.split()).code == 2


def test_following_a_log_without_a_cluster_ends_where_it_ends(call: Call, history: Home) -> None:
    assert call("logs", "1/a", "--attempt", 1, "-f").out == "first try\n"
    line = call("logs", "1/a", "--attempt", 1, "-f", "--json").document
    assert line == {"task_instance_id": 1, "name": "a", "attempt": 1, "text": "first try\n"}


def test_wait_answers_for_an_ended_instance(call: Call, history: Home) -> None:
    outcome = call("wait", 1)

    assert outcome.code == 1
    assert "FAILURE in 2.0 s" in outcome.out
    assert "  │ �second\\x1b[2J" in outcome.out
    assert call("wait", 1, "--json").document["state"] == "FAILURE"


def test_wait_for_a_live_instance_needs_a_cluster(call: Call, history: Home) -> None:
    assert call("wait", 2).code == 5


def test_a_trace_is_found_by_number_and_by_name(call: Call, history: Home) -> None:
    by_number = call("debug", "trace", 1, "--json").document

    assert [row["event"] for row in by_number] == ["SUBMIT", "DISPATCH"]
    assert call("debug", "trace", "1/a", "--json").document == by_number
    text = call("debug", "trace", "1/a").out
    assert max(map(len, text.splitlines())) <= 80
