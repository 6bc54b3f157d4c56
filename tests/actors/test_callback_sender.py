"""Callbacks: journalled, sent, kept, acknowledged."""

from typing import Any

import msgspec
import pytest

from stenella.actors.base import Boot, Loaded
from stenella.actors.worker.callback_sender import CallbackSender
from stenella.actors.worker.messages import (
    Acknowledged,
    Drop,
    Fenced,
    Report,
    Resend,
    Settled,
    Unacknowledged,
    Welcomed,
)
from stenella.protocol.codec import encode_command
from stenella.protocol.rows import JournalCallback

from .builders import MASTER, result, result_ack, running, running_ack
from .recorder import Asked, Recorder, of


def row(callback: Any) -> JournalCallback:
    return JournalCallback(
        key=f"{callback.dispatch_id}:{callback.seq}",
        dispatch_id=callback.dispatch_id,
        seq=callback.seq,
        body=encode_command(callback),
    )


def said(ctx: Recorder, *facts: Any) -> CallbackSender:
    """A sender with an empty journal, to which the executor has reported these."""
    sender = CallbackSender(MASTER)
    ctx.give(sender, Loaded("callbacks", (), []))
    ctx.give(sender, Welcomed())
    for fact in facts:
        ctx.give(sender, Report([msgspec.structs.replace(fact, seq=0)]))
    return sender


def forgotten(*seqs: int) -> list[Asked]:
    deleted: list[Asked] = [("delete", JournalCallback, f"100:{seq}") for seq in seqs]
    return [*deleted, ("tell", "retry_reporter", Settled(100))]


def test_a_callback_is_numbered_journalled_and_sent_in_one_turn() -> None:
    ctx = Recorder()
    sender = said(ctx)

    assert ctx.give(sender, Report([running(seq=0)])) == [
        ("put", row(running(seq=2))),
        ("send", MASTER, running(seq=2)),
        ("tell", "retry_reporter", Unacknowledged(100)),
    ]


def test_what_is_unacknowledged_goes_together_in_order() -> None:
    ctx = Recorder()
    sender = said(ctx, running())

    asked = ctx.give(sender, Report([result(seq=0)]))

    assert of(asked, "send") == [running(seq=2), result(seq=3)]
    assert of(asked, "put") == [row(result(seq=3))]


def test_each_attempt_counts_for_itself() -> None:
    ctx = Recorder()
    sender = said(ctx, running())

    asked = ctx.give(sender, Report([running(dispatch_id=200, seq=0)]))

    assert of(asked, "send") == [running(dispatch_id=200, seq=2)]


def test_an_acknowledged_running_is_not_sent_again_and_stays_in_the_journal() -> None:
    ctx = Recorder()
    sender = said(ctx, running())

    assert ctx.give(sender, running_ack(seq=2)) == [("tell", "retry_reporter", Settled(100))]
    assert ctx.give(sender, Resend([100])) == []


def test_an_ack_of_running_leaves_the_result_outstanding() -> None:
    ctx = Recorder()
    sender = said(ctx, running(), result())

    assert ctx.give(sender, running_ack(seq=2)) == []
    assert ctx.give(sender, Resend([100])) == [("send", MASTER, result(seq=3))]


def test_the_results_ack_ends_it_all() -> None:
    ctx = Recorder()
    sender = said(ctx, running(), result())

    asked = ctx.give(sender, result_ack(seq=3))

    assert asked == [*forgotten(2, 3), ("tell", "executor", Acknowledged(100))]
    assert sender.held() == 0


def test_a_second_ack_is_ignored() -> None:
    ctx = Recorder()
    sender = said(ctx, running(), result())
    ctx.give(sender, result_ack(seq=3))

    assert ctx.give(sender, result_ack(seq=3)) == []
    assert ctx.give(sender, running_ack(seq=2)) == []


def test_an_ack_of_running_that_is_repeated_does_not_stand_for_the_result() -> None:
    ctx = Recorder()
    sender = said(ctx, running(), result())
    ctx.give(sender, running_ack(seq=2))

    assert ctx.give(sender, running_ack(seq=2)) == []
    assert ctx.give(sender, result_ack(seq=2)) == []
    assert sender.held() == 1


@pytest.mark.parametrize("outcome", ["fenced", "unknown"])
def test_a_callback_that_the_master_does_not_want_ends_the_attempt(outcome: str) -> None:
    ctx = Recorder()
    sender = said(ctx, running())

    asked = ctx.give(sender, running_ack(outcome, seq=2))

    assert asked == [*forgotten(2), ("tell", "executor", Fenced(100))]
    assert ctx.give(sender, Resend([100])) == []


def test_what_is_dropped_is_neither_sent_nor_kept() -> None:
    ctx = Recorder()
    sender = said(ctx, running())

    assert ctx.give(sender, Drop(100)) == forgotten(2)
    assert ctx.give(sender, Drop(100)) == []
    assert ctx.give(sender, Resend([100])) == []


def test_a_new_life_reads_its_callbacks_and_goes_on_repeating() -> None:
    ctx, sender = Recorder(), CallbackSender(MASTER)
    assert ctx.give(sender, Boot()) == [("load", "callbacks")]

    rows = [row(running(seq=2)), row(result(seq=3)), row(running(dispatch_id=200, seq=2))]
    asked = ctx.give(sender, Loaded("callbacks", (), rows))

    assert asked == [
        ("tell", "retry_reporter", Unacknowledged(100)),
        ("tell", "retry_reporter", Unacknowledged(200)),
    ]
    ctx.give(sender, Welcomed())
    assert of(ctx.give(sender, Resend([100])), "send") == [running(seq=2), result(seq=3)]


def test_a_life_that_was_not_welcomed_says_nothing_and_forgets_nothing() -> None:
    ctx, sender = Recorder(), CallbackSender(MASTER)
    ctx.give(sender, Loaded("callbacks", (), [row(running(seq=1))]))

    reported = ctx.give(sender, Report([result(seq=0)]))
    repeated = ctx.give(sender, Resend([100]))

    assert of([*reported, *repeated], "send") == []
    assert of(reported, "put") == [row(result(seq=3))]


def test_a_new_life_goes_on_with_the_number_after_the_highest() -> None:
    ctx, sender = Recorder(), CallbackSender(MASTER)
    ctx.give(sender, Loaded("callbacks", (), [row(running(seq=2))]))

    asked = ctx.give(sender, Report([result(seq=0)]))

    assert of(asked, "put") == [row(result(seq=3))]


def test_a_result_has_a_number_that_no_running_ever_had() -> None:
    ctx = Recorder()
    prepared, alone = said(ctx, running(pid=0), running()), said(ctx)

    after_both = ctx.give(prepared, Report([result(seq=0)]))
    alone_as_after_a_power_cut = ctx.give(alone, Report([result(seq=0)]))

    assert of(after_both, "put") == of(alone_as_after_a_power_cut, "put") == [row(result(seq=3))]
