"""What a warden does by itself when an owner's lease is over."""

from typing import Any

import pytest

from .warden_messages import exited, kill, played, running, start, swept

GRACE_MS = 10_000
UNTIL_MS = 60_000


def clock(now_ms: int) -> dict[str, Any]:
    return {"do": "clock", "now_ms": now_ms}


def lease(until_ms: int = UNTIL_MS, owner: int = 1) -> dict[str, Any]:
    return {
        "do": "lease",
        "connection": 1,
        "owner": owner,
        "until_ms": until_ms,
        "grace_ms": GRACE_MS,
    }


def grace(after_ms: int) -> tuple[Any, ...]:
    return ("timer", after_ms, {"do": "grace_over", "dispatch_id": 7})


TERM = ("signal", 7, 99)


def test_a_lease_sets_an_alarm_for_its_end() -> None:
    warden = running(clock(1))

    assert warden.receive(lease()) == [("alarm", UNTIL_MS)]


def test_at_its_end_all_of_the_owner_is_told_to_end_within_the_grace() -> None:
    warden = running(clock(1), lease())

    assert warden.receive(clock(UNTIL_MS - 1)) == []
    assert warden.receive(clock(UNTIL_MS)) == [TERM, grace(GRACE_MS)]
    assert warden.receive(clock(UNTIL_MS + 1)) == []  # once


def test_it_ends_as_fenced() -> None:
    warden = running(clock(1), lease(), clock(UNTIL_MS), {"do": "signalled", "dispatch_id": 7})
    warden.receive(exited(code=None, signal=15))

    effects = warden.receive(swept(1))

    assert [fact["intent"] for kind, *_, fact in effects if kind == "tell"] == ["fence"]


def test_one_that_wakes_up_late_leaves_only_what_is_left_of_the_grace() -> None:
    slept = running(clock(1), lease())
    assert slept.receive(clock(UNTIL_MS + 3_000)) == [TERM, grace(GRACE_MS - 3_000)]

    slept_long = running(clock(1), lease())
    assert slept_long.receive(clock(UNTIL_MS + 3 * GRACE_MS)) == [TERM, grace(0)]


def test_a_longer_grace_of_a_kill_under_way_is_cut() -> None:
    warden = running(clock(1), lease(), kill(grace_ms=3_600_000))

    assert warden.receive(clock(UNTIL_MS)) == [grace(GRACE_MS)]


def test_a_renewed_lease_moves_the_end() -> None:
    warden = running(clock(1), lease())

    assert warden.receive(lease(UNTIL_MS + 2_000)) == [("alarm", UNTIL_MS + 2_000)]
    assert warden.receive(clock(UNTIL_MS)) == []


def test_an_older_answer_does_not_shorten_it() -> None:
    warden = running(clock(1), lease(UNTIL_MS))
    warden.receive(lease(UNTIL_MS - 5_000))

    assert warden.receive(clock(UNTIL_MS - 1)) == []


def test_without_a_lease_nothing_ends() -> None:
    warden = running(clock(1), lease(), lease(until_ms=0))

    assert warden.receive(clock(10 * UNTIL_MS)) == []


def test_what_is_to_be_kept_goes_on() -> None:
    kept = played({"do": "open"}, *hello_and_start(keep=True))
    kept.receive(lease())

    assert kept.receive(clock(UNTIL_MS)) == []


def test_another_owners_lease_is_not_this_ones() -> None:
    warden = running(clock(1), lease(owner=2))

    assert warden.receive(clock(UNTIL_MS)) == []


@pytest.mark.parametrize("late_ms", [0, 1, 1_000_000])
def test_nothing_is_started_after_the_end(late_ms: int) -> None:
    warden = running(clock(1), lease(), clock(UNTIL_MS + late_ms))

    refused = ("tell", 1, {"say": "never_began", "dispatch_id": 8})
    assert warden.receive(start(8)) == [refused]
    warden.receive(lease(UNTIL_MS + late_ms + 60_000))
    assert warden.receive(start(8)) == [refused]  # it was promised
    assert ("spawn", start(9)) in warden.receive(start(9))


def test_a_lease_that_comes_too_late_is_over_at_once() -> None:
    warden = running(clock(UNTIL_MS + 1))

    assert warden.receive(lease()) == [TERM, grace(GRACE_MS - 1)]


def test_what_a_slow_disk_held_back_beyond_the_lease_is_not_spawned() -> None:
    warden = played({"do": "open"}, *hello_and_start(), lease(), clock(UNTIL_MS))

    withdrawn = warden.withdrawn(start(), 1_000)
    assert withdrawn is not None
    [_, told] = warden.receive(withdrawn)
    assert (told[2]["say"], told[2]["intent"], told[2]["signal"]) == ("ended", "fence", 15)


def test_what_nobody_wants_to_end_is_spawned() -> None:
    warden = played({"do": "open"}, *hello_and_start())

    assert warden.withdrawn(start(), 1_000) is None


def test_a_lease_ends_while_the_worker_is_dead() -> None:
    warden = running(clock(1), lease(), {"do": "closed", "connection": 1})

    assert warden.receive(clock(UNTIL_MS)) == [TERM, grace(GRACE_MS)]


def hello_and_start(*, keep: bool = False) -> list[dict[str, Any]]:
    hello = {"do": "hello", "connection": 1, "worker": "w1", "boot": "b", "life": 1, "journal": "j"}
    begun = {"pid": 99, "start_ticks": 5, "start_time": 1_000}
    messages = [hello, start() | {"keep": keep}]
    return [*messages, {"do": "spawned", "dispatch_id": 7, **begun}] if keep else messages
