"""A master's next life: all of it again from the rows (DESIGN sections 4 and 5)."""

from collections.abc import Iterator

import pytest

from stenella.actors.master.workflow_executor import RECOVER_INSTANCES
from stenella.protocol.commands import (
    TaskExecuteRequest,
    TaskKillRequest,
    Verdict,
    WorkerWelcome,
)
from stenella.protocol.states import WorkflowState
from stenella.workflow.definition import Definition, Output, Retry

from .builders import definition, heartbeat, register, report, result, task
from .played_master import PlayedMaster, ids

W = WorkflowState
CHAIN = definition(
    task("a", outputs=(Output("n"),)), task("b", "a", params={"x": "${a.n}"}), task("c", "b")
)


@pytest.fixture
def master() -> Iterator[PlayedMaster]:
    played = PlayedMaster()
    yield played
    played.journal.close()


def in_the_middle(master: PlayedMaster, slots: int = 9) -> TaskExecuteRequest:
    """Instance 1 of the chain: a has ended, b was sent to w1, c has no row."""
    master.worker(slots=slots)
    master.submit(CHAIN)
    [a] = master.requests()
    master.end(a, outputs={"n": 3})
    [b] = master.requests()
    return b


def _ids(request: TaskExecuteRequest) -> dict[str, int]:
    return {name: value for name, value in ids(request).items() if name != "epoch"}


def finish(master: PlayedMaster, request: TaskExecuteRequest) -> None:
    """End this task and all that follow it, one by one."""
    pending = [request]
    while pending:
        master.end(pending.pop())
        pending += master.requests()


def test_what_runs_goes_on_and_nothing_runs_twice(master: PlayedMaster) -> None:
    b = in_the_middle(master)
    master.begin(b)
    master.restart()

    welcome = master.worker(report("begun", **_ids(b)))
    assert welcome.verdicts == [Verdict(b.task_instance_id, b.dispatch_id, "keep")]
    assert master.requests() == []
    finish(master, b)

    assert master.states() == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}
    assert {row.attempt for row in master.rows().values()} == {1}
    assert master.end_state() is W.SUCCESS


def test_what_the_same_boot_never_got_is_sent_again_with_the_same_dispatch(
    master: PlayedMaster,
) -> None:
    b = in_the_middle(master)
    master.restart()

    master.worker()

    [again] = master.requests()
    assert _ids(again) == _ids(b)
    assert (again.epoch, again.params) == (master.epoch, {"x": 3})


def test_what_a_new_life_of_the_worker_does_not_have_is_placed_anew(master: PlayedMaster) -> None:
    b = in_the_middle(master)
    master.restart()

    master.worker(boot="b2", life=3)

    [anew] = master.requests()
    assert (anew.attempt, anew.to_boot) == (1, "b2")
    assert anew.dispatch_id > b.dispatch_id


def test_the_welcome_leaves_before_any_request_to_that_boot(master: PlayedMaster) -> None:
    in_the_middle(master)
    master.restart()

    master.worker(boot="b2", life=3)

    kinds = [type(command) for command in master.sent]
    assert kinds == [WorkerWelcome, TaskExecuteRequest]


def test_nothing_is_placed_elsewhere_before_its_worker_has_registered(
    master: PlayedMaster,
) -> None:
    in_the_middle(master)
    master.restart()

    master.give("registry", register(worker="w2", epoch=master.epoch), b"w2-link", "w2")

    assert master.requests() == []
    assert master.states() == {"a": "SUCCESS", "b": "DISPATCH"}


def test_slots_of_the_former_life_are_still_held(master: PlayedMaster) -> None:
    b = in_the_middle(master, slots=1)
    master.submit(definition())
    master.restart()

    master.worker(report("begun", **_ids(b)), slots=1)
    assert master.requests() == []
    master.end(b)
    assert len(master.requests()) == 1


def retried() -> Definition:
    return definition(task("a", retry=Retry(times=2, interval_ms=9_000, backoff=3.0)))


@pytest.mark.parametrize(
    ("set_ms", "rest_ms"),
    [(0, 5_000), (2_000, 3_000), (60_000, 0), (-3_600_000, 9_000)],
)
def test_a_wait_is_resumed_and_never_longer_than_it_was(
    master: PlayedMaster, set_ms: int, rest_ms: int
) -> None:
    """4 s of 9 have passed; the wall clock was set by ``set_ms`` while the master was down."""
    master.worker()
    master.submit(retried())
    [a] = master.requests()
    master.end(a, "FAILURE")
    master.wait(4_000)
    master.wall_ms += set_ms
    master.restart()
    master.worker()

    if rest_ms:
        assert master.requests() == []
        master.wait(rest_ms - 1)
        assert master.requests() == []
        master.wait(1)
    assert [request.attempt for request in master.requests()] == [2]


def test_a_stop_goes_on(master: PlayedMaster) -> None:
    b = in_the_middle(master)
    master.begin(b)
    master.stop(1)
    master.restart()

    master.worker(report("begun", **_ids(b)))
    [order] = [command for command in master.sent if isinstance(command, TaskKillRequest)]
    assert order.dispatch_id == b.dispatch_id
    master.end(b)  # it had ended before the signal

    assert master.states() == {"a": "SUCCESS", "b": "SUCCESS", "c": "SKIPPED"}
    assert master.end_state() is W.STOP


def test_a_failure_that_ends_the_instance_still_ends_it(master: PlayedMaster) -> None:
    master.worker()
    master.submit(definition(task("a"), task("b"), task("c", "b"), failure_strategy="end"))
    a, b = master.requests()
    master.end(a, "FAILURE")
    master.restart()

    master.worker(report("begun", **_ids(b)))
    assert [type(c) for c in master.sent if isinstance(c, TaskKillRequest)] == [TaskKillRequest]
    master.end(b)

    assert master.states() == {"a": "FAILURE", "b": "SUCCESS", "c": "SKIPPED"}
    assert master.end_state() is W.FAILURE


def test_a_result_that_was_recorded_is_acknowledged_again_without_effect(
    master: PlayedMaster,
) -> None:
    b = in_the_middle(master)
    master.end(b)
    history = master.history(b.task_instance_id)
    master.restart()
    master.worker()

    [ack] = master.end(b)

    assert getattr(ack, "outcome", "") == "ok"
    assert master.history(b.task_instance_id) == history


def test_a_late_result_of_an_ended_instance_is_answered_from_its_row(master: PlayedMaster) -> None:
    b = in_the_middle(master)
    finish(master, b)
    master.restart()

    [ack] = master.end(b)
    [stranger] = master.give("event_persister", result(task_instance_id=999))

    assert (getattr(ack, "outcome", ""), getattr(stranger, "outcome", "")) == ("ok", "unknown")


def test_until_it_is_through_only_heartbeats_and_debug_are_taken(master: PlayedMaster) -> None:
    in_the_middle(master)
    master.turn.recovering = True  # as before its rows were read

    assert master.turn.offer("registry", register(), b"w1-link", "w1") == "recovering"
    assert master.turn.offer("event_persister", result(), b"w1-link", "w1") == "recovering"
    assert master.turn.offer("registry", heartbeat(), b"w1-link", "w1") == ""


def test_all_live_instances_are_taken_up_however_many(master: PlayedMaster) -> None:
    count = RECOVER_INSTANCES + 1
    for _ in range(count):
        master.submit(definition())
    master.restart()

    master.worker(slots=count)

    assert [request.workflow_instance_id for request in master.requests()] == [*range(1, count + 1)]


def test_ids_go_on_where_the_former_life_ended(master: PlayedMaster) -> None:
    b = in_the_middle(master)
    master.restart()

    assert master.submit(definition()) == 2
    master.worker(report("begun", **_ids(b)))
    [a2] = master.requests()
    assert (a2.task_instance_id, a2.dispatch_id) > (b.task_instance_id, b.dispatch_id)
