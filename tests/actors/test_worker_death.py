"""When a worker is declared dead, and when not: leases, watched wardens, our own lateness."""

from typing import Any

import pytest

from stenella.actors.base import Timer, WardenGone, WatchWarden
from stenella.actors.master.messages import Verdicts, WorkerDead, WorkerSilent
from stenella.actors.master.registry import BEATS_MISSED
from stenella.protocol.rows import WorkerRow

from .builders import TERMS, heartbeat, register, worker_row
from .recorder import Recorder, of, told
from .registries import hear, judged, pass_time, registry, state, welcomed

BEAT_MS = TERMS.heartbeat_ms
PATIENCE_MS = TERMS.lease_ms + 2 * TERMS.fence_grace_ms
HERE: dict[str, Any] = {"machine": "m1", "warden_pid": 55, "warden_ticks": 6}
GONE = WardenGone("w1", 55, 6)


def deaths(asked: list[Any]) -> list[str]:
    return [m.worker for m in told(asked, "event_persister") if isinstance(m, WorkerDead)]


def test_a_silent_worker_is_dead_after_its_lease_and_two_graces_and_not_before() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    heard_at = ctx.wall_ms

    before = pass_time(ctx, made, PATIENCE_MS)
    asked = pass_time(ctx, made, BEAT_MS)

    assert deaths(before) == []
    assert deaths(asked) == ["w1"]
    [row] = of(asked, "write")
    assert isinstance(row, WorkerRow)
    assert row.dead_at == ctx.wall_ms
    assert told(asked, "dispatcher") == [WorkerSilent("w1")]
    assert told(asked, "event_persister") == [WorkerDead("w1", "h1", heard_at)]
    assert state(ctx, made) == "dead"


def test_it_dies_once() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    pass_time(ctx, made, PATIENCE_MS + BEAT_MS)

    assert pass_time(ctx, made, 2 * PATIENCE_MS) == []


def test_one_that_is_back_in_time_goes_on() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    pass_time(ctx, made, PATIENCE_MS)

    hear(ctx, made, heartbeat(number=9))

    assert deaths(pass_time(ctx, made, PATIENCE_MS)) == []
    assert state(ctx, made) == "late"


def test_one_that_is_back_late_is_told_to_register_and_judged_anew() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    pass_time(ctx, made, PATIENCE_MS + BEAT_MS)

    [ack] = of(hear(ctx, made, heartbeat(number=9)), "send_now")
    [asked] = judged(hear(ctx, made, register()))

    assert not ack.welcomed
    assert asked.judge_missing


def test_a_new_master_waits_from_its_own_start() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row())

    assert deaths(pass_time(ctx, made, PATIENCE_MS)) == []
    assert deaths(pass_time(ctx, made, BEAT_MS)) == ["w1"]


def test_who_died_before_does_not_die_again() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(dead_at=1))

    assert pass_time(ctx, made, 2 * PATIENCE_MS) == []


@pytest.mark.parametrize("over", [{"left_at": 1}, {"forgotten_at": 1}])
def test_who_has_left_or_was_forgotten_dies_once_like_anybody(over: dict[str, int]) -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(**over))

    assert deaths(pass_time(ctx, made, 2 * PATIENCE_MS)) == ["w1"]


def test_a_master_that_was_late_itself_moves_its_deadlines() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    ctx.wait(10 * PATIENCE_MS)  # frozen; what was sent meanwhile is only now taken

    assert ctx.give(made, Timer("late")) == [("set_timer", "late", BEAT_MS)]
    assert pass_time(ctx, made, BEATS_MISSED * BEAT_MS - BEAT_MS) == []
    assert deaths(pass_time(ctx, made, PATIENCE_MS)) == ["w1"]


def test_what_was_heard_just_now_is_not_moved_into_the_future() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    ctx.wait(10 * PATIENCE_MS)
    hear(ctx, made, heartbeat(number=2))
    ctx.give(made, Timer("late"))

    assert deaths(pass_time(ctx, made, PATIENCE_MS + BEAT_MS)) == ["w1"]


# --- on the master's own machine -----------------------------------------------------------------


def test_a_worker_that_can_be_watched_has_no_lease() -> None:
    ctx = Recorder()
    made = registry(ctx)
    hear(ctx, made, register(**HERE))

    asked = ctx.give(made, Verdicts("w1", "b1", []))

    assert of(asked, "perform") == [WatchWarden("w1", 55, 6)]
    [answer] = of(asked, "send")
    assert (answer.lease_ms, answer.number) == (0, 1)


def test_silent_it_lives_as_long_as_its_warden_does() -> None:
    ctx = Recorder()
    made = welcomed(ctx, **HERE)

    assert deaths(pass_time(ctx, made, 10 * PATIENCE_MS)) == []
    ctx.give(made, GONE)
    assert deaths(pass_time(ctx, made, BEAT_MS)) == ["w1"]


def test_without_a_warden_it_has_the_time_of_a_lease_to_come_back() -> None:
    ctx = Recorder()
    made = welcomed(ctx, **HERE)
    ctx.give(made, GONE)

    assert deaths(pass_time(ctx, made, PATIENCE_MS)) == []
    assert deaths(pass_time(ctx, made, BEAT_MS)) == ["w1"]


def test_the_end_of_a_warden_that_was_replaced_says_nothing() -> None:
    ctx = Recorder()
    made = welcomed(ctx, **HERE)

    asked = hear(ctx, made, heartbeat(warden_pid=56, warden_ticks=9))
    ctx.give(made, GONE)

    assert of(asked, "perform") == [WatchWarden("w1", 56, 9)]
    assert deaths(pass_time(ctx, made, 2 * PATIENCE_MS)) == []


def test_what_was_watched_before_is_watched_by_the_next_master() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(**HERE))

    assert deaths(pass_time(ctx, made, 2 * PATIENCE_MS)) == []
    ctx.give(made, GONE)
    assert deaths(pass_time(ctx, made, BEAT_MS)) == ["w1"]


def test_a_reboot_of_this_machine_has_ended_what_was_on_it() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(**HERE | {"machine": "m0"}))

    [asked] = judged(hear(ctx, made, register(kernel_boot="k2", boot="b2", **HERE)))

    assert not asked.known_journal


def test_a_clone_on_another_machine_waits_for_the_death_of_the_one_here() -> None:
    ctx = Recorder()
    made = welcomed(ctx, **HERE)
    clone = register(journal="j9", boot="b9", life=9)

    assert judged(hear(ctx, made, clone)) == []
    ctx.give(made, GONE)
    pass_time(ctx, made, PATIENCE_MS + BEAT_MS)
    assert [j.boot for j in judged(hear(ctx, made, clone))] == ["b9"]
