"""The worker's executor: kills, and what cannot be killed (DESIGN section 6)."""

from typing import Any

import pytest

from stenella.actors.base import Collected, Timer, WardenSaid
from stenella.actors.worker.executor import STUCK_REPEAT_MS
from stenella.actors.worker.messages import Acknowledged, EpochRose
from stenella.protocol.launch import Collection

from .builders import EPOCH, MASTER, kill, killed, refused, request
from .executors import (
    ENDED,
    FORGOTTEN,
    PREPARED,
    RUNNING,
    STARTED,
    executor,
    facts,
    said,
    to_warden_kill,
)
from .recorder import Recorder, of


def test_a_kill_before_the_hand_over_drops_the_attempt_and_answers_never_began() -> None:
    ctx = Recorder()
    preparing = executor(ctx, request())

    asked = ctx.give(preparing, kill())

    assert asked == [*FORGOTTEN, ("send", MASTER, killed("never_began"))]
    assert ctx.give(preparing, PREPARED) == []
    assert ctx.give(preparing, request()) == [("send", MASTER, refused("never_began"))]


def test_a_kill_that_comes_before_its_request_leaves_a_tombstone() -> None:
    ctx = Recorder()
    empty = executor(ctx)

    assert ctx.give(empty, kill()) == [("send", MASTER, killed("never_began"))]
    assert ctx.give(empty, request()) == [("send", MASTER, refused("never_began"))]


@pytest.mark.parametrize("before", [STARTED, RUNNING])
def test_a_kill_after_the_hand_over_is_journalled_and_left_to_the_warden(
    before: tuple[Any, ...],
) -> None:
    ctx = Recorder()

    asked = ctx.give(executor(ctx, *before), kill())

    assert [row.kill_reason for row in of(asked, "put")] == ["person"]
    assert asked[1:] == [to_warden_kill(), ("send", MASTER, killed("killing"))]


def test_a_copy_of_a_kill_is_answered_alike_and_its_first_intent_stays() -> None:
    ctx = Recorder()
    dying = executor(ctx, *RUNNING, kill())

    asked = ctx.give(dying, kill(reason="other"))

    assert of(asked, "put") == []
    assert of(asked, "send") == [killed("killing")]


def test_a_kill_of_what_has_ended_says_so_before_and_after_the_ack() -> None:
    ctx = Recorder()
    over = executor(ctx, *RUNNING, WardenSaid(ENDED), Collected(100, Collection({}, "")))

    assert ctx.give(over, kill()) == [("send", MASTER, killed("ended"))]
    ctx.give(over, Acknowledged(100))
    assert ctx.give(over, kill()) == [("send", MASTER, killed("ended"))]


@pytest.mark.parametrize("word", ["never_began", "unknown"])
def test_killed_before_the_warden_read_the_start_ends_as_the_kill_wants(word: str) -> None:
    ctx = Recorder()
    dying = executor(ctx, *STARTED, kill())

    asked = ctx.give(dying, said(say=word, dispatch_id=100))

    [fact] = facts(asked)
    assert (fact.status, fact.reason) == ("KILL", "killed")


def test_what_the_warden_does_not_know_and_nobody_killed_may_still_begin() -> None:
    ctx = Recorder()

    assert ctx.give(executor(ctx, *STARTED), said(say="unknown", dispatch_id=100)) == []


def test_a_kill_that_leaves_processes_is_told_again_and_again_until_the_end() -> None:
    ctx = Recorder()
    dying = executor(ctx, *RUNNING, kill())
    told = ("send", MASTER, killed("kill_failed", pids=[77]))
    again = ("set_timer", "stuck", STUCK_REPEAT_MS)

    assert ctx.give(dying, said(say="kill_failed", dispatch_id=100, pids=[77])) == [told, again]
    assert ctx.give(dying, Timer("stuck")) == [told, again]
    ctx.give(dying, said(**ENDED | {"signal": 9, "code": None, "intent": "person"}))
    ctx.give(dying, Collected(100, Collection({}, "")))
    assert ctx.give(dying, Timer("stuck")) == []


def test_a_kill_that_fails_is_told_to_the_master_that_is_there_now() -> None:
    ctx = Recorder()
    dying = executor(ctx, *RUNNING, kill(), EpochRose(EPOCH + 1))

    asked = ctx.give(dying, said(say="kill_failed", dispatch_id=100, pids=[77]))

    assert of(asked, "send") == [killed("kill_failed", pids=[77], epoch=EPOCH + 1)]


def test_a_journalled_kill_decides_about_what_was_lost_since() -> None:
    ctx = Recorder()
    dying = executor(ctx, *RUNNING, kill())

    [fact] = facts(ctx.give(dying, said(say="lost", dispatch_id=100)))

    assert (fact.status, fact.reason) == ("KILL", "killed")
