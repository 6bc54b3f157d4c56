"""The rules of a warden when its worker, or it itself, comes and goes."""

import pytest

from stenella.actors.worker.warden import SWEEP_PAUSES_MS, Warden

from .warden_messages import (
    BEGUN,
    BOOT,
    FINE,
    IDLE,
    LATER_IDLE,
    STARTING,
    Fields,
    again,
    ended_effects,
    exited,
    hello,
    identity,
    kill,
    played,
    running,
    spawned,
    start,
    sweep,
    swept,
    tell,
)


def test_a_new_life_is_answered_only_when_the_former_is_read_to_its_end() -> None:
    warden = running()

    assert warden.receive(hello(connection=2, life=2)) == []
    assert warden.receive(start(8))[1][0] == "spawn"
    warden.receive(spawned(8))
    (answer,) = warden.receive({"do": "closed", "connection": 1})
    assert answer[:2] == ("tell", 2)
    assert [(r["dispatch_id"], r["phase"]) for r in answer[2]["records"]] == [
        (7, "begun"),
        (8, "begun"),
    ]


def test_what_a_waiting_life_says_is_kept_until_it_is_greeted() -> None:
    warden = running(hello(connection=2, life=2), start(8, connection=2))

    effects = warden.receive({"do": "closed", "connection": 1})

    assert [effect[0] for effect in effects] == ["tell", "record", "spawn"]


def test_of_two_waiting_lives_the_newer_is_greeted() -> None:
    warden = running(hello(connection=2, life=3), hello(connection=3, life=2))

    effects = warden.receive({"do": "closed", "connection": 1})

    assert [effect[:2] for effect in effects] == [("close", 3), ("tell", 2)]


def test_an_older_life_is_shown_the_door() -> None:
    warden = played({"do": "open"}, hello(life=2), {"do": "closed", "connection": 1})

    assert warden.receive(hello(connection=2, life=1))[0] == ("close", 2)
    assert warden.receive(start(connection=2)) == []


def test_the_first_life_of_a_new_journal_is_no_older_one() -> None:
    """The former journal was damaged: its lives say nothing about this one's."""
    warden = played({"do": "open"}, hello(life=7), hello(connection=2, life=8))
    assert warden.receive(hello(connection=3, life=1, journal="new")) == []

    answers = warden.receive({"do": "closed", "connection": 1})

    assert answers == [("close", 2), ("tell", 3, {"say": "records", "records": []})]


def test_without_a_worker_facts_are_recorded_and_told_to_the_next_life() -> None:
    warden = running({"do": "closed", "connection": 1}, exited())

    assert warden.receive(swept(1)) == [ended_effects()[0], LATER_IDLE]
    facts = STARTING | BEGUN | FINE | {"phase": "ended"}
    (answer,) = warden.receive(hello(connection=2, life=2))
    assert answer == ("tell", 2, {"say": "records", "records": [facts]})


@pytest.mark.parametrize(
    "message",
    [
        {"do": "dance", "connection": 1, "dispatch_id": 7},
        {"do": "start", "connection": 1, "dispatch_id": 7, "argv": []},
        {"do": "kill", "connection": 1, "dispatch_id": 7, "intent": "person", "grace_ms": "5"},
        {"do": "exited", "connection": 1, "dispatch_id": 7, "code": 0},
    ],
)
def test_a_command_that_is_none_is_answered_and_changes_nothing(message: Fields) -> None:
    warden = running()

    assert warden.receive(message) == [tell("not_understood", do=message["do"])]
    assert warden.receive(start()) == [tell("begun", **BEGUN)]


@pytest.mark.parametrize(
    ("records", "pid", "start_ticks"),
    [([STARTING], None, None), ([STARTING, {"phase": "begun", "dispatch_id": 7, **BEGUN}], 99, 5)],
)
def test_what_a_former_warden_did_not_end_is_swept_then_lost(
    records: list[Fields], pid: int | None, start_ticks: int | None
) -> None:
    warden = Warden(records, BOOT)
    find = {"pid": pid, "start_ticks": start_ticks, "abandoned": True, "everywhere": True}

    folded = {name: value for record in records for name, value in record.items()}
    assert warden.receive({"do": "open"}) == [("rewrite", [folded]), sweep(1, **find)]
    warden.receive(hello())
    assert warden.receive(swept(1, 99)) == [again(1)]
    assert warden.receive(start()) == []
    assert warden.receive(again(1)[2]) == [sweep(2, **find)]
    assert warden.receive(swept(2)) == [again(2, SWEEP_PAUSES_MS[1])]
    warden.receive(again(2)[2])
    assert warden.receive(swept(3)) == [
        ("record", {"phase": "lost", "dispatch_id": 7}),
        tell("lost"),
    ]
    assert warden.receive(kill()) == [tell("lost")]


def test_a_former_wardens_attempt_is_lost_after_two_looks_in_a_row_that_found_nothing() -> None:
    found = (swept(1), again(1)[2], swept(2, 99), again(2)[2])
    warden = played({"do": "open"}, *found, records=[STARTING])

    assert [effect[0] for effect in warden.receive(swept(3))] == ["timer"]
    warden.receive(again(3)[2])
    assert warden.receive(swept(4))[0] == ("record", {"phase": "lost", "dispatch_id": 7})


def test_after_a_reboot_nothing_is_swept() -> None:
    warden = Warden([STARTING | {"kernel_boot": "before"}], BOOT)

    effects = warden.receive({"do": "open"})

    assert effects[1:] == [("record", {"phase": "lost", "dispatch_id": 7}), IDLE]


def test_a_log_folds_to_the_latest_phase_and_forgets() -> None:
    begun = {"phase": "begun", "dispatch_id": 7, **BEGUN}
    ended = {"phase": "ended", "dispatch_id": 7, **FINE}
    other = STARTING | identity(8) | {"phase": "lost"}
    forget = {"phase": "forget", "dispatch_id": 8}

    warden = played({"do": "open"}, records=[STARTING, begun, other, ended, forget])

    assert warden.attempts == {7: STARTING | begun | ended}
    assert not warden.live


def test_what_a_former_version_did_not_record_is_not_told() -> None:
    fine = {name: fact for name, fact in FINE.items() if name != "silent"}
    ended = STARTING | {"phase": "ended", **fine}
    warden = played({"do": "open"}, hello(), records=[ended])

    assert warden.receive(kill()) == [tell("ended", **fine)]


def test_a_record_whose_starting_is_damaged_is_left_out() -> None:
    warden = played({"do": "open"}, records=[{"phase": "begun", "dispatch_id": 7, **BEGUN}])

    assert warden.attempts == {}


def test_without_process_and_worker_it_ends_when_the_time_is_over() -> None:
    warden = Warden([], BOOT)

    assert warden.receive({"do": "open"}) == [("rewrite", []), IDLE]
    assert warden.receive(IDLE[2]) == [("exit",)]


def test_a_worker_or_a_process_keeps_it() -> None:
    warden = played({"do": "open"}, hello())
    assert warden.receive(IDLE[2]) == []

    warden = running({"do": "closed", "connection": 1})
    assert warden.receive(IDLE[2]) == []


def test_a_time_begun_before_the_worker_came_back_is_void() -> None:
    warden = played({"do": "open"}, hello())

    assert warden.receive({"do": "closed", "connection": 1}) == [LATER_IDLE]
    assert warden.receive(IDLE[2]) == []
    assert warden.receive(LATER_IDLE[2]) == [("exit",)]


def test_it_leaves_at_once_when_told_so_and_nothing_runs() -> None:
    warden = played({"do": "open"}, hello())

    assert warden.receive({"do": "leave", "connection": 1}) == [("exit",)]


def test_it_leaves_when_the_last_attempt_has_ended() -> None:
    warden = running({"do": "leave", "connection": 1}, exited())

    assert warden.receive(swept(1)) == [*ended_effects(), ("exit",)]


def test_a_new_life_makes_it_stay() -> None:
    warden = running({"do": "leave", "connection": 1}, {"do": "closed", "connection": 1})
    warden.receive(hello(connection=2, life=2))
    warden.receive(exited())

    assert ("exit",) not in warden.receive(swept(1))
