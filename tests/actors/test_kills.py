"""Kills of single tasks, and what decides how an attempt ends: a master's actors in their turn."""

from collections.abc import Iterator
from typing import Any

import pytest

from stenella.actors.master.task_ends import SLICE
from stenella.actors.turn import Released, Send
from stenella.protocol.commands import (
    Answer,
    KillTask,
    Refused,
    Stop,
    TaskExecuteRequest,
    TaskKillRequest,
)
from stenella.protocol.states import WorkflowState
from stenella.workflow.definition import Definition, Retry

from .builders import definition, killed, refused, report, result, task
from .played_master import CLIENT, PlayedMaster, ids

W = WorkflowState
RETRIED = {"retry": Retry(times=3, interval_ms=60_000)}


@pytest.fixture
def master() -> Iterator[PlayedMaster]:
    played = PlayedMaster()
    yield played
    played.journal.close()


def kill(master: PlayedMaster, name: str = "a", number: int = 1) -> Any:
    return master.ask(KillTask, workflow_instance_id=number, task=name)


def kills(master: PlayedMaster) -> list[TaskKillRequest]:
    return [command for command in master.sent if isinstance(command, TaskKillRequest)]


def started(master: PlayedMaster, *tasks: Any, **fields: Any) -> list[TaskExecuteRequest]:
    master.worker(slots=fields.pop("slots", 9))
    meant: Definition = definition(*tasks, **fields)
    assert master.submit(meant) == 1
    return master.requests()


def test_a_running_task_is_killed_and_never_tried_again(master: PlayedMaster) -> None:
    [a] = started(master, task("a", **RETRIED))
    master.begin(a)

    answer = kill(master)
    [order] = kills(master)
    assert answer.result == {
        "workflow_instance_id": 1,
        "task_instance_id": a.task_instance_id,
        "task": "a",
        "state": "RUNNING_EXECUTION",
    }
    assert order.dispatch_id == a.dispatch_id
    master.end(a, "KILL", reason="killed", exit_code=143)

    row = master.rows()["a"]
    assert (master.states(), row.reason, row.exit_code) == ({"a": "KILL"}, "killed", 143)
    assert row.message == "killed on request"
    assert master.end_state() is W.FAILURE


@pytest.mark.parametrize(("status", "state"), [("FAILURE", "FAILURE"), ("SUCCESS", "SUCCESS")])
def test_what_ended_before_the_signal_keeps_its_end_and_is_not_tried_again(
    master: PlayedMaster, status: str, state: str
) -> None:
    [a] = started(master, task("a", **RETRIED))
    kill(master)

    master.end(a, status)

    assert master.states() == {"a": state}
    assert master.requests() == []
    assert master.end_state() is (W.SUCCESS if state == "SUCCESS" else W.FAILURE)


@pytest.mark.parametrize("reason", ["lost", "shutdown", "fenced"])
def test_what_is_lost_while_it_is_being_killed_is_killed(master: PlayedMaster, reason: str) -> None:
    [a] = started(master, task("a"))
    kill(master)

    master.end(a, "NEED_FAULT_TOLERANCE", reason=reason, message="the machine was off")

    row = master.rows()["a"]
    assert (master.states(), row.reason) == ({"a": "KILL"}, "killed")
    assert row.message == "killed on request; the machine was off"
    assert master.history(a.task_instance_id)[-1] == "LOST"


def test_what_its_worker_came_back_without_is_killed_if_that_was_asked(
    master: PlayedMaster,
) -> None:
    [a] = started(master, task("a"))
    master.begin(a)
    kill(master)

    master.worker(boot="b2", life=3)

    assert (master.states(), master.requests()) == ({"a": "KILL"}, [])


def test_a_refused_attempt_is_killed_instead_of_placed_again(master: PlayedMaster) -> None:
    [a] = started(master, task("a"))
    kill(master)

    master.give("dispatcher", refused("no_slot", **ids(a)))

    assert (master.states(), master.requests()) == ({"a": "KILL"}, [])


def test_a_wait_for_a_slot_or_for_the_next_try_ends_at_once(master: PlayedMaster) -> None:
    [a] = started(master, task("a", **RETRIED), task("b"), slots=1)
    master.end(a, "FAILURE")  # b takes its slot

    assert kill(master).result["state"] == "KILL"
    row = master.rows()["a"]
    assert (row.attempt, row.message) == (2, "killed on request; it had not begun")
    master.wait(60_000)
    assert master.states() == {"a": "KILL", "b": "DISPATCH"}


def test_a_task_that_had_not_had_its_turn_is_killed_and_what_is_below_skipped(
    master: PlayedMaster,
) -> None:
    [a] = started(master, task("a"), task("b", "a"), task("c", "b"), task("d", "a"))

    answer = kill(master, "b")

    assert answer.result["state"] == "KILL"
    row = master.rows()["b"]
    assert (row.attempt, row.reason, row.message) == (0, "killed", "killed before its turn came")
    master.end(a)
    [d] = master.requests()
    assert d.task == "d"
    master.end(d)
    assert master.states() == {"a": "SUCCESS", "b": "KILL", "c": "SKIPPED", "d": "SUCCESS"}
    assert master.rows()["c"].reason == "upstream_killed"
    assert (master.end_state(), master.instance().message) == (W.FAILURE, "task b ended KILL")


def test_a_kill_ends_all_where_the_failure_strategy_is_end(master: PlayedMaster) -> None:
    a, _ = started(master, task("a"), task("b"), task("c", "b"), failure_strategy="end")
    order = kill(master, "c")
    assert order.result["state"] == "KILL"

    assert {command.task_instance_id for command in kills(master)} == {1, 2}
    master.end(a, "KILL", reason="killed")
    assert master.rows()["a"].reason == "failure_strategy"


def test_the_last_kill_ends_the_instance(master: PlayedMaster) -> None:
    started(master, task("a"), slots=1)
    master.submit(definition(task("a")))

    kill(master, number=2)

    assert master.end_state(2) is W.FAILURE


def test_a_kill_is_durable_and_goes_on_after_a_restart(master: PlayedMaster) -> None:
    [a] = started(master, task("a", **RETRIED))
    kill(master)
    master.give("dispatcher", killed("killing", **ids(a)))

    master.restart()
    master.worker(report("begun", **{n: v for n, v in ids(a).items() if n != "epoch"}))

    [order] = kills(master)
    assert order.dispatch_id == a.dispatch_id


def test_b37_of_two_that_kill_at_once_both_are_told_and_who_comes_late_is_refused(
    master: PlayedMaster,
) -> None:
    [a] = started(master, task("a"))
    both = [
        KillTask(request_id=f"k{n}", digest="d", workflow_instance_id=1, task="a") for n in (1, 2)
    ]
    for request in both:
        assert master.turn.offer("gateway", request, CLIENT, "") == ""
    master.sent = []
    master.run()

    answers = [command for command in master.sent if isinstance(command, Answer)]
    assert [answer.result["state"] for answer in answers] == ["DISPATCH", "DISPATCH"]
    assert master.history(a.task_instance_id).count("KILL") == 1
    master.end(a, "KILL", reason="killed")
    late = kill(master)
    assert (late.exit_code, late.code) == (6, "refused")
    assert "KILL" in late.message


def test_b37_a_kill_and_a_stop_at_once_are_both_carried_out_and_the_first_names_the_reason(
    master: PlayedMaster,
) -> None:
    [a] = started(master, task("a"), task("b", "a"))
    kill(master)

    assert isinstance(master.ask(Stop, workflow_instance_id=1), Answer)
    master.end(a, "KILL", reason="killed")

    assert (master.end_state(), master.rows()["a"].reason) == (W.STOP, "killed")
    assert master.rows()["b"].reason == "stopped"


def test_b36_a_request_id_used_again_for_something_else_is_refused(master: PlayedMaster) -> None:
    started(master, task("a"), task("b"))
    first = KillTask(request_id="k1", digest="d1", workflow_instance_id=1, task="a")
    other = KillTask(request_id="k1", digest="d2", workflow_instance_id=1, task="b")
    [answer] = [c for c in master.give("gateway", first, CLIENT, "") if isinstance(c, Answer)]

    [again] = [c for c in master.give("gateway", first, CLIENT, "") if isinstance(c, Answer)]
    [refusal] = [c for c in master.give("gateway", other, CLIENT, "") if isinstance(c, Refused)]

    assert again == answer
    assert (refusal.exit_code, refusal.code) == (6, "reused")
    assert master.rows()["b"].kill_reason is None


@pytest.mark.parametrize(
    ("name", "number", "exit_code", "words"),
    [
        ("extrakt", 1, 3, "did you mean extract?"),
        ("extract", 9, 3, "stenella show 9"),
        ("extract", 2, 6, "has already ended with SUCCESS"),
        ("load", 2, 3, "no task 'load'"),
    ],
)
def test_a_kill_of_nothing_says_why(
    master: PlayedMaster, name: str, number: int, exit_code: int, words: str
) -> None:
    started(master, task("extract"))
    master.submit(definition(task("extract")))
    [ended] = master.requests()
    master.end(ended)

    refusal = kill(master, name, number)

    assert refusal.exit_code == exit_code
    assert words in refusal.message


def test_a_kill_that_fails_is_written_once_and_shown_until_the_end(master: PlayedMaster) -> None:
    [a] = started(master, task("a"))
    master.begin(a)
    kill(master)
    stuck = killed("kill_failed", pids=list(range(100, 112)), **ids(a))

    for _ in range(3):
        master.give("dispatcher", stuck)

    row = master.rows()["a"]
    assert (master.states(), row.reason) == ({"a": "RUNNING_EXECUTION"}, "kill_failed")
    assert "process 100, 101, " in row.message
    assert "109 and 2 more on w1" in row.message
    assert master.history(row.id).count("KILL_FAILED") == 1
    trace = master.queries.trace(row.id) or []
    assert "100, 101" in trace[-1]["detail"]
    master.end(a, "KILL", reason="killed")
    assert (master.states(), master.rows()["a"].reason) == ({"a": "KILL"}, "killed")


def test_a_kill_that_fails_is_no_answer_to_a_request(master: PlayedMaster) -> None:
    [a] = started(master, task("a"))
    kill(master)

    master.give("dispatcher", killed("kill_failed", pids=[1], **ids(a)))
    master.wait(2_000)
    assert len(kills(master)) == 1
    master.give("dispatcher", killed("killing", **ids(a)))
    master.wait(10_000)
    assert kills(master) == []


def test_a_failed_kill_of_another_attempt_is_not_written(master: PlayedMaster) -> None:
    [a] = started(master, task("a"))
    master.begin(a)

    for wrong in ({"dispatch_id": 99}, {"task_instance_id": 99}):
        master.give("dispatcher", killed("kill_failed", pids=[1], **ids(a) | wrong))
    master.give("dispatcher", killed("kill_failed", pids=[1], **ids(a)), sender="w2")

    assert master.rows()["a"].reason == ""


class Prompt(PlayedMaster):
    """Its worker answers a kill at once; what the dispatcher takes in a turn is counted."""

    most = handled = 0

    def _act(self, released: list[Released]) -> None:
        handled = self.turn.mailboxes["dispatcher"].handled
        self.most, self.handled = max(self.most, handled - self.handled), handled
        super()._act(released)
        for effect in released:
            if isinstance(effect, Send) and isinstance(effect.command, TaskKillRequest):
                ended = result("KILL", **ids(effect.command))
                self.turn.offer("event_persister", ended, b"w1-link", "w1")


def test_a_slot_that_is_free_is_not_offered_to_all_of_what_is_being_stopped_in_one_turn() -> None:
    """It was, to a million tasks in 20 s, and no heartbeat was answered meanwhile."""
    master = Prompt()
    started(master, *(task(f"t{number}") for number in range(2 * SLICE + 100)), slots=1)
    master.most = 0

    master.stop(1)

    assert master.end_state() is W.STOP
    assert master.most <= SLICE + 10
    master.journal.close()
