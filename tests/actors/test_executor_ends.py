"""The worker's executor: what becomes of an attempt whose process has ended."""

from typing import Any

import pytest

from stenella.actors.base import Collect, Collected, WardenSaid
from stenella.actors.worker.messages import Report
from stenella.protocol.launch import Collection

from .builders import kill, request, result
from .executors import BEGUN, ENDED, LIVED, PREPARED, RUNNING, executor, facts, said
from .recorder import Recorder, of, told


def test_an_end_is_collected_then_reported() -> None:
    ctx = Recorder()
    request_with_outputs = request(outputs={"n": 1}, required=["m"])
    begun = executor(ctx, request_with_outputs, PREPARED, WardenSaid(BEGUN), LIVED)

    asked = ctx.give(begun, WardenSaid(ENDED))
    assert asked == [
        ("perform", Collect(100, "shell", "1/10.1.log", 0, outputs={"n": 1}, required=["m"]))
    ]
    asked = ctx.give(begun, Collected(100, Collection({"n": 1, "m": 2}, "bye")))
    assert [row.phase for row in of(asked, "put")] == ["ended"]
    assert told(asked, "callback_sender") == [
        Report([result(seq=0, outputs={"n": 1, "m": 2}, tail="bye")])
    ]


@pytest.mark.parametrize(("code", "status"), [(0, "SUCCESS"), (3, "FAILURE")])
def test_where_nothing_was_written_nothing_is_collected(code: int, status: str) -> None:
    ctx = Recorder()
    begun = executor(ctx, *RUNNING)

    asked = ctx.give(begun, WardenSaid(ENDED | {"silent": True, "code": code}))

    assert of(asked, "perform") == []
    [fact] = facts(asked)
    assert (fact.status, fact.exit_code, fact.outputs, fact.tail) == (status, code, {}, "")


@pytest.mark.parametrize("declared", [{"outputs": {"n": 1}}, {"required": ["m"]}])
def test_the_outputs_of_a_silent_attempt_are_still_judged(declared: dict[str, Any]) -> None:
    ctx = Recorder()
    begun = executor(ctx, request(**declared), PREPARED, WardenSaid(BEGUN), LIVED)

    [effect] = of(ctx.give(begun, WardenSaid(ENDED | {"silent": True})), "perform")

    assert isinstance(effect, Collect)


@pytest.mark.parametrize(
    ("ended", "problem", "status", "reason", "exit_code"),
    [
        ({}, "", "SUCCESS", "", 0),
        ({}, "m is missing", "FAILURE", "bad_output", 0),
        ({"code": 3}, "m is missing", "FAILURE", "exit_nonzero", 3),
        ({"code": 137}, "", "FAILURE", "exit_nonzero", 137),
        ({"code": None, "signal": 9}, "", "FAILURE", "exit_nonzero", 137),
        ({"code": None, "signal": 15, "intent": "person"}, "", "KILL", "killed", 143),
        ({"code": 0, "intent": "person"}, "", "KILL", "killed", 0),
        ({"code": 0, "intent": "shutdown"}, "", "NEED_FAULT_TOLERANCE", "shutdown", 0),
    ],
)
def test_how_an_attempt_ends(
    ended: dict[str, Any], problem: str, status: str, reason: str, exit_code: int
) -> None:
    ctx = Recorder()
    over = executor(ctx, *RUNNING, WardenSaid(ENDED | ended))

    asked = ctx.give(over, Collected(100, Collection({}, "", problem)))

    [fact] = facts(asked)
    assert (fact.status, fact.reason, fact.exit_code) == (status, reason, exit_code)


def test_an_end_before_the_signal_went_out_is_decided_by_its_code() -> None:
    ctx = Recorder()
    asked_to_die = executor(ctx, *RUNNING, kill(), WardenSaid(ENDED | {"intent": None}))

    asked = ctx.give(asked_to_die, Collected(100, Collection({}, "")))

    assert told(asked, "callback_sender") == [Report([result(seq=0)])]


def test_an_attempt_that_the_warden_has_lost_is_reported_lost() -> None:
    ctx = Recorder()

    asked = ctx.give(executor(ctx, *RUNNING), said(say="lost", dispatch_id=100))

    [fact] = facts(asked)
    assert (fact.status, fact.reason) == ("NEED_FAULT_TOLERANCE", "lost")
