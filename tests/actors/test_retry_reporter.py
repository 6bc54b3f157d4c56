"""When what is unacknowledged is sent again."""

from itertools import pairwise

from stenella.actors.base import Timer
from stenella.actors.worker.messages import OwnerAppeared, Resend, Settled, Unacknowledged
from stenella.actors.worker.retry_reporter import RetryReporter

from .recorder import Recorder, of, told

TABLE_MS = (1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 40_000, 100_000, 100_000, 100_000)


def due(ctx: Recorder, reporter: RetryReporter, after_ms: int) -> list[Resend]:
    """Let the timer fire after a wait; what is said to the callback sender."""
    ctx.wait(after_ms)
    resends: list[Resend] = told(ctx.give(reporter, Timer("due")), "callback_sender")
    return resends


def test_the_first_repeat_is_armed_when_something_is_outstanding() -> None:
    asked = Recorder().give(RetryReporter(), Unacknowledged(100))

    assert asked == [("set_timer", "due", TABLE_MS[0])]


def test_it_is_repeated_by_the_table_for_ever() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))

    for wait_ms, next_ms in pairwise(TABLE_MS):
        ctx.wait(wait_ms)
        asked = ctx.give(reporter, Timer("due"))

        resend = ("tell", "callback_sender", Resend([100]))
        assert asked == [resend, ("set_timer", "due", next_ms)]


def test_a_timer_that_is_early_repeats_nothing() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))

    assert due(ctx, reporter, TABLE_MS[0] - 1) == []
    assert due(ctx, reporter, 1) == [Resend([100])]


def test_what_is_settled_is_not_repeated() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))
    ctx.give(reporter, Settled(100))
    ctx.wait(TABLE_MS[0])

    assert ctx.give(reporter, Timer("due")) == []
    assert reporter.held() == 0


def test_settling_one_leaves_the_other_due() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))
    ctx.give(reporter, Unacknowledged(200))
    ctx.give(reporter, Settled(100))

    assert due(ctx, reporter, TABLE_MS[0]) == [Resend([200])]


def test_a_second_settling_is_normal() -> None:
    ctx, reporter = Recorder(), RetryReporter()

    assert ctx.give(reporter, Settled(100)) == []


def test_a_new_callback_of_the_attempt_begins_the_table_anew() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))
    for wait_ms in TABLE_MS[:5]:
        due(ctx, reporter, wait_ms)

    asked = ctx.give(reporter, Unacknowledged(100))

    assert of(asked, "set_timer") == [TABLE_MS[0]]
    assert due(ctx, reporter, TABLE_MS[0]) == [Resend([100])]


def test_an_owner_that_appears_gets_all_at_once() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))
    ctx.give(reporter, Unacknowledged(200))

    asked = ctx.give(reporter, OwnerAppeared())

    assert told(asked, "callback_sender") == [Resend([100, 200])]


def test_nothing_outstanding_is_nothing_to_resend() -> None:
    assert Recorder().give(RetryReporter(), OwnerAppeared()) == []


def test_the_timer_runs_for_the_earliest() -> None:
    ctx, reporter = Recorder(), RetryReporter()
    ctx.give(reporter, Unacknowledged(100))
    due(ctx, reporter, TABLE_MS[0])
    due(ctx, reporter, TABLE_MS[1])  # 100 is now due in 3 s

    assert of(ctx.give(reporter, Unacknowledged(200)), "set_timer") == [TABLE_MS[0]]
    assert due(ctx, reporter, TABLE_MS[0]) == [Resend([200])]
