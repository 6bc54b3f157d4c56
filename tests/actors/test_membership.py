"""How a worker makes itself known, and stays known."""

from typing import Any

import pytest

from stenella.actors.base import Boot, Leave, LinkChanged, Timer, Vitals
from stenella.actors.worker.membership import REFUSED_MS, REGISTER_MS, Membership
from stenella.actors.worker.messages import (
    CountSlots,
    Drain,
    Drained,
    EpochRose,
    FreeSlots,
    Judged,
    ListAttempts,
    Listing,
    OwnerAppeared,
    Recovered,
    SettledBelow,
    Welcomed,
)
from stenella.protocol.commands import (
    DebugReply,
    DebugRequest,
    HeartbeatAck,
    Verdict,
    WorkerDrain,
    WorkerDrained,
    WorkerRefused,
    WorkerWelcome,
)
from stenella.protocol.rows import JournalNode

from .builders import EPOCH, IDENTITY, MASTER, heartbeat, register, report
from .recorder import Asked, Recorder, of, told

BEAT_MS = 2_000
ASK: list[Asked] = [
    ("tell", "executor", ListAttempts()),
    ("set_timer", "register", REGISTER_MS),
]


def welcome(epoch: int = EPOCH, *, to_boot: str = "b1", judged: bool = True) -> WorkerWelcome:
    verdicts = [Verdict(10, 100, "keep")] if judged else []
    return WorkerWelcome(master=1, epoch=epoch, to_boot=to_boot, judged=judged, verdicts=verdicts)


def beat_ack(**fields: Any) -> HeartbeatAck:
    given: dict[str, Any] = {
        "number": 1,
        "epoch": EPOCH,
        "to_boot": "b1",
        "welcomed": True,
        "settled_below": 0,
    }
    return HeartbeatAck(**given | fields)


def member(ctx: Recorder, *messages: Any, epoch: int = EPOCH) -> Membership:
    """A membership that knows ``epoch``, has recovered, and received these."""
    membership = Membership(IDENTITY, MASTER, epoch, BEAT_MS)
    for message in (Boot(), Recovered(), *messages):
        ctx.give(membership, message)
    return membership


# --- registration --------------------------------------------------------------------------------


def test_nothing_is_registered_before_journal_and_warden_have_answered() -> None:
    ctx, membership = Recorder(), Membership(IDENTITY, MASTER, EPOCH, BEAT_MS)

    assert ctx.give(membership, Boot()) == [("set_timer", "beat", BEAT_MS)]
    assert ctx.give(membership, LinkChanged(True)) == []
    assert ctx.give(membership, Timer("register")) == []
    assert ctx.give(membership, Timer("beat")) == [("set_timer", "beat", BEAT_MS)]


def test_once_recovered_the_executor_is_asked_for_what_there_is() -> None:
    ctx, membership = Recorder(), Membership(IDENTITY, MASTER, EPOCH, BEAT_MS)

    assert ctx.give(membership, Recovered()) == [("tell", "executor", EpochRose(EPOCH)), *ASK]


def test_a_registration_says_who_we_are_and_all_we_have() -> None:
    ctx = Recorder()
    membership = member(ctx)

    asked = ctx.give(membership, Listing([report("begun")]))

    assert asked == [("send", MASTER, register(report("begun")))]


def test_it_registers_until_it_is_welcomed_with_a_fresh_listing_each_time() -> None:
    ctx = Recorder()
    membership = member(ctx)

    assert ctx.give(membership, Timer("register")) == ASK
    ctx.give(membership, welcome())
    assert ctx.give(membership, Timer("register")) == []


def test_a_refusal_is_followed_by_slower_asking() -> None:
    ctx = Recorder()
    membership = member(ctx)
    refusal = WorkerRefused(epoch=EPOCH, to_boot="b1", reason="duplicate_identity", message="")
    to_another = WorkerRefused(epoch=EPOCH, to_boot="b0", reason="duplicate_identity", message="")

    assert ctx.give(membership, to_another) == []
    assert ctx.give(membership, refusal) == [("set_timer", "register", REFUSED_MS)]
    assert ctx.give(membership, Timer("register")) == ASK


def test_a_link_that_comes_up_is_used_at_once() -> None:
    ctx = Recorder()
    membership = member(ctx)

    assert ctx.give(membership, LinkChanged(True)) == [
        ("tell", "executor", CountSlots()),
        ("tell", "retry_reporter", OwnerAppeared()),
        *ASK,
    ]
    assert ctx.give(membership, LinkChanged(False)) == []


# --- welcome and epoch ---------------------------------------------------------------------------


def test_a_welcome_passes_on_the_verdicts_and_wakes_the_retry_reporter() -> None:
    ctx = Recorder()
    membership = member(ctx)

    assert ctx.give(membership, welcome()) == [
        ("tell", "callback_sender", Welcomed()),
        ("tell", "executor", Judged([Verdict(10, 100, "keep")])),
        ("tell", "retry_reporter", OwnerAppeared()),
    ]


def test_a_new_epoch_is_journalled_and_registered_with_a_new_listing() -> None:
    ctx = Recorder()
    membership = member(ctx, epoch=0)

    asked = ctx.give(membership, welcome(EPOCH, judged=False))

    assert asked == [
        ("put", JournalNode(journal="j1", cluster="c1", life=2, epoch=EPOCH)),
        ("tell", "executor", EpochRose(EPOCH)),
        *ASK,
    ]
    assert of(ctx.give(membership, Listing([])), "send") == [register(epoch=EPOCH)]


@pytest.mark.parametrize("late", [welcome(EPOCH - 1), welcome(to_boot="b0")])
def test_a_welcome_of_a_lower_epoch_or_another_boot_is_dropped(late: WorkerWelcome) -> None:
    ctx = Recorder()
    membership = member(ctx)

    assert ctx.give(membership, late) == []
    assert ctx.give(membership, Timer("register")) == ASK


# --- heartbeats ----------------------------------------------------------------------------------


def test_a_heartbeat_has_the_slots_of_its_moment_and_a_rising_number() -> None:
    ctx = Recorder()
    membership = member(ctx, Vitals(0.5, 11, 12, 13))
    vitals = {"load": 0.5, "memory_free_bytes": 11, "disk_free_bytes": 12, "hub_lag_ms": 13}

    asked = ctx.give(membership, Timer("beat"))
    assert asked == [("tell", "executor", CountSlots()), ("set_timer", "beat", BEAT_MS)]
    assert ctx.give(membership, FreeSlots(2)) == [
        ("send_now", MASTER, heartbeat(number=1, free_slots=2, slots=2, **vitals))
    ]
    ctx.wait(BEAT_MS)
    assert ctx.give(membership, FreeSlots(1)) == [
        (
            "send_now",
            MASTER,
            heartbeat(number=2, sent_ms=ctx.wall_ms, free_slots=1, slots=2, **vitals),
        )
    ]


def test_an_answered_heartbeat_says_which_dispatches_are_settled() -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    asked = ctx.give(membership, beat_ack(settled_below=90))

    assert asked == [("tell", "executor", SettledBelow(90))]


def test_a_master_that_does_not_know_us_is_registered_with() -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    assert ctx.give(membership, beat_ack(epoch=EPOCH + 1, welcomed=False)) == ASK


@pytest.mark.parametrize(
    "late",
    [
        beat_ack(epoch=EPOCH - 1, settled_below=90),
        beat_ack(epoch=EPOCH - 1, welcomed=False),
        beat_ack(to_boot="b0", settled_below=90),
        beat_ack(to_boot="b0", welcomed=False),
    ],
)
def test_b16_an_ack_of_a_lower_epoch_or_to_another_boot_is_ignored(late: HeartbeatAck) -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    assert ctx.give(membership, late) == []


def test_what_a_newer_master_calls_settled_is_not_believed_before_it_welcomed_us() -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    asked = ctx.give(membership, beat_ack(epoch=EPOCH + 1, settled_below=90))

    assert told(asked, "executor") == [ListAttempts()]


# --- leaving and looking -------------------------------------------------------------------------


def drain(**fields: Any) -> WorkerDrain:
    given: dict[str, Any] = {"epoch": EPOCH, "to_boot": "b1", "wait_ms": 9, "keep": True}
    return WorkerDrain(**given | fields)


def test_a_drain_is_passed_on_and_seen_in_the_heartbeats() -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    assert ctx.give(membership, drain()) == [("tell", "executor", Drain(9, True))]
    assert of(ctx.give(membership, FreeSlots(0)), "send_now")[0].draining


def test_with_another_master_nothing_drains_any_more() -> None:
    ctx = Recorder()
    membership = member(ctx, welcome(), drain(), welcome(epoch=EPOCH + 1))

    assert not of(ctx.give(membership, FreeSlots(0)), "send_now")[0].draining


@pytest.mark.parametrize("late", [drain(epoch=EPOCH - 1), drain(to_boot="b0")])
def test_a_drain_of_another_epoch_or_to_another_boot_is_dropped(late: WorkerDrain) -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    assert ctx.give(membership, late) == []


def test_a_drained_worker_says_so_and_leaves_with_its_warden() -> None:
    ctx = Recorder()
    membership = member(ctx, welcome())

    assert ctx.give(membership, Drained()) == [
        ("send", MASTER, WorkerDrained(boot="b1")),
        ("perform", Leave("drained", end_warden=True)),
    ]


def test_debug_is_answered_ahead_of_the_commit() -> None:
    ctx = Recorder()
    membership = member(ctx)

    asked = ctx.give(membership, DebugRequest(request_id="r", kind="mailboxes"))

    assert asked == [("send_now", MASTER, DebugReply(request_id="r", rows=[{"node": "here"}]))]
