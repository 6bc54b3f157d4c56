"""What runs next, retries and ends: all of a master's actors in their turn (DESIGN section 2)."""

from collections.abc import Iterator
from typing import Any

import pytest

from stenella.actors.master.messages import KillTasks, StartWorkflow, StopWorkflow
from stenella.actors.master.workflow_executor import SLICE, WorkflowExecutor
from stenella.protocol.commands import (
    Refused,
    Submit,
    TaskExecuteRequest,
    TaskExecuteResponseAck,
    TaskKillRequest,
)
from stenella.protocol.rows import TaskAttempt, WorkflowInstanceRow
from stenella.protocol.states import WorkflowState
from stenella.workflow.definition import Definition, Output, Parameter, Retry, encode

from .builders import FAILOVER_MAX, definition, killed, task
from .played_master import PlayedMaster, ids, written
from .recorder import Recorder, of, told

W = WorkflowState


@pytest.fixture
def master() -> Iterator[PlayedMaster]:
    played = PlayedMaster()
    yield played
    played.journal.close()


def started(master: PlayedMaster, meant: Definition, **params: Any) -> list[TaskExecuteRequest]:
    """Start instance 1 on a worker that is there; the requests that go out."""
    master.worker()
    assert master.submit(meant, **params) == 1
    return master.requests()


def names(requests: list[TaskExecuteRequest]) -> list[str]:
    return [request.task for request in requests]


def failed(**retry: Any) -> Definition:
    return definition(task("a", retry=Retry(**retry)))


# --- which task is next --------------------------------------------------------------------------


def test_a_hop_of_a_chain_is_one_commit_then_the_ack_and_the_next_request(
    master: PlayedMaster,
) -> None:
    [a] = started(master, definition(task("a"), task("b", "a"), task("c", "b")))
    assert a.task == "a"

    ack, b = master.end(a)

    assert isinstance(ack, TaskExecuteResponseAck)
    assert isinstance(b, TaskExecuteRequest)
    assert b.task == "b"
    [batch] = master.batches
    assert written(batch) == [("a", "SUCCESS"), ("b", "DISPATCH")]


def test_a_fan_starts_when_its_root_has_ended(master: PlayedMaster) -> None:
    children = [task(f"c{number}", "a") for number in range(5)]
    [a] = started(master, definition(task("a"), *children))

    master.end(a)

    assert names(master.requests()) == ["c0", "c1", "c2", "c3", "c4"]


def test_a_join_waits_for_all_its_parents(master: PlayedMaster) -> None:
    [a] = started(
        master, definition(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))
    )
    master.end(a)
    b, c = master.requests()

    master.end(b)
    assert names(master.requests()) == []
    master.end(c)
    [d] = master.requests()
    assert d.task == "d"
    master.end(d)
    assert master.end_state() is W.SUCCESS


def test_an_instance_ends_with_its_last_task_in_the_same_commit(master: PlayedMaster) -> None:
    [a] = started(master, definition(task("a")))

    master.end(a)

    [batch] = master.batches
    assert written(batch) == [("a", "SUCCESS")]
    assert len(batch.versioned[WorkflowInstanceRow]) == 1
    assert (master.end_state(), master.instance().end_time) == (W.SUCCESS, master.wall_ms)


def test_outputs_of_a_task_are_parameters_of_the_next(master: PlayedMaster) -> None:
    meant = definition(
        task("a", outputs=(Output("n"),)),
        task("b", "a", params={"x": "${a.n}"}),
        params={"day": Parameter(default="monday")},
    )
    [a] = started(master, meant, day="friday")
    assert (a.params, a.origins, a.required) == ({"day": "friday"}, {"day": "startup"}, ["n"])

    master.end(a, outputs={"n": 3})

    [b] = master.requests()
    assert b.params == {"day": "friday", "x": 3}
    assert b.origins == {"day": "startup", "x": "a.n"}


def test_a_large_fan_is_cut_into_slices_with_room_for_others_in_between(
    master: PlayedMaster,
) -> None:
    count = SLICE + 1
    master.submit(definition(*(task(f"t{number}") for number in range(count))))

    assert [len(written(batch)) for batch in master.batches] == [SLICE, count - SLICE]


@pytest.mark.parametrize(
    ("meant", "params", "code"),
    [
        (definition(task("a", "b"), task("b", "a")), {}, 4),
        (definition(params={"day": Parameter()}), {}, 2),
        (definition(), {"dya": "x"}, 2),
    ],
)
def test_what_cannot_run_is_refused_and_nothing_is_stored(
    master: PlayedMaster, meant: Definition, params: dict[str, Any], code: int
) -> None:
    refusal = master.ask(Submit, definition=encode(meant), params=params)

    assert isinstance(refusal, Refused)
    assert refusal.exit_code == code
    assert master.batches == []


# --- tried again ---------------------------------------------------------------------------------


def test_a_retry_is_the_next_attempt_written_with_its_time_in_the_turn_of_the_failure(
    master: PlayedMaster,
) -> None:
    [a] = started(master, failed(times=2, interval_ms=7_000))

    sent = master.end(a, "FAILURE", exit_code=3, reason="exit_nonzero", tail="oh")

    assert [type(command) for command in sent] == [TaskExecuteResponseAck]
    [batch] = master.batches
    assert written(batch) == [("a", "SUBMITTED_SUCCESS")]
    [evidence] = batch.appended[TaskAttempt]
    assert evidence[:3] == (a.task_instance_id, 1, 6)
    row = master.rows()["a"]
    assert (row.attempt, row.try_no, row.eligible_at) == (2, 2, master.wall_ms + 7_000)
    assert (row.worker, row.exit_code, row.reason, row.tail, row.seq) == (None, None, "", "", 0)


def test_a_retry_is_placed_when_its_wait_is_over_and_each_wait_is_longer(
    master: PlayedMaster,
) -> None:
    [a] = started(master, failed(times=3, interval_ms=1_000, backoff=2.0))

    for attempt, wait_ms in ((2, 1_000), (3, 2_000), (4, 4_000)):
        master.end(a, "FAILURE")
        master.wait(wait_ms - 1)
        assert master.requests() == []
        master.wait(1)
        [a] = master.requests()
        assert (a.attempt, a.task_instance_id) == (attempt, 1)


def test_when_its_tries_are_used_up_the_task_has_failed(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=1, interval_ms=1_000))
    master.end(a, "FAILURE")
    master.wait(1_000)
    [again] = master.requests()

    master.end(again, "FAILURE")

    assert master.states() == {"a": "FAILURE"}
    assert master.end_state() is W.FAILURE
    assert master.instance().reason == "task_failed"


def test_each_try_is_a_dispatch_of_its_own_and_the_older_one_is_fenced(
    master: PlayedMaster,
) -> None:
    [a] = started(master, failed(times=1, interval_ms=1_000))
    master.end(a, "FAILURE")
    master.wait(1_000)
    [again] = master.requests()
    assert again.dispatch_id > a.dispatch_id

    [ack] = master.end(a, seq=9)

    assert getattr(ack, "outcome", "") == "fenced"
    assert master.states() == {"a": "DISPATCH"}


def test_lost_costs_no_try_but_counts_as_a_failover(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=0))

    master.end(a, "NEED_FAULT_TOLERANCE", reason="lost")

    [again] = master.requests()  # at once
    row = master.rows()["a"]
    assert (again.attempt, row.try_no, row.failover_no) == (2, 1, 1)


def test_failovers_are_bounded(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=5))
    for _ in range(FAILOVER_MAX):
        master.end(a, "NEED_FAULT_TOLERANCE", reason="lost")
        [a] = master.requests()

    master.end(a, "NEED_FAULT_TOLERANCE", reason="lost")

    assert master.states() == {"a": "FAILURE"}
    assert master.rows()["a"].reason == "killed_workers"
    assert master.end_state() is W.FAILURE


def test_what_the_clusters_end_stopped_runs_again_at_no_cost(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=0))
    for reason in ["lost"] * FAILOVER_MAX + ["shutdown"] * 2:
        master.end(a, "NEED_FAULT_TOLERANCE", reason=reason)
        [a] = master.requests()

    row = master.rows()["a"]
    assert (row.attempt, row.try_no, row.failover_no) == (FAILOVER_MAX + 3, 1, FAILOVER_MAX)


def test_a_kill_is_never_tried_again(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=5))

    master.end(a, "KILL", reason="killed")

    assert master.states() == {"a": "KILL"}
    assert master.end_state() is W.FAILURE


# --- failure strategies --------------------------------------------------------------------------

FORK = (
    task("a"),
    task("b"),
    task("a1", "a"),
    task("a2", "a1"),
    task("b1", "b"),
    task("c", "b1", "a2"),
)


def test_continue_runs_all_that_does_not_depend_on_the_failure(master: PlayedMaster) -> None:
    a, b = started(master, definition(*FORK))

    master.end(a, "FAILURE")
    assert master.end_state() is W.RUNNING_EXECUTION
    master.end(b)
    [b1] = master.requests()
    master.end(b1)

    upstream = dict.fromkeys(("a1", "a2", "c"), "UPSTREAM_FAILED")
    done = {"a": "FAILURE", "b": "SUCCESS", "b1": "SUCCESS"}
    assert master.states() == done | upstream
    assert {master.rows()[name].reason for name in upstream} == {"upstream_failed"}
    assert (master.end_state(), master.instance().reason) == (W.FAILURE, "task_failed")
    assert "a" in master.instance().message


def test_end_kills_what_runs_and_starts_nothing_more(master: PlayedMaster) -> None:
    a, b = started(master, definition(*FORK, failure_strategy="end"))

    sent = master.end(a, "FAILURE")
    [order] = [command for command in sent if isinstance(command, TaskKillRequest)]
    assert order.dispatch_id == b.dispatch_id
    assert master.end_state() is W.RUNNING_EXECUTION
    master.end(b)  # it had ended before the signal

    assert master.requests() == []
    states = {"a": "FAILURE", "b": "SUCCESS", "b1": "SKIPPED"}
    upstream = dict.fromkeys(("a1", "a2", "c"), "UPSTREAM_FAILED")
    assert master.states() == states | upstream
    assert master.rows()["b1"].reason == "failure_strategy"
    assert master.end_state() is W.FAILURE


def test_end_waits_for_the_last_try(master: PlayedMaster) -> None:
    retried = task("a", retry=Retry(times=1, interval_ms=1_000))
    a, b = started(master, definition(retried, task("b"), failure_strategy="end"))

    sent = master.end(a, "FAILURE")
    assert not [command for command in sent if isinstance(command, TaskKillRequest)]
    master.end(b, "FAILURE")

    assert master.states() == {"a": "KILL", "b": "FAILURE"}
    assert master.end_state() is W.FAILURE


def test_every_node_has_a_row_before_the_instance_ends_also_in_slices(
    master: PlayedMaster,
) -> None:
    below = [task(f"t{number}", "a") for number in range(SLICE + 1)]
    [a] = started(master, definition(task("a"), *below))

    master.end(a, "FAILURE")

    ends = [batch for batch in master.batches if WorkflowInstanceRow in batch.versioned]
    assert ends == master.batches[-1:]
    assert (len(master.batches), len(master.rows())) == (2, 1 + len(below))


# --- stop ----------------------------------------------------------------------------------------


def test_a_stop_kills_what_runs_and_what_waits_and_skips_the_rest(master: PlayedMaster) -> None:
    master.worker(slots=1)
    master.submit(definition(task("a"), task("b"), task("c", "b")))
    [a] = master.requests()

    master.stop(1)
    assert master.end_state() is W.READY_STOP
    assert master.states() == {"a": "DISPATCH", "b": "KILL"}
    master.give("dispatcher", killed("killing", **ids(a)))
    master.end(a, "KILL", reason="killed")

    assert (master.end_state(), master.requests()) == (W.STOP, [])
    assert master.states() == {"a": "KILL", "b": "KILL", "c": "SKIPPED"}


def test_a_stop_ends_a_wait_for_a_retry(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=1, interval_ms=9_000))
    master.end(a, "FAILURE")

    master.stop(1)

    assert (master.end_state(), master.states()) == (W.STOP, {"a": "KILL"})
    master.wait(9_000)
    assert master.requests() == []
    assert master.states() == {"a": "KILL"}


def test_a_success_after_a_stop_starts_nothing_more(master: PlayedMaster) -> None:
    [a] = started(master, definition(task("a"), task("b", "a")))
    master.stop(1)

    master.end(a)

    assert master.states() == {"a": "SUCCESS", "b": "SKIPPED"}
    assert (master.rows()["b"].reason, master.end_state()) == ("stopped", W.STOP)


def test_a_stop_between_two_slices_ends_the_making_of_rows() -> None:
    ctx, actor = Recorder(), WorkflowExecutor(1, 1)
    body = encode(definition(*(task(f"t{number}") for number in range(SLICE + 1))))
    asked = ctx.give(actor, StartWorkflow("r", body, "", {}, None))
    [rest] = of(asked, "next_turn")

    asked = ctx.give(actor, StopWorkflow("s", 1))

    assert told(asked, "event_persister") == [KillTasks(1, "stopped")]
    assert ctx.give(actor, rest) == []


def test_a_failure_after_a_stop_is_not_tried_again(master: PlayedMaster) -> None:
    [a] = started(master, failed(times=9))
    master.stop(1)

    master.end(a, "FAILURE")

    assert (master.end_state(), master.states()) == (W.STOP, {"a": "FAILURE"})


def test_a_stop_of_what_has_ended_or_never_was_is_refused(master: PlayedMaster) -> None:
    [a] = started(master, definition())
    master.end(a)

    assert [master.stop(number).exit_code for number in (1, 2)] == [6, 3]


def test_a_kill_that_comes_before_the_request_ends_the_task_in_one_turn(
    master: PlayedMaster,
) -> None:
    [a] = started(master, definition())
    master.stop(1)

    master.give("dispatcher", killed("never_began", **ids(a)))

    assert master.end_state() is W.STOP
    assert master.history(a.task_instance_id)[-2:] == ["RETURNED", "KILL"]
    assert len(master.batches) == 1
