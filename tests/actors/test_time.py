"""Delays, time limits and their ends over a restart: all of a master's actors in their turn."""

from collections.abc import Iterator
from typing import Any

import pytest

from stenella.actors.master.requests import WAIT_MS_MAX, retry_wait_ms
from stenella.protocol.commands import TaskExecuteRequest, TaskKillRequest
from stenella.protocol.states import WorkflowState
from stenella.workflow.definition import Retry, Timeout

from .builders import definition, report, task, version
from .played_master import PlayedMaster, ids

W = WorkflowState
HOUR_MS = 3_600_000


@pytest.fixture
def master() -> Iterator[PlayedMaster]:
    played = PlayedMaster()
    played.worker()
    yield played
    played.journal.close()


def begun(master: PlayedMaster, strategy: Any, after_ms: int = 5_000) -> TaskExecuteRequest:
    """Instance 1: one task with a timeout, and it runs."""
    master.submit(definition(task("a", timeout=Timeout(after_ms, strategy), retry=Retry(1, 0))))
    [request] = master.requests()
    master.begin(request)
    return request


def restart(master: PlayedMaster, *running: TaskExecuteRequest, jump_ms: int = 0) -> None:
    """The master's next life, its clock set meanwhile; the worker lists what runs."""
    master.wall_ms += jump_ms
    master.restart()
    shown = [{name: value for name, value in ids(r).items() if name != "epoch"} for r in running]
    master.worker(*(report("begun", **each) for each in shown))


# --- delay ---------------------------------------------------------------------------------------


def test_a_delay_is_waited_for_on_the_master_and_told_by_its_events(master: PlayedMaster) -> None:
    master.submit(definition(task("a", delay_ms=30_000)))

    assert master.requests() == []
    assert master.states() == {"a": "DELAY_EXECUTION"}
    assert master.rows()["a"].eligible_at == master.wall_ms + 30_000
    master.wait(29_999)
    assert master.states() == {"a": "DELAY_EXECUTION"}
    master.wait(1)
    assert master.history(1) == ["SUBMIT", "DELAY", "DUE", "DISPATCH"]


def test_a_retry_does_not_wait_for_the_delay_again(master: PlayedMaster) -> None:
    master.submit(definition(task("a", delay_ms=30_000, retry=Retry(1, 0))))
    master.wait(30_000)
    [first] = master.requests()

    master.end(first, "FAILURE", exit_code=1)

    assert [request.attempt for request in master.requests()] == [2]


def test_a_task_that_waits_for_its_delay_is_killed_by_a_stop(master: PlayedMaster) -> None:
    master.submit(definition(task("a", delay_ms=30_000)))

    master.stop(1)

    assert (master.end_state(), master.states()) == (W.STOP, {"a": "KILL"})
    master.wait(60_000)
    assert master.history(1) == ["SUBMIT", "DELAY", "KILL"]


@pytest.mark.parametrize(
    ("jump_ms", "left_ms"),
    [(0, 20_000), (-HOUR_MS, 30_000), (HOUR_MS, 0)],
    ids=["as it was", "set back", "set ahead"],
)
def test_a_restart_resumes_a_delay_by_the_clock_but_never_more_than_its_length(
    master: PlayedMaster, jump_ms: int, left_ms: int
) -> None:
    master.submit(definition(task("a", delay_ms=30_000)))
    master.wait(10_000)

    restart(master, jump_ms=jump_ms)

    for ms, state in ((left_ms - 1, "DELAY_EXECUTION"), (1, "DISPATCH")):
        if ms >= 0:
            master.wait(ms)
            assert master.states() == {"a": state}


def test_b29_a_clock_that_jumps_changes_no_wait_of_a_master_that_lives(
    master: PlayedMaster,
) -> None:
    master.submit(definition(task("a", delay_ms=30_000)))
    master.wall_ms -= HOUR_MS
    master.wait(29_999)
    assert master.states() == {"a": "DELAY_EXECUTION"}
    master.wall_ms += 2 * HOUR_MS
    master.wait(1)
    assert master.states() == {"a": "DISPATCH"}


# --- the timeout of a task -----------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "limit_ms"), [("warn", 0), ("fail", 7), ("warn_fail", 7)])
def test_the_request_carries_the_limit_that_the_warden_is_to_keep(
    master: PlayedMaster, strategy: Any, limit_ms: int
) -> None:
    assert begun(master, strategy, 7).limit_ms == limit_ms


@pytest.mark.parametrize("strategy", ["warn", "warn_fail"])
def test_a_warning_is_an_event_and_the_attempt_goes_on(master: PlayedMaster, strategy: Any) -> None:
    request = begun(master, strategy)
    assert master.rows()["a"].timeout_at == master.wall_ms + 5_000

    master.wait(4_999)
    assert master.rows()["a"].warned_at is None
    master.wait(1)
    assert master.rows()["a"].warned_at == master.wall_ms
    assert master.states() == {"a": "RUNNING_EXECUTION"}
    master.end(request)
    assert master.history(1) == ["SUBMIT", "DISPATCH", "RUNNING", "TIMEOUT", "RESULT"]
    assert master.end_state() is W.SUCCESS


def test_the_master_warns_of_nothing_that_only_fails(master: PlayedMaster) -> None:
    begun(master, "fail")

    master.wait(10_000)

    assert master.history(1) == ["SUBMIT", "DISPATCH", "RUNNING"]


def test_a_result_that_tells_of_more_time_than_allowed_warns_first(master: PlayedMaster) -> None:
    request = begun(master, "warn")
    began = master.rows()["a"].start_time
    assert began is not None

    master.end(request, start_time=began, end_time=began + 5_000)

    assert master.history(1)[-2:] == ["TIMEOUT", "RESULT"]


def test_what_ends_in_time_is_not_warned_of_ever(master: PlayedMaster) -> None:
    request = begun(master, "warn")

    master.end(request)
    master.wait(10_000)

    assert "TIMEOUT" not in master.history(1)


def test_each_attempt_has_the_whole_time(master: PlayedMaster) -> None:
    request = begun(master, "warn")
    master.wait(5_000)
    master.end(request, "FAILURE", exit_code=1)
    [second] = master.requests()

    assert (master.rows()["a"].timeout_at, master.rows()["a"].warned_at) == (0, None)
    master.begin(second)
    master.wait(4_999)
    assert master.rows()["a"].warned_at is None
    master.wait(1)
    assert master.history(1).count("TIMEOUT") == 2


def test_a_failure_by_timeout_says_its_length_and_is_tried_again(master: PlayedMaster) -> None:
    request = begun(master, "fail")

    master.end(request, "FAILURE", exit_code=143, reason="timeout", message="over")
    [second] = master.requests()
    master.end(second, "FAILURE", exit_code=143, reason="timeout", message="over")

    row = master.rows()["a"]
    assert (row.attempt, row.reason) == (2, "timeout")
    assert row.message == "stopped after its timeout of 5s"


@pytest.mark.parametrize(
    ("jump_ms", "left_ms"), [(0, 3_000), (-HOUR_MS, 5_000)], ids=["as it was", "set back"]
)
def test_a_restart_resumes_a_warning(master: PlayedMaster, jump_ms: int, left_ms: int) -> None:
    request = begun(master, "warn")
    master.wait(2_000)

    restart(master, request, jump_ms=jump_ms)

    master.wait(left_ms - 1)
    assert master.rows()["a"].warned_at is None
    master.wait(1)
    assert master.rows()["a"].warned_at == master.wall_ms


def test_a_warning_is_given_once_whatever_restarts(master: PlayedMaster) -> None:
    request = begun(master, "warn")
    master.wait(5_000)

    restart(master, request)
    master.wait(60_000)
    master.end(request, start_time=1, end_time=90_000)

    assert master.history(1).count("TIMEOUT") == 1


# --- the timeout of a workflow -------------------------------------------------------------------


def limited(strategy: Any) -> Any:
    return definition(task("a"), task("b", "a"), timeout=Timeout(5_000, strategy))


def test_a_workflow_over_its_time_is_marked_and_goes_on(master: PlayedMaster) -> None:
    master.submit(limited("warn"))
    [a] = master.requests()
    master.begin(a)

    master.wait(5_000)
    assert master.instance().warned_at == master.wall_ms
    master.end(a)
    [b] = master.requests()
    master.end(b)

    assert master.end_state() is W.SUCCESS


@pytest.mark.parametrize("strategy", ["fail", "warn_fail"])
def test_a_workflow_over_its_time_is_stopped_and_fails(master: PlayedMaster, strategy: Any) -> None:
    master.submit(limited(strategy))
    [a] = master.requests()
    master.begin(a)

    master.wait(5_000)
    assert master.end_state() is W.READY_STOP
    [kill] = [command for command in master.sent if isinstance(command, TaskKillRequest)]
    assert kill.task_instance_id == 1
    master.end(a, "KILL", exit_code=143)

    row = master.instance()
    assert (master.end_state(), row.reason) == (W.FAILURE, "timeout")
    assert row.message == "stopped after its timeout of 5s"
    assert (row.warned_at is not None) == (strategy == "warn_fail")
    assert master.states() == {"a": "KILL", "b": "SKIPPED"}
    assert master.rows()["b"].reason == "timeout"
    told = "killed, because its workflow took longer than its timeout"
    assert master.rows()["a"].message == told


def test_a_workflow_that_has_ended_is_never_over_its_time(master: PlayedMaster) -> None:
    master.submit(definition(task("a"), timeout=Timeout(5_000, "fail")))
    [a] = master.requests()
    master.end(a)

    master.wait(10_000)

    assert (master.end_state(), master.instance().warned_at) == (W.SUCCESS, None)


def test_a_stop_by_a_person_stays_one_when_time_is_over_too(master: PlayedMaster) -> None:
    master.submit(limited("fail"))
    [a] = master.requests()
    master.begin(a)
    master.stop(1)

    master.wait(6_000)
    master.end(a, "KILL", exit_code=143)

    assert master.end_state() is W.STOP


def test_restarts_with_a_clock_set_back_give_a_workflow_its_time_once_more_at_most(
    master: PlayedMaster,
) -> None:
    master.submit(limited("fail"))
    [a] = master.requests()
    master.begin(a)
    master.wait(4_000)
    restart(master, a, jump_ms=-HOUR_MS)
    master.wait(4_000)
    restart(master, a)

    master.wait(999)
    assert master.end_state() is W.RUNNING_EXECUTION
    master.wait(1)
    assert master.end_state() is W.READY_STOP


def test_a_timeout_that_struck_before_a_restart_stops_after_it(master: PlayedMaster) -> None:
    master.submit(limited("fail"))
    [a] = master.requests()
    master.begin(a)
    master.wait(5_000)

    restart(master, a)
    master.end(a, "KILL", exit_code=143)

    assert (master.end_state(), master.instance().reason) == (W.FAILURE, "timeout")


# --- jitter --------------------------------------------------------------------------------------


def test_jitter_makes_a_wait_longer_by_at_most_its_share_and_the_same_each_time() -> None:
    steady, shaken = (
        version(task("a", retry=Retry(9, 10_000, 2.0, jitter))) for jitter in (0.0, 0.5)
    )
    waits = [retry_wait_ms(shaken, 0, try_no, 7) for try_no in range(1, 9)]

    for try_no, wait_ms in enumerate(waits, start=1):
        full_ms = retry_wait_ms(steady, 0, try_no, 7)
        assert full_ms <= wait_ms <= full_ms * 1.5
    assert waits == [retry_wait_ms(shaken, 0, try_no, 7) for try_no in range(1, 9)]


def test_what_failed_together_does_not_come_back_together() -> None:
    shaken = version(task("a", retry=Retry(9, 10_000, jitter=1.0)))

    assert len({retry_wait_ms(shaken, 0, 1, number) for number in range(100)}) > 90


def test_no_wait_is_longer_than_a_week_its_jitter_included() -> None:
    shaken = version(task("a", retry=Retry(99, WAIT_MS_MAX, 100.0, 1.0)))

    assert retry_wait_ms(shaken, 0, 50, 7) == WAIT_MS_MAX
