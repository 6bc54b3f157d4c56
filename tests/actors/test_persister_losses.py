"""What becomes of a dead worker's attempts: handed over, or kept (DESIGN section 6)."""

from typing import Any

import pytest

from stenella.actors.base import Timer
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.messages import (
    AdmitInstance,
    Ended,
    KillTasks,
    NotPlaced,
    Place,
    PlaceAll,
    Ready,
    RecoverTasks,
    SendKill,
    TaskEnded,
    WorkerDead,
)
from stenella.protocol.rows import TaskInstanceRow
from stenella.protocol.states import Event, TaskState

from .builders import (
    EPOCH,
    FAILOVER_MAX,
    GRACE_MS,
    instance_row,
    judge,
    report,
    result,
    task,
    task_row,
    version,
)
from .persisters import RUNS, WAITS, events, hear, persister
from .recorder import WALL_MS, Recorder, of, told

DEAD = WorkerDead("w1", "h1", WALL_MS - 80_000)
LOST_AFTER_MS = 3_600_000
T, E = TaskState, Event


def keeping(ctx: Recorder, *rows: TaskInstanceRow, lost_after_ms: int | None = None) -> Any:
    """A persister whose tasks are to be kept."""
    made = EventPersister(1, EPOCH, GRACE_MS, FAILOVER_MAX)
    kept = task("a", on_isolation="keep", lost_after_ms=lost_after_ms)
    ctx.give(made, AdmitInstance(instance_row(), version(kept, task("b"))))
    ctx.give(made, RecoverTasks(list(rows)))
    return made


def ends(asked: list[Any]) -> list[tuple[TaskState, str]]:
    found = [m for m in told(asked, "workflow_executor") if isinstance(m, TaskEnded)]
    return [(m.state, m.reason) for m in found]


@pytest.mark.parametrize("state", [T.DISPATCH, T.RUNNING_EXECUTION])
def test_what_a_dead_worker_had_is_lost_in_the_same_turn(state: TaskState) -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(state=state))

    asked = ctx.give(made, DEAD)

    assert events(asked) == [(E.LOST, state, T.NEED_FAULT_TOLERANCE)]
    assert ends(asked) == [(T.NEED_FAULT_TOLERANCE, "worker_lost")]
    assert Ended("w1", 100) in told(asked, "dispatcher")
    [row] = of(asked, "write")
    assert "h1" in row.message
    assert "declared dead" in row.message


class Unwalked(dict[int, TaskInstanceRow]):
    """A million rows, of which nobody is to look at each."""

    def values(self) -> Any:
        raise AssertionError("all rows are walked")

    __iter__ = items = values


@pytest.mark.parametrize("message", [judge(boot="b2", known_journal=False), DEAD])
def test_who_registers_or_dies_costs_what_it_has_and_not_all_there_is(message: Any) -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS), task_row(id=11, node=1, **WAITS))
    made.tasks = Unwalked(made.tasks)

    asked = ctx.give(made, message)

    assert events(asked) == [(E.LOST, T.RUNNING_EXECUTION, T.NEED_FAULT_TOLERANCE)]


def test_others_go_on() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS, worker="w2"), task_row(id=11, node=1, **WAITS))

    assert ctx.give(made, DEAD) == []


def test_nothing_is_placed_on_it_that_was_decided_before() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**WAITS))
    ctx.give(made, DEAD)

    asked = ctx.give(made, PlaceAll([Place(10, "w1", "b1", 101)]))

    answers = told(asked, "dispatcher")
    assert NotPlaced("w1", 101) in answers
    assert [m for m in answers if isinstance(m, Ready)]


def test_after_so_many_losses_it_has_failed_and_says_why() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS, failover_no=FAILOVER_MAX))

    asked = ctx.give(made, DEAD)

    assert events(asked) == [(E.LOST, T.RUNNING_EXECUTION, T.FAILURE)]
    assert ends(asked) == [(T.FAILURE, "killed_workers")]
    [row] = of(asked, "write")
    assert row.message.startswith(f"killed its workers: {FAILOVER_MAX + 1} attempts were lost")


def test_a_workers_own_report_of_a_loss_counts_alike() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS, failover_no=FAILOVER_MAX))

    asked = hear(ctx, made, result("NEED_FAULT_TOLERANCE", reason="lost"))

    assert ends(asked) == [(T.FAILURE, "killed_workers")]


def test_what_the_clusters_end_stopped_was_not_killed_by_the_task() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS, failover_no=FAILOVER_MAX))

    asked = hear(ctx, made, result("NEED_FAULT_TOLERANCE", reason="shutdown"))

    assert ends(asked) == [(T.NEED_FAULT_TOLERANCE, "shutdown")]


# --- kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [T.DISPATCH, T.RUNNING_EXECUTION])
def test_what_is_to_be_kept_stays_as_it_is_and_says_since_when(state: TaskState) -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(state=state))

    asked = ctx.give(made, DEAD)

    assert events(asked) == [(E.KEPT, state, state)]
    assert ends(asked) == []
    [row] = of(asked, "write")
    assert row.unreachable_at == DEAD.since_ms
    assert row.message == "worker w1 (h1) unreachable since 2025-11-24 15:58:40 UTC, kept"
    assert ctx.give(made, DEAD) == []


def test_its_later_result_counts() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS))
    ctx.give(made, DEAD)

    asked = hear(ctx, made, result())

    assert ends(asked) == [(T.SUCCESS, "")]
    assert [(row.unreachable_at, row.message) for row in of(asked, "write")] == [(None, "")]


def test_when_its_worker_is_back_it_goes_on() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS))
    ctx.give(made, DEAD)

    asked = ctx.give(made, judge(report("begun")))

    assert events(asked) == [(E.KEPT, T.RUNNING_EXECUTION, T.RUNNING_EXECUTION)]
    assert [(row.unreachable_at, row.message) for row in of(asked, "write")] == [(None, "")]


def test_when_its_worker_is_back_without_it_it_has_failed_for_good() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS))
    ctx.give(made, DEAD)

    assert ends(ctx.give(made, judge())) == [(T.FAILURE, "worker_lost")]


@pytest.mark.parametrize("boot", ["b1", "b2"])  # sent there again; returned, and placed again
def test_what_its_worker_never_got_waits_for_nobody_any_more(boot: str) -> None:
    # Found by the simulation: killed while it ran at its next place, it had ended at once.
    ctx = Recorder()
    made = keeping(ctx, task_row(state=T.DISPATCH), lost_after_ms=LOST_AFTER_MS)
    ctx.give(made, DEAD)
    asked = ctx.give(made, judge(boot=boot))
    assert of(asked, "write")[-1].unreachable_at is None
    if boot == "b2":
        ctx.give(made, PlaceAll([Place(10, "w1", "b2", 101)]))

    assert ends(ctx.give(made, Timer("lost_after"))) == []
    asked = ctx.give(made, KillTasks(1, "stopped"))

    assert ends(asked) == []
    assert [m for m in told(asked, "dispatcher") if isinstance(m, SendKill)]


def test_a_person_ends_the_waiting() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS))
    ctx.give(made, DEAD)

    asked = ctx.give(made, KillTasks(1, "stopped"))

    assert ends(asked) == [(T.KILL, "stopped")]
    assert not [m for m in told(asked, "dispatcher") if isinstance(m, SendKill)]


def test_what_a_person_had_killed_before_is_not_kept() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS, kill_reason="stopped"))

    assert ends(ctx.give(made, DEAD)) == [(T.KILL, "stopped")]


def test_lost_after_ends_the_waiting_at_its_time() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS), lost_after_ms=LOST_AFTER_MS)
    [wait_ms] = of(ctx.give(made, DEAD), "set_timer")
    assert wait_ms == LOST_AFTER_MS - 80_000

    ctx.wait(wait_ms - 1)
    assert ends(ctx.give(made, Timer("lost_after"))) == []
    ctx.wait(1)
    assert ends(ctx.give(made, Timer("lost_after"))) == [(T.FAILURE, "worker_lost")]


def test_lost_after_means_nothing_once_it_is_heard_again() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS), lost_after_ms=LOST_AFTER_MS)
    ctx.give(made, DEAD)
    ctx.give(made, judge(report("begun")))
    ctx.wait(LOST_AFTER_MS)

    assert ctx.give(made, Timer("lost_after")) == []


def test_a_second_isolation_has_a_lost_after_of_its_own() -> None:
    ctx = Recorder()
    made = keeping(ctx, task_row(**RUNS), lost_after_ms=LOST_AFTER_MS)
    ctx.give(made, DEAD)
    ctx.give(made, judge(report("begun")))
    ctx.wait(LOST_AFTER_MS // 2)
    ctx.give(made, WorkerDead("w1", "h1", ctx.wall_ms))
    ctx.wait(LOST_AFTER_MS // 2)

    assert ends(ctx.give(made, Timer("lost_after"))) == []
    ctx.wait(LOST_AFTER_MS // 2)
    assert ends(ctx.give(made, Timer("lost_after"))) == [(T.FAILURE, "worker_lost")]


def test_the_next_master_goes_on_waiting() -> None:
    ctx = Recorder()
    row = task_row(**RUNS, unreachable_at=WALL_MS - 1_000, message="kept")
    made = keeping(ctx, row, lost_after_ms=LOST_AFTER_MS)
    ctx.wait(LOST_AFTER_MS)

    assert ends(ctx.give(made, Timer("lost_after"))) == [(T.FAILURE, "worker_lost")]
