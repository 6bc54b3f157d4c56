"""The worker's executor: how an attempt is taken, begun, killed and ended (DESIGN section 6)."""

from typing import Any

import pytest

from stenella.actors.base import (
    Collected,
    Prepare,
    Prepared,
    Timer,
    WardenSaid,
)
from stenella.actors.worker.executor import PREPARING_MS, RUNNING_MS
from stenella.actors.worker.messages import (
    Acknowledged,
    CountSlots,
    FreeSlots,
    Report,
    SettledBelow,
)
from stenella.protocol.launch import Collection

from .builders import (
    EPOCH,
    IDS,
    MASTER,
    accepted,
    journal_attempt,
    kill,
    killed,
    refused,
    request,
    result,
    running,
)
from .executors import (
    BEGUN,
    ENDED,
    FORGOTTEN,
    LAUNCH,
    LIVED,
    PREPARED,
    RUNNING,
    STARTED,
    executor,
    facts,
    said,
)
from .recorder import WALL_MS, Asked, Recorder, of, told


def is_taken(asked: list[Asked]) -> bool:
    """Its request was accepted; that it has come is said by its first callback."""
    return len(of(asked, "perform_now")) == 1 and not of(asked, "send")


# --- answered once -------------------------------------------------------------------------------


def test_an_accepted_request_is_journalled_and_prepared() -> None:
    ctx = Recorder()

    assert ctx.give(executor(ctx), request()) == [
        ("put", journal_attempt(life=2)),
        ("perform_now", Prepare(request())),
        ("set_timer", "preparing", PREPARING_MS),
    ]


def test_a_copy_of_an_accepted_request_is_acknowledged_and_does_nothing() -> None:
    ctx = Recorder()

    assert ctx.give(executor(ctx, *RUNNING), request()) == [("send", MASTER, accepted())]


def test_a_copy_of_an_ended_and_forgotten_request_is_still_accepted_and_does_nothing() -> None:
    ctx = Recorder()
    done = (*RUNNING, WardenSaid(ENDED), Collected(100, Collection({}, "")), Acknowledged(100))

    assert ctx.give(executor(ctx, *done), request()) == [("send", MASTER, accepted())]


def test_what_was_refused_once_stays_refused_also_when_there_is_room() -> None:
    ctx = Recorder()
    full = executor(
        ctx,
        request(dispatch_id=98, task_instance_id=8),
        request(dispatch_id=99, task_instance_id=9),
    )

    assert ctx.give(full, request()) == [("send", MASTER, refused("no_slot"))]
    ctx.give(full, kill(dispatch_id=99, task_instance_id=9))
    assert ctx.give(full, request()) == [("send", MASTER, refused("no_slot"))]
    assert is_taken(ctx.give(full, request(dispatch_id=101)))


def test_a_type_that_is_not_offered_is_refused() -> None:
    ctx = Recorder()

    asked = ctx.give(executor(ctx), request(task_type="sql"))

    assert asked == [("send", MASTER, refused("unknown_type"))]


def test_two_attempts_of_one_task_never_run_at_the_same_time() -> None:
    ctx = Recorder()
    busy = executor(ctx, *RUNNING)

    asked = ctx.give(busy, request(attempt=2, dispatch_id=101))

    assert asked == [("send", MASTER, refused("no_slot", attempt=2, dispatch_id=101))]


def test_an_older_attempt_that_has_ended_is_no_hindrance() -> None:
    ctx = Recorder()
    over = executor(ctx, *RUNNING, WardenSaid(ENDED), Collected(100, Collection({}, "")))

    assert is_taken(ctx.give(over, request(attempt=2, dispatch_id=101)))


@pytest.mark.parametrize("late", [{"to_boot": "b0"}, {"epoch": EPOCH - 1}])
def test_a_frame_for_another_boot_or_of_a_lower_epoch_is_dropped(late: dict[str, Any]) -> None:
    ctx = Recorder()

    assert ctx.give(executor(ctx), request(**late)) == []
    assert ctx.give(executor(ctx, *RUNNING), kill(**late)) == []


def test_an_unknown_request_below_what_is_settled_is_fenced() -> None:
    ctx = Recorder()
    settled = executor(ctx, SettledBelow(101))

    assert ctx.give(settled, request()) == [("send", MASTER, refused("fenced"))]
    assert is_taken(ctx.give(settled, request(dispatch_id=101)))


def test_what_is_settled_is_forgotten_and_a_copy_then_fenced() -> None:
    ctx = Recorder()
    killed_before = executor(ctx, kill(), SettledBelow(101))

    assert killed_before.answered == {}
    assert ctx.give(killed_before, request()) == [("send", MASTER, refused("fenced"))]


# --- beginning and ending ------------------------------------------------------------------------


def test_a_prepared_attempt_is_handed_to_the_warden_with_its_marker() -> None:
    ctx = Recorder()

    [(_, effect)] = ctx.give(executor(ctx, request()), PREPARED)

    names = ("dispatch_id", "task_instance_id", "workflow_instance_id", "attempt")
    assert effect.message == {name: IDS[name] for name in names} | {
        "do": "start",
        "processes_max": 0,
        "marker": "c1.w1.10.1",
        "owner": 1,
        "keep": False,
        "argv": LAUNCH.argv,
        "env": LAUNCH.env,
        "cwd": LAUNCH.cwd,
        "log": "1/10.1.log",
        "traces": LAUNCH.traces,
        "limit_ms": 0,
        "grace_ms": 5_000,
    }


def test_a_preflight_that_fails_is_a_journalled_result() -> None:
    ctx = Recorder()

    asked = ctx.give(executor(ctx, request()), Prepared(100, None, "no such folder"))

    fields = {"exit_code": None, "start_time": WALL_MS, "end_time": WALL_MS, "pid": 0, "seq": 0}
    failure = result("FAILURE", reason="preflight", message="no such folder", **fields)
    begun = running(pid=0, seq=0)
    assert told(asked, "callback_sender") == [Report([begun, failure])]
    ended = journal_attempt(life=2, phase="ended", start_time=WALL_MS)
    assert of(asked, "put")[-1] == ended


def test_a_spawn_that_fails_is_a_preflight_too() -> None:
    ctx = Recorder()
    problem = {"reason": "spawn", "message": "no such file"}

    asked = ctx.give(executor(ctx, *STARTED), WardenSaid(ENDED | {"problem": problem}))

    [begun, fact] = facts(asked)
    assert begun == running(pid=0, seq=0)
    assert (fact.status, fact.reason, fact.message) == ("FAILURE", "preflight", "no such file")


def test_a_preparation_that_lasts_is_told_as_running_then_again_with_its_process() -> None:
    ctx = Recorder()
    slow = executor(ctx, request())
    accepted_ms = WALL_MS
    ctx.now_ms += PREPARING_MS
    ctx.wall_ms += PREPARING_MS

    preparing = told(ctx.give(slow, Timer("preparing")), "callback_sender")
    ctx.give(slow, PREPARED)
    ctx.give(slow, WardenSaid(BEGUN | {"start_time": ctx.wall_ms}))
    ctx.now_ms += RUNNING_MS
    begun = told(ctx.give(slow, LIVED), "callback_sender")

    assert preparing == [Report([running(pid=0, seq=0, start_time=accepted_ms)])]
    assert begun == [Report([running(seq=0, start_time=accepted_ms)])]


def test_a_preparation_is_looked_at_when_its_own_time_is_over() -> None:
    ctx = Recorder()
    slow = executor(ctx, request())
    ctx.now_ms += 50
    ctx.give(slow, request(dispatch_id=101, task_instance_id=11))
    ctx.give(slow, PREPARED)
    ctx.now_ms += PREPARING_MS - 50

    assert ctx.give(slow, Timer("preparing")) == [("set_timer", "preparing", 50)]


def test_what_is_told_to_be_running_is_killed_by_a_result() -> None:
    ctx = Recorder()
    slow = executor(ctx, request())
    ctx.now_ms += PREPARING_MS
    ctx.give(slow, Timer("preparing"))

    assert of(ctx.give(slow, kill()), "send") == [killed("killing")]
    asked = ctx.give(slow, said(say="unknown", dispatch_id=100))

    [fact] = facts(asked)
    assert (fact.status, fact.reason, fact.exit_code) == ("KILL", "killed", None)
    assert ctx.give(slow, PREPARED) == []


def test_a_dry_run_succeeds_at_once_without_running_and_touches_nothing() -> None:
    ctx = Recorder()

    asked = ctx.give(executor(ctx), request(dry_run=True, outputs={"n": 1}, required=["m"]))

    done: dict[str, Any] = {"pid": 0, "seq": 0, "exit_code": None, "end_time": WALL_MS}
    success = result(outputs={"n": 1, "m": ""}, **done)
    assert told(asked, "callback_sender") == [Report([success])]
    assert of(asked, "perform") == of(asked, "send") == []


def test_running_is_reported_of_a_process_that_has_lived_a_while() -> None:
    ctx = Recorder()
    started = executor(ctx, *STARTED)

    assert ctx.give(started, WardenSaid(BEGUN)) == [("set_timer", "running", RUNNING_MS)]
    ctx.now_ms += RUNNING_MS - 1
    assert ctx.give(started, LIVED) == [("set_timer", "running", 1)]
    ctx.now_ms += 1
    assert ctx.give(started, LIVED) == [
        ("put", journal_attempt(life=2, phase="begun", start_time=WALL_MS, pid=77)),
        ("tell", "callback_sender", Report([running(seq=0)])),
    ]
    assert ctx.give(started, LIVED) == []


def test_running_of_a_process_that_has_ended_before_goes_with_its_result() -> None:
    ctx = Recorder()
    over = executor(ctx, *STARTED, WardenSaid(BEGUN), WardenSaid(ENDED))

    asked = ctx.give(over, Collected(100, Collection({}, "")))

    assert told(asked, "callback_sender") == [Report([running(seq=0), result(seq=0)])]
    ctx.now_ms += RUNNING_MS
    assert ctx.give(over, LIVED) == []


def test_a_repeated_word_of_the_warden_says_nothing_new() -> None:
    ctx = Recorder()
    begun = executor(ctx, *RUNNING)

    assert ctx.give(begun, WardenSaid(BEGUN)) == []
    ctx.give(begun, WardenSaid(ENDED))
    assert ctx.give(begun, WardenSaid(ENDED)) == []


def test_a_noop_ends_in_the_turn_in_which_it_came_and_its_result_says_all() -> None:
    ctx = Recorder()
    noop = executor(ctx)

    asked = ctx.give(noop, request(task_type="noop", outputs={"n": 1}))

    ended = result(seq=0, pid=0, end_time=WALL_MS, outputs={"n": 1})
    assert told(asked, "callback_sender") == [Report([ended])]
    assert of(asked, "perform") == of(asked, "send") == []
    assert of(ctx.give(noop, request(task_type="noop")), "send") == [accepted()]


def test_an_output_of_a_noop_without_default_is_a_problem() -> None:
    ctx = Recorder()

    asked = ctx.give(executor(ctx), request(task_type="noop", outputs={"a": 1}, required=["b"]))

    (fact,) = facts(asked)
    assert (fact.status, fact.reason, fact.outputs) == (
        "FAILURE",
        "bad_output",
        {},
    )
    assert "for b" in fact.message


def test_a_noop_holds_no_slot_and_needs_none() -> None:
    ctx = Recorder()
    full = executor(ctx, request(), request(dispatch_id=101, task_instance_id=11))

    asked = ctx.give(full, request(dispatch_id=102, task_instance_id=12, task_type="noop"))

    assert len(told(asked, "callback_sender")) == 1
    assert told(ctx.give(full, CountSlots()), "membership") == [FreeSlots(0)]


def test_an_acknowledged_result_is_forgotten_everywhere() -> None:
    ctx = Recorder()
    over = executor(ctx, *RUNNING, WardenSaid(ENDED), Collected(100, Collection({}, "")))

    assert ctx.give(over, Acknowledged(100)) == FORGOTTEN
    assert over.held() == 0


def test_a_slot_is_free_when_the_result_is_journalled_not_when_it_is_acknowledged() -> None:
    ctx = Recorder()
    busy = executor(ctx, *RUNNING)

    assert told(ctx.give(busy, CountSlots()), "membership") == [FreeSlots(1)]
    ctx.give(busy, WardenSaid(ENDED))
    assert told(ctx.give(busy, CountSlots()), "membership") == [FreeSlots(1)]
    ctx.give(busy, Collected(100, Collection({}, "")))
    assert told(ctx.give(busy, CountSlots()), "membership") == [FreeSlots(2)]
