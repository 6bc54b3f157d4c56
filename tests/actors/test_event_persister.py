"""The rows of attempts: every rule of the persister in DESIGN section 5, and its reconciliation."""

import json
from typing import Any

import pytest

from stenella.actors.base import Loaded
from stenella.actors.master.event_persister import SLICE, EventPersister
from stenella.actors.master.messages import (
    AdmitInstance,
    Answered,
    Ended,
    KillTasks,
    NotPlaced,
    Occupied,
    Place,
    PlaceAll,
    Placed,
    PlacedAll,
    Ready,
    RecoverTasks,
    Return,
    SendKill,
)
from stenella.protocol.commands import TaskExecuteResponseAck, TaskExecuteRunningAck
from stenella.protocol.rows import TaskInstanceRow
from stenella.protocol.states import Event, TaskState

from .builders import (
    EPOCH,
    FAILOVER_MAX,
    GRACE_MS,
    PEER,
    instance_row,
    judge,
    kill,
    request,
    result,
    result_ack,
    running,
    running_ack,
    task,
    task_row,
    version,
)
from .persisters import RUNS, WAITS, ended, events, hear, letters, persister
from .recorder import Asked, Recorder, of, told

T, E = TaskState, Event
PLACE = PlaceAll([Place(10, "w1", "b1", 100)])
Acks = list[TaskExecuteRunningAck | TaskExecuteResponseAck]


def acks(asked: list[Asked]) -> Acks:
    assert all(entry[1] == PEER for entry in asked if entry[0] == "send")
    return of(asked, "send")


# --- placing -------------------------------------------------------------------------------------


def test_placed_is_written_before_the_request_leaves() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**WAITS))

    asked = ctx.give(made, PLACE)

    [row] = of(asked, "write")
    assert (row.state, row.worker, row.boot, row.dispatch_id) == (T.DISPATCH, "w1", "b1", 100)
    assert events(asked) == [(E.DISPATCH, T.SUBMITTED_SUCCESS, T.DISPATCH)]
    assert told(asked, "dispatcher") == [
        PlacedAll([Placed("w1", request(base_time=row.submit_time))])
    ]


@pytest.mark.parametrize("state", sorted(set(T) - {T.SUBMITTED_SUCCESS}))
def test_only_what_is_submitted_is_placed(state: TaskState) -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(state=state, dispatch_id=90))

    assert ctx.give(made, PLACE) == [("tell", "dispatcher", NotPlaced("w1", 100))]


def test_what_was_killed_while_it_waited_is_not_placed() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**WAITS))
    asked = ctx.give(made, KillTasks(1, "stopped"))
    assert events(asked) == [(E.KILL, T.SUBMITTED_SUCCESS, T.KILL)]
    assert told(asked, "workflow_executor") == [ended(T.KILL, "stopped", is_to_end=True)]

    assert ctx.give(made, PLACE) == [("tell", "dispatcher", NotPlaced("w1", 100))]


def test_nothing_of_a_stopping_instance_is_placed_though_its_kill_is_cut_into_slices() -> None:
    ctx, made = Recorder(), EventPersister(1, EPOCH, GRACE_MS, FAILOVER_MAX)
    count = SLICE + 1
    tasks = [task(f"t{node}") for node in range(count)]
    ctx.give(made, AdmitInstance(instance_row(), version(*tasks)))
    rows = [task_row(id=10 + node, node=node, **WAITS) for node in range(count)]
    ctx.give(made, RecoverTasks(rows))

    asked = ctx.give(made, KillTasks(1, "stopped"))
    [rest] = of(asked, "next_turn")
    last = PlaceAll([Place(10 + SLICE, "w1", "b1", 100)])
    assert ctx.give(made, last) == [("tell", "dispatcher", NotPlaced("w1", 100))]
    assert len(of(asked, "write") + of(ctx.give(made, rest), "write")) == count


def test_a_task_of_an_instance_that_has_left_memory_is_not_placed() -> None:
    ctx = Recorder()

    assert ctx.give(persister(ctx), PLACE) == [("tell", "dispatcher", NotPlaced("w1", 100))]


def test_nothing_is_placed_on_a_boot_that_has_been_judged_away() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**WAITS))
    ctx.give(made, judge(boot="b2"))

    assert ctx.give(made, PLACE) == [
        ("tell", "dispatcher", Ready(10, "default", "shell", returned_from=100)),
        ("tell", "dispatcher", NotPlaced("w1", 100)),
    ]


def test_a_parameter_that_cannot_be_resolved_fails_the_attempt_without_a_worker() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**WAITS), params={"x": "${day}"})

    asked = ctx.give(made, PLACE)

    assert events(asked)[-1] == (E.RESULT, T.DISPATCH, T.FAILURE)
    assert told(asked, "dispatcher") == [NotPlaced("w1", 100)]
    assert told(asked, "workflow_executor") == [ended(T.FAILURE, "bad_parameter")]


# --- returned ------------------------------------------------------------------------------------


def test_what_was_returned_costs_no_try_and_goes_back_to_the_head() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row())

    asked = ctx.give(made, Return(10, 100, "no_slot"))

    [row] = of(asked, "write")
    assert (row.state, row.attempt, row.try_no, row.failover_no) == (T.SUBMITTED_SUCCESS, 1, 1, 0)
    assert events(asked) == [(E.RETURNED, T.DISPATCH, T.SUBMITTED_SUCCESS)]
    assert told(asked, "dispatcher") == [
        Ready(10, "default", "shell", returned_from=100),
        Ended("w1", 100),
    ]


def test_a_kill_that_finds_it_never_began_returns_and_kills_in_one_turn() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row())
    assert told(ctx.give(made, KillTasks(1, "stopped")), "dispatcher") == [SendKill("w1", kill())]

    asked = ctx.give(made, Return(10, 100, "never_began"))

    assert events(asked) == [
        (E.RETURNED, T.DISPATCH, T.SUBMITTED_SUCCESS),
        (E.KILL, T.SUBMITTED_SUCCESS, T.KILL),
    ]
    assert told(asked, "dispatcher") == [Ended("w1", 100)]
    assert told(asked, "workflow_executor") == [ended(T.KILL, "stopped", is_to_end=True)]


@pytest.mark.parametrize(
    ("row", "back"),
    [(task_row(), Return(10, 99, "no_slot")), (task_row(**RUNS), Return(10, 100, "no_slot"))],
)
def test_an_older_dispatch_or_what_began_is_not_returned(row: TaskInstanceRow, back: Any) -> None:
    ctx = Recorder()

    assert ctx.give(persister(ctx, row), back) == []


# --- callbacks: unknown, dispatch, seq, state ----------------------------------------------------


def test_running_is_written_and_acknowledged_in_one_turn() -> None:
    ctx = Recorder()

    asked = hear(ctx, persister(ctx, task_row()), running())

    assert events(asked) == [(E.RUNNING, T.DISPATCH, T.RUNNING_EXECUTION)]
    assert told(asked, "dispatcher") == [Answered(100)]
    assert acks(asked) == [running_ack()]


def test_a_result_is_written_acknowledged_and_told_in_one_turn() -> None:
    ctx = Recorder()

    asked = hear(ctx, persister(ctx, task_row(**RUNS)), result(outputs={"n": 1}, tail="bye"))

    [row] = of(asked, "write")
    assert (row.state, row.seq, row.exit_code, row.tail) == (T.SUCCESS, 2, 0, "bye")
    assert (json.loads(row.outputs), row.end_time) == ({"n": 1}, result().end_time)
    assert events(asked) == [(E.RESULT, T.RUNNING_EXECUTION, T.SUCCESS)]
    assert told(asked, "dispatcher") == [Ended("w1", 100)]
    assert told(asked, "workflow_executor") == [ended(T.SUCCESS)]
    assert acks(asked) == [result_ack()]


def test_a_preparation_is_running_without_a_process_until_it_has_one() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row())

    hear(ctx, made, running(pid=0))
    row = made.tasks[10]
    preparing = (row.state, row.pid, row.reason, row.message)
    asked = hear(ctx, made, running(seq=2))

    sentence = "is being prepared on w1"
    assert preparing == (T.RUNNING_EXECUTION, 0, "preparing", sentence)
    assert (row.state, row.pid, row.reason, row.message) == (T.RUNNING_EXECUTION, 77, "", "")
    assert events(asked) == [(E.RUNNING, T.RUNNING_EXECUTION, T.RUNNING_EXECUTION)]


def test_a_result_without_running_implies_running() -> None:
    ctx = Recorder()

    asked = hear(ctx, persister(ctx, task_row()), result())

    assert events(asked) == [(E.RESULT, T.DISPATCH, T.SUCCESS)]
    assert acks(asked) == [result_ack()]


def test_a_workers_lost_is_a_result_with_a_number() -> None:
    ctx = Recorder()

    asked = hear(ctx, persister(ctx, task_row(**RUNS)), result("NEED_FAULT_TOLERANCE"))

    assert events(asked) == [(E.LOST, T.RUNNING_EXECUTION, T.NEED_FAULT_TOLERANCE)]
    assert told(asked, "workflow_executor") == [ended(T.NEED_FAULT_TOLERANCE)]


@pytest.mark.parametrize(
    ("callback", "ack"), [(running(seq=1), running_ack(seq=1)), (result(seq=2), result_ack(seq=2))]
)
def test_a_repeat_is_acknowledged_again_without_effect(callback: Any, ack: Any) -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(state=T.SUCCESS, seq=2))

    assert hear(ctx, made, callback) == [("send", PEER, ack)]


def test_running_after_a_result_that_overtook_it_is_acknowledged_and_ignored() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row())
    hear(ctx, made, result(seq=2))

    assert hear(ctx, made, running(seq=1)) == [("send", PEER, running_ack(seq=1))]


@pytest.mark.parametrize("callback", [running(seq=9), result("FAILURE", seq=9)])
def test_what_comes_after_a_final_state_is_kept_as_evidence_only(callback: Any) -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(state=T.SUCCESS, seq=2, reason="kept"))

    asked = hear(ctx, made, callback)

    [row] = of(asked, "write")
    assert (row.state, row.seq, row.reason) == (T.SUCCESS, 9, "kept")
    assert [after for _, _, after in events(asked)] == [T.SUCCESS]
    assert told(asked, "workflow_executor") == told(asked, "dispatcher") == []
    assert [ack.outcome for ack in acks(asked)] == ["ok"]


@pytest.mark.parametrize("older", [{"dispatch_id": 99}, {"attempt": 2}, {"dispatch_id": 101}])
@pytest.mark.parametrize("state", [T.RUNNING_EXECUTION, T.SUCCESS])
def test_a_callback_of_another_attempt_or_dispatch_is_fenced(
    older: dict[str, Any], state: TaskState
) -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(state=state))

    assert hear(ctx, made, result(**older)) == [("send", PEER, result_ack("fenced", **older))]


def test_a_callback_of_what_was_given_back_is_fenced() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(state=T.SUBMITTED_SUCCESS, worker="w1", dispatch_id=100))

    assert hear(ctx, made, running()) == [("send", PEER, running_ack("fenced"))]


def test_a_worker_reports_only_what_was_placed_on_it() -> None:
    ctx = Recorder()

    asked = hear(ctx, persister(ctx, task_row()), result(), sender="w2")

    assert letters(asked) == ["not_its_worker"]
    assert of(asked, "write") == []
    assert acks(asked) == [result_ack("fenced")]


def test_an_ack_names_the_epoch_of_its_request() -> None:
    ctx = Recorder()

    asked = hear(ctx, persister(ctx, task_row()), running(epoch=EPOCH - 1))

    assert acks(asked) == [running_ack(epoch=EPOCH - 1)]


# --- not in memory is not unknown ----------------------------------------------------------------


def test_a_row_that_is_not_in_memory_is_loaded_before_anything_is_said() -> None:
    ctx = Recorder()
    made = persister(ctx)

    assert hear(ctx, made, running()) == [("load", "task", 10)]
    assert hear(ctx, made, result()) == []  # behind the load
    assert made.held() == 2

    asked = ctx.give(made, Loaded("task", (10,), [task_row(state=T.SUCCESS, seq=2)]))
    assert asked == [("send", PEER, running_ack()), ("send", PEER, result_ack())]


def test_an_unknown_row_is_acknowledged_unknown_and_buried() -> None:
    ctx = Recorder()
    made = persister(ctx)
    hear(ctx, made, result())

    asked = ctx.give(made, Loaded("task", (10,), []))

    assert letters(asked) == ["unknown"]
    assert acks(asked) == [result_ack("unknown")]


# --- kill and recovery ---------------------------------------------------------------------------


def test_a_kill_is_a_durable_intent_and_repeating_it_writes_nothing() -> None:
    ctx = Recorder()
    made = persister(ctx, task_row(**RUNS))

    asked = ctx.give(made, KillTasks(1, "stopped"))
    assert [row.kill_reason for row in of(asked, "write")] == ["stopped"]
    assert told(asked, "dispatcher") == [SendKill("w1", kill())]

    assert ctx.give(made, KillTasks(1, "stopped")) == [
        ("tell", "dispatcher", SendKill("w1", kill()))
    ]


def test_rows_read_at_start_wait_or_hold_their_slots() -> None:
    ctx = Recorder()
    made = persister(ctx)
    waits = task_row(id=11, node=1, name="b", **WAITS)

    asked = ctx.give(made, RecoverTasks([task_row(), waits, task_row(id=12, state=T.SUCCESS)]))

    assert asked == [
        ("tell", "dispatcher", Occupied("w1", 100, 10, "shell")),
        ("tell", "dispatcher", Ready(11, "default", "shell")),
    ]
