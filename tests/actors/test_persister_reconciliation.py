"""Reconciliation: a worker's listing held against the rows, and what follows (DESIGN section 5)."""

from typing import Any

import pytest

from stenella.actors.base import Loaded
from stenella.actors.master.messages import (
    Answered,
    Ended,
    EndInstance,
    SendAgain,
    SendKill,
    Verdicts,
)
from stenella.protocol.commands import Verdict
from stenella.protocol.rows import TaskInstanceRow
from stenella.protocol.states import TASK_FINAL, Event, TaskState

from .builders import judge, kill, report, request, task_row
from .persisters import RUNS, ended, events, letters, persister
from .recorder import Recorder, of, told

T, E = TaskState, Event


def verdict(word: str, **fields: int) -> Verdict:
    return Verdict(fields.get("task_instance_id", 10), fields.get("dispatch_id", 100), word)


def test_what_is_kept_gets_the_new_boot() -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row(**RUNS)), judge(report("begun"), boot="b2"))

    assert asked[0] == ("tell", "registry", Verdicts("w1", "b2", [verdict("keep")]))
    assert [row.boot for row in of(asked, "write")] == ["b2"]
    assert events(asked) == [(E.KEPT, T.RUNNING_EXECUTION, T.RUNNING_EXECUTION)]
    assert told(asked, "dispatcher") == [Answered(100)]


def test_what_is_kept_under_the_same_boot_is_not_written() -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row()), judge(report("accepted")))

    assert asked == [
        ("tell", "registry", Verdicts("w1", "b1", [verdict("keep")])),
        ("tell", "dispatcher", Answered(100)),
    ]


def test_a_placed_attempt_that_the_same_boot_does_not_list_is_sent_again() -> None:
    ctx = Recorder()
    row = task_row()

    asked = ctx.give(persister(ctx, row), judge())

    again = SendAgain("w1", request(base_time=row.submit_time))
    assert asked == [("tell", "registry", Verdicts("w1", "b1", [])), ("tell", "dispatcher", again)]


@pytest.mark.parametrize("listing", [judge(boot="b2"), judge(report("abandoned"), boot="b2")])
def test_a_placed_attempt_that_a_new_life_has_not_begun_is_returned(listing: Any) -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row()), listing)

    assert events(asked) == [(E.RETURNED, T.DISPATCH, T.SUBMITTED_SUCCESS)]
    verdicts = told(asked, "registry")[0].verdicts
    assert verdicts == [verdict("fenced") for _ in listing.attempts]


def test_a_placed_attempt_that_another_journal_does_not_list_is_lost() -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row()), judge(boot="b2", known_journal=False))

    assert events(asked) == [(E.LOST, T.DISPATCH, T.NEED_FAULT_TOLERANCE)]
    assert letters(asked) == []


@pytest.mark.parametrize("boot", ["b1", "b2"])
def test_a_running_attempt_that_is_not_listed_is_lost_and_buried(boot: str) -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row(**RUNS)), judge(boot=boot))

    assert events(asked) == [(E.LOST, T.RUNNING_EXECUTION, T.NEED_FAULT_TOLERANCE)]
    assert letters(asked) == ["running_not_listed"]
    assert told(asked, "dispatcher") == [Ended("w1", 100)]
    assert told(asked, "workflow_executor") == [ended(T.NEED_FAULT_TOLERANCE, "lost")]


def test_a_repeated_registration_is_answered_only_for_what_it_lists() -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row(**RUNS)), judge(judge_missing=False))

    assert asked == [("tell", "registry", Verdicts("w1", "b1", []))]


def test_another_workers_attempts_are_not_judged_by_its_silence() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS))

    asked = ctx.give(made, judge(worker="w2"))

    assert asked == [("tell", "registry", Verdicts("w2", "b1", []))]


@pytest.mark.parametrize(
    ("row", "listed"),
    [(task_row(state=state), report("begun")) for state in sorted(TASK_FINAL)]
    + [(task_row(dispatch_id=101, attempt=2), report("begun"))]
    + [(task_row(worker="w2"), report("begun"))],
)
def test_what_is_final_superseded_or_anothers_is_fenced(row: TaskInstanceRow, listed: Any) -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, row), judge(listed, judge_missing=False))

    assert asked == [("tell", "registry", Verdicts("w1", "b1", [verdict("fenced")]))]


@pytest.mark.parametrize(
    ("rows", "word", "buried"),
    [([], "unknown", ["unknown"]), ([task_row(state=T.SUCCESS)], "fenced", [])],
)
def test_a_listed_attempt_is_judged_after_its_row_was_looked_for(
    rows: list[TaskInstanceRow], word: str, buried: list[str]
) -> None:
    ctx = Recorder()
    made = persister(ctx)

    assert ctx.give(made, judge(report("begun"))) == [("load", "task", 10)]
    asked = ctx.give(made, Loaded("task", (10,), rows))

    assert told(asked, "registry") == [Verdicts("w1", "b1", [verdict(word)])]
    assert letters(asked) == buried


@pytest.mark.parametrize("listing", [judge(report("begun")), judge()])
def test_a_kill_that_was_under_way_is_asked_for_again_at_the_next_welcome(listing: Any) -> None:
    ctx = Recorder()

    asked = ctx.give(persister(ctx, task_row(kill_reason="stopped")), listing)

    assert SendKill("w1", kill()) in told(asked, "dispatcher")


def test_each_listed_attempt_of_a_task_gets_its_verdict_also_behind_one_load() -> None:
    ctx = Recorder()
    made = persister(ctx)
    attempts = [report("ended"), report("ended", attempt=2, dispatch_id=101)]

    assert ctx.give(made, judge(*attempts)) == [("load", "task", 10)]
    row = task_row(state=T.SUCCESS, attempt=2, dispatch_id=101)
    asked = ctx.give(made, Loaded("task", (10,), [row]))

    both = [verdict("fenced"), verdict("fenced", dispatch_id=101)]
    assert told(asked, "registry") == [Verdicts("w1", "b1", both)]


def test_a_listed_attempt_whose_instance_ends_meanwhile_gets_its_verdict_too() -> None:
    # Found by the simulation: its worker kept it for ever.
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS))
    ctx.give(made, judge(report("abandoned"), report("ended", task_instance_id=7, dispatch_id=70)))
    ctx.give(made, EndInstance(1))

    assert ctx.give(made, Loaded("task", (7,), []))[-1:] == [("load", "task", 10)]
    asked = ctx.give(made, Loaded("task", (10,), [task_row(state=T.KILL)]))

    both = [verdict("unknown", task_instance_id=7, dispatch_id=70), verdict("fenced")]
    assert told(asked, "registry") == [Verdicts("w1", "b1", both)]


def test_what_is_missing_is_judged_once_per_boot() -> None:
    """A later listing of it may be older than what was placed there since."""
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS))
    ctx.give(made, judge(report(phase="begun")))

    assert events(ctx.give(made, judge())) == []
