"""The worker's executor: kill, fence, adoption, draining (DESIGN section 6)."""

from typing import Any

import pytest

from stenella.actors.base import (
    Boot,
    Collected,
    Loaded,
    Prepare,
    Prepared,
    Timer,
    ToWarden,
    WardenSaid,
)
from stenella.actors.worker.executor import DRAIN_CHECK_MS, RUNNING_MS, Executor
from stenella.actors.worker.messages import (
    Acknowledged,
    CountSlots,
    Drain,
    Drained,
    Drop,
    EpochRose,
    Fenced,
    FreeSlots,
    Judged,
    ListAttempts,
    Listing,
    Recovered,
    WardenMet,
)
from stenella.protocol.commands import AttemptReport, Verdict
from stenella.protocol.launch import Collection

from .builders import (
    EPOCH,
    GRACE_MS,
    IDENTITY,
    MASTER,
    journal_attempt,
    refused,
    report,
    request,
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
    adopting,
    executor,
    facts,
    records_of,
    said,
    to_warden_kill,
)
from .recorder import WALL_MS, Recorder, of, told

TIMER = Timer("drain")
GREETING = records_of([])
MET = ("tell", "membership", WardenMet(55, 6))


def record(phase: str, **fields: Any) -> dict[str, Any]:
    """What the warden has folded of attempt 100."""
    began = {} if phase == "starting" else {"pid": 77, "start_ticks": 5, "start_time": WALL_MS}
    ended = ENDED if phase == "ended" else {}
    return {"dispatch_id": 100} | began | ended | {"phase": phase} | fields


def listed(ctx: Recorder, made: Executor) -> list[AttemptReport]:
    [listing] = told(ctx.give(made, ListAttempts()), "membership")
    assert isinstance(listing, Listing)
    return listing.attempts


# --- fenced --------------------------------------------------------------------------------------

FENCES = (Fenced(100), Judged([Verdict(10, 100, "fenced")]), Judged([Verdict(10, 100, "unknown")]))
DROP = ("tell", "callback_sender", Drop(100))


@pytest.mark.parametrize("fence", FENCES)
def test_what_is_fenced_while_it_runs_is_killed_and_then_dropped_in_silence(fence: Any) -> None:
    ctx = Recorder()
    unwanted = executor(ctx, *RUNNING)

    asked = ctx.give(unwanted, fence)
    assert asked == [DROP, ("put", asked[1][1]), to_warden_kill("fence", 0)]
    assert ctx.give(unwanted, fence) == [DROP]

    ctx.give(unwanted, WardenSaid(ENDED | {"intent": "fence"}))
    assert ctx.give(unwanted, Collected(100, Collection({}, ""))) == FORGOTTEN


@pytest.mark.parametrize(
    "before",
    [(request(),), (*RUNNING, WardenSaid(ENDED), Collected(100, Collection({}, "")))],
)
def test_what_is_fenced_before_the_hand_over_or_after_its_end_is_dropped(before: Any) -> None:
    ctx = Recorder()

    assert ctx.give(executor(ctx, *before), Fenced(100)) == [DROP, *FORGOTTEN]


def test_what_the_warden_is_starting_for_a_former_life_is_killed_when_it_is_fenced() -> None:
    ctx = Recorder()
    adopted = adopting(ctx, [journal_attempt()], [record("starting")])

    assert to_warden_kill("fence", 0) in ctx.give(adopted, Fenced(100))


def test_what_is_to_be_kept_goes_on() -> None:
    ctx = Recorder()

    assert ctx.give(executor(ctx, *RUNNING), Judged([Verdict(10, 100, "keep")])) == []


# --- adoption ------------------------------------------------------------------------------------


def test_nothing_is_recovered_before_journal_and_warden_have_both_answered() -> None:
    ctx = Recorder()
    for first, second in ((Loaded("attempts", (), []), GREETING), (GREETING, Loaded("", (), []))):
        made = Executor(IDENTITY, MASTER, GRACE_MS)

        assert ctx.give(made, Boot()) == [("load", "attempts")]
        asked = [*ctx.give(made, first), ("then",), *ctx.give(made, second)]
        assert asked[-1] == ("tell", "membership", Recovered())
        assert asked[:-1] in ([("then",), MET], [MET, ("then",)])


def test_what_the_warden_says_before_the_journal_is_read_is_heard_after() -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    ctx.give(made, records_of([record("starting")]))
    ctx.give(made, WardenSaid(BEGUN))

    ctx.give(made, Loaded("attempts", (), [journal_attempt()]))
    ctx.now_ms += RUNNING_MS

    assert facts(ctx.give(made, LIVED)) == [running(seq=0)]


def test_without_a_record_what_was_accepted_never_began_and_is_abandoned() -> None:
    ctx = Recorder()

    assert listed(ctx, adopting(ctx, [journal_attempt()], [])) == [report("abandoned")]


def test_a_starting_record_is_adopted_and_begins_with_the_wardens_word() -> None:
    ctx = Recorder()
    adopted = adopting(ctx, [journal_attempt()], [record("starting")])

    assert listed(ctx, adopted) == [report("accepted")]
    ctx.give(adopted, WardenSaid(BEGUN))
    assert listed(ctx, adopted) == [report("begun")]
    ctx.now_ms += RUNNING_MS
    assert facts(ctx.give(adopted, LIVED)) == [running(seq=0)]


def test_a_begun_record_that_was_never_reported_is_reported() -> None:
    ctx = Recorder()
    adopted = adopting(ctx, [journal_attempt()], [record("begun")])

    assert listed(ctx, adopted) == [report("begun")]


def test_a_begun_attempt_goes_on_and_its_end_is_collected() -> None:
    ctx = Recorder()
    row = journal_attempt(phase="begun", start_time=WALL_MS, pid=77)
    adopted = adopting(ctx, [row], [record("begun")])

    assert told(ctx.give(adopted, CountSlots()), "membership") == [FreeSlots(1)]
    ctx.give(adopted, WardenSaid(ENDED))
    [fact] = facts(ctx.give(adopted, Collected(100, Collection({}, "bye"))))
    assert (fact.status, fact.start_time, fact.pid, fact.tail) == ("SUCCESS", WALL_MS, 77, "bye")


def test_an_ended_record_is_reported_begun_and_then_ended() -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    ctx.give(made, Loaded("attempts", (), [journal_attempt()]))

    [collect] = of(ctx.give(made, records_of([record("ended")])), "perform")
    assert (collect.dispatch_id, collect.exit_code) == (100, 0)

    begun, ended = facts(ctx.give(made, Collected(100, Collection({}, ""))))
    assert (begun, ended.status) == (running(seq=0), "SUCCESS")


@pytest.mark.parametrize(
    ("row", "records"),
    [
        (journal_attempt(), [record("lost", pid=0)]),
        (journal_attempt(phase="begun", pid=77), [record("lost")]),
        (journal_attempt(phase="begun", pid=77), []),
    ],
)
def test_what_is_gone_without_a_record_of_its_end_is_lost(
    row: Any, records: list[dict[str, Any]]
) -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    ctx.give(made, Loaded("attempts", (), [row]))

    asked = ctx.give(made, records_of(records))

    fact = facts(asked)[-1]
    assert (fact.status, fact.reason) == ("NEED_FAULT_TOLERANCE", "lost")
    assert listed(ctx, made) == [report("ended")]


def test_a_result_in_the_journal_is_listed_as_ended_and_left_alone() -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    ctx.give(made, Loaded("attempts", (), [journal_attempt(phase="ended")]))

    asked = ctx.give(made, records_of([record("ended")]))

    assert asked == [MET, ("tell", "membership", Recovered())]
    assert listed(ctx, made) == [report("ended")]


def test_a_kill_that_a_former_life_journalled_is_asked_for_again() -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    row = journal_attempt(phase="begun", pid=77, kill_reason="person")
    ctx.give(made, Loaded("attempts", (), [row]))

    asked = ctx.give(made, records_of([record("begun")]))

    assert to_warden_kill() in asked


def test_a_kill_journalled_for_what_never_began_ends_it() -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    ctx.give(made, Loaded("attempts", (), [journal_attempt(kill_reason="person")]))

    [fact] = facts(ctx.give(made, GREETING))

    assert (fact.status, fact.reason) == ("KILL", "killed")


def test_what_only_the_warden_knows_is_killed_and_forgotten() -> None:
    ctx, made = Recorder(), Executor(IDENTITY, MASTER, GRACE_MS)
    ctx.give(made, Loaded("attempts", (), []))

    asked = ctx.give(made, records_of([record("begun")]))

    forget = ("perform", ToWarden({"do": "forget", "dispatch_id": 100}))
    recovered = ("tell", "membership", Recovered())
    assert asked == [MET, to_warden_kill("fence", 0), forget, recovered]


def test_a_new_warden_that_never_read_a_start_is_given_it_again() -> None:
    ctx = Recorder()
    started = executor(ctx, *STARTED)

    [effect] = of(ctx.give(started, GREETING), "perform")

    assert (effect.message["do"], effect.message["argv"]) == ("start", LAUNCH.argv)


def test_a_new_warden_without_a_record_of_what_ran_means_lost() -> None:
    ctx = Recorder()

    [fact] = facts(ctx.give(executor(ctx, *RUNNING), GREETING))

    assert (fact.status, fact.reason) == ("NEED_FAULT_TOLERANCE", "lost")


# --- draining ------------------------------------------------------------------------------------


def test_a_draining_worker_takes_nothing_more() -> None:
    ctx = Recorder()
    draining = executor(ctx, *RUNNING, Drain(1_000, False))
    new = {"dispatch_id": 101, "task_instance_id": 11}

    asked = ctx.give(draining, request(**new))

    assert asked == [("send", MASTER, refused("draining", **new))]


def test_what_still_runs_when_the_drain_is_over_is_stopped_once() -> None:
    ctx = Recorder()
    draining = executor(ctx, *RUNNING, Drain(1_000, False))
    look_again = ("set_timer", "drain", DRAIN_CHECK_MS)

    ctx.wait(999)
    assert ctx.give(draining, TIMER) == [look_again]
    ctx.wait(1)
    asked = ctx.give(draining, TIMER)
    assert asked[1:] == [to_warden_kill("shutdown"), look_again]
    assert ctx.give(draining, TIMER) == [look_again]


def test_a_drain_ends_with_the_master_that_ordered_it() -> None:
    # A master was killed on its way down: its worker went on draining, left, and stayed away.
    ctx = Recorder()
    draining = executor(ctx, *RUNNING, Drain(1_000, False), EpochRose(EPOCH + 1))
    new = {"dispatch_id": 101, "task_instance_id": 11, "epoch": EPOCH + 1}
    ctx.wait(1_000)

    assert ctx.give(draining, TIMER) == []
    assert of(ctx.give(draining, request(**new)), "perform_now") == [Prepare(request(**new))]


def test_a_drain_ends_when_the_last_result_is_acknowledged() -> None:
    ctx = Recorder()
    over = executor(ctx, *RUNNING, WardenSaid(ENDED), Collected(100, Collection({}, "")))

    assert told(ctx.give(over, Drain(0, False)), "membership") == []
    ctx.give(over, Acknowledged(100))
    assert told(ctx.give(over, TIMER), "membership") == [Drained()]


def test_a_drain_that_keeps_leaves_what_runs_but_not_what_is_unacknowledged() -> None:
    ctx = Recorder()
    other = {"dispatch_id": 101, "task_instance_id": 11}
    failed = (request(**other), Prepared(101, None, "no such folder"))
    draining = executor(ctx, *RUNNING, *failed)

    asked = ctx.give(draining, Drain(0, True))
    assert asked == [("set_timer", "drain", DRAIN_CHECK_MS)]
    ctx.give(draining, Acknowledged(101))
    assert ctx.give(draining, TIMER) == [("tell", "membership", Drained())]


def test_what_a_drain_stopped_while_it_was_prepared_does_not_begin() -> None:
    ctx = Recorder()
    draining = executor(ctx, request(), Drain(0, False), said(say="unknown", dispatch_id=100))

    assert listed(ctx, draining) == [report("ended")]
    assert ctx.give(draining, PREPARED) == []
