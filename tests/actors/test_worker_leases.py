"""How a worker learns how long it may go on, and tells its warden."""

from typing import Any

from stenella.actors.base import Boot, Loaded, Prepare, Timer, ToWarden
from stenella.actors.worker.executor import Executor
from stenella.actors.worker.membership import SENT_MAX, Membership
from stenella.actors.worker.messages import (
    BesideWelcome,
    EpochRose,
    FreeSlots,
    Leased,
    Listing,
    Recovered,
    WardenMet,
)
from stenella.protocol.commands import HeartbeatAck, TaskExecuteResponse, WorkerWelcome

from .builders import EPOCH, GRACE_MS, IDENTITY, MASTER, TERMS, request
from .executors import PREPARED, STARTED, executor, facts, records_of, said
from .recorder import Recorder, of, told

LEASED = Leased(1, 60_000, 10_000)
PASSED_ON = ToWarden({"do": "lease", "owner": 1, "until_ms": 60_000, "grace_ms": 10_000})


def registered(ctx: Recorder) -> Membership:
    """A membership whose registration is number 1, sent now."""
    made = Membership(IDENTITY, MASTER, EPOCH, TERMS.heartbeat_ms)
    for message in (Boot(), WardenMet(55, 6), Recovered(), Listing([])):
        ctx.give(made, message)
    return made


def welcome(**fields: Any) -> WorkerWelcome:
    given: dict[str, Any] = {"master": 1, "epoch": EPOCH, "to_boot": "b1", "judged": True}
    terms = {"number": 1, "lease_ms": TERMS.lease_ms, "fence_grace_ms": TERMS.fence_grace_ms}
    return WorkerWelcome(**given | {"verdicts": []} | terms | fields)


def ack(number: int, **fields: Any) -> HeartbeatAck:
    given: dict[str, Any] = {"epoch": EPOCH, "to_boot": "b1", "welcomed": True, "settled_below": 0}
    return HeartbeatAck(number=number, **given | fields)


def leases(asked: list[Any]) -> list[Leased]:
    return [message for message in told(asked, "executor") if isinstance(message, Leased)]


def test_the_registration_says_which_process_the_warden_is() -> None:
    ctx = Recorder()
    made = Membership(IDENTITY, MASTER, EPOCH, TERMS.heartbeat_ms)
    ctx.give(made, WardenMet(55, 6))

    [sent] = of(ctx.give(made, Listing([])), "send")

    assert (sent.warden_pid, sent.warden_ticks, sent.number) == (55, 6, 1)


def test_a_lease_runs_from_the_sending_of_what_was_answered() -> None:
    ctx = Recorder()
    made = registered(ctx)
    sent_ms = ctx.now_ms
    ctx.wait(7_000)

    assert leases(ctx.give(made, welcome())) == [Leased(1, sent_ms + 60_000, 10_000)]


def test_each_answered_heartbeat_renews_it_from_its_own_sending() -> None:
    ctx = Recorder()
    made = registered(ctx)
    ctx.give(made, welcome())
    ctx.wait(2_000)
    ctx.give(made, FreeSlots(1))
    sent_ms = ctx.now_ms
    ctx.wait(9_000)

    assert leases(ctx.give(made, ack(2))) == [Leased(1, sent_ms + 60_000, 10_000)]
    assert leases(ctx.give(made, ack(2))) == []  # a copy says nothing new


def test_an_answer_that_was_overtaken_renews_nothing() -> None:
    ctx = Recorder()
    made = registered(ctx)
    ctx.give(made, welcome())
    ctx.give(made, FreeSlots(1))
    ctx.give(made, FreeSlots(1))
    ctx.give(made, ack(3))

    assert leases(ctx.give(made, ack(2))) == []


def test_a_master_that_does_not_know_us_renews_nothing() -> None:
    ctx = Recorder()
    made = registered(ctx)
    ctx.give(made, welcome())
    ctx.give(made, FreeSlots(1))

    assert leases(ctx.give(made, ack(2, welcomed=False))) == []


def test_where_the_warden_is_watched_there_is_no_lease() -> None:
    ctx = Recorder()
    made = registered(ctx)

    assert leases(ctx.give(made, welcome(lease_ms=0))) == [Leased(1, 0, 10_000)]
    ctx.give(made, FreeSlots(1))
    assert leases(ctx.give(made, ack(2))) == []


def test_what_is_never_answered_is_not_remembered_for_ever() -> None:
    ctx = Recorder()
    made = registered(ctx)
    for _ in range(SENT_MAX + 5):
        ctx.give(made, Timer("beat"))
        ctx.give(made, FreeSlots(1))

    assert len(made.sent_ms) == SENT_MAX


# --- the executor --------------------------------------------------------------------------------


def test_a_request_that_overtakes_the_welcome_is_not_taken() -> None:
    # Found by the simulation: what it began lived by no lease, and was replaced while it ran.
    ctx = Recorder()
    made = Executor(IDENTITY, MASTER, GRACE_MS)
    for message in (Boot(), Loaded("attempts", (), []), records_of([]), EpochRose(EPOCH)):
        ctx.give(made, message)

    beside = BesideWelcome(request())
    assert ctx.give(made, request()) == [("tell", "executor", beside)]
    assert ctx.give(made, beside) == []
    ctx.give(made, LEASED)
    assert of(ctx.give(made, request()), "perform_now") == [Prepare(request())]


def test_a_request_in_one_frame_with_the_welcome_is_taken_at_once() -> None:
    # It was dropped, and asked again after a second: the first task of each new cluster waited.
    ctx = Recorder()
    made = Executor(IDENTITY, MASTER, GRACE_MS)
    for message in (Boot(), Loaded("attempts", (), []), records_of([])):
        ctx.give(made, message)

    [(_, _, beside)] = ctx.give(made, request())
    ctx.give(made, EpochRose(EPOCH))  # what membership has made of the Welcome
    ctx.give(made, LEASED)

    assert of(ctx.give(made, beside), "perform_now") == [Prepare(request())]


def test_the_warden_is_told_whatever_the_disk_does_and_a_new_warden_before_anything() -> None:
    ctx = Recorder()
    made = executor(ctx, *STARTED)

    assert of(ctx.give(made, LEASED), "perform_now") == [PASSED_ON]
    asked = ctx.give(made, records_of([]))

    assert of(asked, "perform_now") == [PASSED_ON]  # ahead of all that waits for the commit
    assert [effect.message["do"] for effect in of(asked, "perform")] == ["start"]


def test_a_start_says_whose_lease_it_lives_by_and_whether_it_outlives_it() -> None:
    ctx = Recorder()
    made = executor(ctx, LEASED, request(keep=True))

    [effect] = of(ctx.give(made, PREPARED), "perform")

    assert (effect.message["owner"], effect.message["keep"]) == (1, True)


def test_what_the_warden_did_not_begin_because_the_lease_was_over_is_handed_back() -> None:
    ctx = Recorder()
    made = executor(ctx, *STARTED)

    [fact] = facts(ctx.give(made, said(say="never_began", dispatch_id=100)))

    assert isinstance(fact, TaskExecuteResponse)
    assert (fact.status, fact.reason) == ("NEED_FAULT_TOLERANCE", "fenced")
