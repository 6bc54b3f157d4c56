"""The warden's rules: attempts with too many processes (B30), and kills that TERM may not begin."""

from typing import Any

from stenella.actors.worker.warden import COUNT_MS

from .warden_messages import (
    GRACE,
    Fields,
    ended_effects,
    exited,
    hello,
    kill,
    played,
    spawned,
    start,
    sweep,
    swept,
)

AGAIN = ("timer", COUNT_MS, {"do": "count"})
ASKED = {"dispatch_id": 7, "marker": "c.w1.7.1", "pid": 99, "start_ticks": 5, "abandoned": False}
SIGNAL = ("signal", 7, 99)
AT_ONCE = ("timer", 0, {"do": "grace_over", "dispatch_id": 7})


def limited(*more: Fields) -> Any:
    begun = ({"do": "open"}, hello(), start() | {"processes_max": 3}, spawned())
    return played(*begun, *more)


def counted(processes: int) -> Fields:
    return {"do": "counted", "counts": {7: processes}}


def test_what_has_a_limit_is_counted_as_long_as_it_runs() -> None:
    warden = played({"do": "open"}, hello(), start() | {"processes_max": 3})

    assert warden.receive(spawned())[2:] == [AGAIN]
    count = ("count", [ASKED | {"most": 3}])
    assert warden.receive({"do": "count"}) == [count, AGAIN]
    assert warden.receive(counted(3)) == []
    warden.receive(exited())
    assert warden.receive({"do": "count"}) == [AGAIN]
    warden.receive(swept(1))
    assert warden.receive({"do": "count"}) == []


def test_one_timer_counts_all() -> None:
    warden = limited(start(8) | {"processes_max": 5})

    assert AGAIN not in warden.receive(spawned(8))


def test_b30_more_processes_than_the_limit_are_killed_without_grace() -> None:
    warden = limited()

    assert warden.receive(counted(4)) == [SIGNAL, AT_ONCE]
    warden.receive({"do": "signalled", "dispatch_id": 7})
    assert warden.receive(AT_ONCE[2]) == [sweep(1, everywhere=True)]
    warden.receive(exited(code=None, signal=9))
    end = ended_effects(code=None, signal=9, intent="limit")
    assert warden.receive(swept(2)) == end


def test_the_limit_shortens_the_grace_of_a_kill_and_leaves_its_intent() -> None:
    warden = limited(kill(), {"do": "signalled", "dispatch_id": 7})

    assert warden.receive(counted(4)) == [AT_ONCE]
    warden.receive(exited())
    assert warden.receive(swept(1)) == ended_effects(intent="person")


def test_a_count_of_what_has_ended_says_nothing() -> None:
    warden = limited(exited(), swept(1))

    assert warden.receive(counted(4)) == []


def test_where_term_was_not_allowed_the_kill_still_decides() -> None:
    warden = limited(kill())  # no `signalled`: it may not be signalled

    warden.receive(GRACE[2])
    warden.receive(exited(code=None, signal=9))

    assert warden.receive(swept(2)) == ended_effects(code=None, signal=9, intent="person")
