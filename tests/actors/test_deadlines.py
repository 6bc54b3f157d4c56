"""Waits by key on one timer."""

import pytest

from stenella.actors.deadlines import STALE_MAX, Deadlines, resumed_ms

from .recorder import WALL_MS, Recorder, of


def test_the_timer_is_armed_for_the_first_of_all_waits() -> None:
    ctx, deadlines = Recorder(), Deadlines("limit")

    for key, wait_ms in ((1, 500), (2, 900), (3, 200)):
        deadlines.set(key, wait_ms, ctx)

    assert ctx.asked == [("set_timer", "limit", 500), ("set_timer", "limit", 200)]


def test_what_is_due_comes_in_order_and_the_timer_is_armed_for_the_rest() -> None:
    ctx, deadlines = Recorder(), Deadlines("limit")
    for key, wait_ms in ((1, 500), (2, 900), (3, 200)):
        deadlines.set(key, wait_ms, ctx)
    ctx.wait(600)
    ctx.asked = []

    assert deadlines.take(10, ctx) == [3, 1]
    assert of(ctx.asked, "set_timer") == [300]
    assert len(deadlines) == 1


def test_more_than_a_turn_takes_is_due_at_once_again() -> None:
    ctx, deadlines = Recorder(), Deadlines("limit")
    for key in range(5):
        deadlines.set(key, 100, ctx)
    ctx.wait(100)
    ctx.asked = []

    assert deadlines.take(3, ctx) == [0, 1, 2]
    assert of(ctx.asked, "set_timer") == [0]
    assert deadlines.take(3, ctx) == [3, 4]


def test_what_was_called_off_or_set_anew_is_not_due() -> None:
    ctx, deadlines = Recorder(), Deadlines("limit")
    deadlines.set(1, 100, ctx)
    deadlines.set(2, 100, ctx)
    deadlines.cancel(1)
    deadlines.set(2, 300, ctx)
    ctx.wait(100)

    assert deadlines.take(10, ctx) == []
    ctx.wait(200)
    assert deadlines.take(10, ctx) == [2]


def test_what_was_called_off_does_not_pile_up() -> None:
    ctx, deadlines = Recorder(), Deadlines("limit")

    for key in range(10_000):
        deadlines.set(key, 10**9, ctx)
        deadlines.cancel(key)

    assert len(deadlines._heap) <= STALE_MAX + 1


@pytest.mark.parametrize(("due", "left_ms"), [(-1, 0), (0, 0), (700, 700), (10**9, 5_000)])
def test_what_is_left_of_a_wait_is_never_less_than_nothing_or_more_than_all(
    due: int, left_ms: int
) -> None:
    assert resumed_ms(WALL_MS + due, 5_000, Recorder()) == left_ms
