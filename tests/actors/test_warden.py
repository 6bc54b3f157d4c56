"""The warden's rules: messages in, the exact list of effects out. No process, no clock."""

from typing import Any

import pytest

from stenella.actors.worker.warden import (
    FORGOTTEN_MAX,
    IDLE_MS,
    SWEEP_PAUSES_MS,
    TOMBSTONES_MAX,
    Warden,
)

Fields = dict[str, Any]
BOOT = "kernel-boot-1"
IDLE = ("timer", IDLE_MS, {"do": "idle_over", "idle_no": 1})
LATER_IDLE = ("timer", IDLE_MS, {"do": "idle_over", "idle_no": 2})


def hello(connection: int = 1, life: int = 1) -> Fields:
    return {"do": "hello", "connection": connection, "worker": "w1", "boot": "b", "life": life}


def start(dispatch_id: int = 7, connection: int = 1) -> Fields:
    return {
        "do": "start",
        "connection": connection,
        **identity(dispatch_id),
        "argv": ["/bin/true"],
        "env": {"A": "b"},
        "cwd": "/work",
        "log": "/log",
    }


def identity(dispatch_id: int = 7) -> Fields:
    return {
        "dispatch_id": dispatch_id,
        "task_instance_id": 70,
        "workflow_instance_id": 700,
        "attempt": 1,
        "marker": f"c.w1.{dispatch_id}.1",
    }


def kill(dispatch_id: int = 7, intent: str = "person", grace_ms: int = 5_000) -> Fields:
    asked = {"intent": intent, "grace_ms": grace_ms}
    return {"do": "kill", "connection": 1, "dispatch_id": dispatch_id, **asked}


def spawned(dispatch_id: int = 7) -> Fields:
    return {"do": "spawned", "dispatch_id": dispatch_id, **BEGUN}


def exited(code: int | None = 0, signal: int | None = None) -> Fields:
    return {"do": "exited", "dispatch_id": 7, "code": code, "signal": signal, "duration_ms": 40}


def swept(sweep_no: int, *left: int) -> Fields:
    return {"do": "swept", "dispatch_id": 7, "sweep_no": sweep_no, "left": list(left)}


def sweep(sweep_no: int, **fields: object) -> tuple[Any, ...]:
    usual = {"pid": 99, "start_ticks": 5, "abandoned": False, "everywhere": False}
    at = {"dispatch_id": 7, "sweep_no": sweep_no, "marker": "c.w1.7.1"}
    return ("sweep", at | usual | fields)


def again(sweep_no: int, pause_ms: int = SWEEP_PAUSES_MS[0]) -> tuple[Any, ...]:
    message = {"do": "sweep_again", "dispatch_id": 7, "sweep_no": sweep_no}
    return ("timer", pause_ms, message)


def tell(say: str, **fields: object) -> tuple[Any, ...]:
    return ("tell", 1, {"say": say, "dispatch_id": 7} | fields)


BEGUN = {"pid": 99, "start_ticks": 5, "start_time": 1_000}
STARTING = {"phase": "starting", "kernel_boot": BOOT, **identity()}
FINE = {
    "code": 0,
    "signal": None,
    "end_time": 1_040,
    "duration_ms": 40,
    "intent": None,
    "problem": None,
}
GRACE = ("timer", 5_000, {"do": "grace_over", "dispatch_id": 7})
FORGET = {"do": "forget", "connection": 1, "dispatch_id": 7}


def ended_effects(**fields: object) -> list[tuple[Any, ...]]:
    facts = FINE | fields
    record = {"phase": "ended", "dispatch_id": 7, **facts}
    return [("record", record), tell("ended", **facts)]


def played(*messages: Fields, records: list[Fields] | None = None) -> Warden:
    """A warden that has received these."""
    warden = Warden(records or [], BOOT)
    for message in messages:
        warden.receive(message)
    return warden


def running(*more: Fields) -> Warden:
    return played({"do": "open"}, hello(), start(), spawned(), *more)


# --- one attempt ---------------------------------------------------------------------------------


def test_hello_is_answered_with_all_records() -> None:
    warden = played({"do": "open"})

    assert warden.receive(hello()) == [("tell", 1, {"say": "records", "records": []})]


def test_starting_is_recorded_before_the_spawn() -> None:
    warden = played({"do": "open"}, hello())

    assert warden.receive(start()) == [("record", STARTING), ("spawn", start())]


def test_begun_is_recorded_before_it_is_told() -> None:
    warden = played({"do": "open"}, hello(), start())

    record = {"phase": "begun", "dispatch_id": 7, **BEGUN}
    assert warden.receive(spawned()) == [("record", record), tell("begun", **BEGUN)]


def test_an_exit_is_followed_by_a_sweep_of_what_it_left() -> None:
    warden = running()

    assert warden.receive(exited()) == [sweep(1)]


def test_ended_is_recorded_and_told_when_nothing_is_left() -> None:
    warden = running(exited())

    assert warden.receive(swept(1)) == ended_effects()


def test_ended_waits_until_what_was_left_is_gone() -> None:
    warden = running(exited())

    assert warden.receive(swept(1, 100, 101)) == [again(1)]
    assert warden.receive(again(1)[2]) == [sweep(2)]
    assert warden.receive(swept(2)) == ended_effects()


def test_a_spawn_that_fails_ends_the_attempt_with_the_problem() -> None:
    warden = played({"do": "open"}, hello(), start())

    failed = {"do": "spawn_failed", "dispatch_id": 7, "end_time": 1_000, "message": "no such file"}
    problem = {"reason": "spawn", "message": "no such file"}
    assert warden.receive(failed) == ended_effects(
        code=None, end_time=1_000, duration_ms=0, problem=problem
    )


def test_a_repeated_start_spawns_nothing_and_tells_the_latest_fact() -> None:
    warden = played({"do": "open"}, hello(), start())
    assert warden.receive(start()) == []

    warden.receive(spawned())
    assert warden.receive(start()) == [tell("begun", **BEGUN)]

    warden.receive(exited())
    warden.receive(swept(1))
    assert warden.receive(start()) == [tell("ended", **FINE)]


def test_only_what_has_ended_is_forgotten() -> None:
    warden = running()
    assert warden.receive(FORGET) == []

    warden.receive(exited())
    warden.receive(swept(1))
    assert warden.receive(FORGET) == [("record", {"phase": "forget", "dispatch_id": 7})]
    assert warden.receive(FORGET) == []


def test_the_log_is_rewritten_when_much_is_forgotten() -> None:
    facts = [{**STARTING, **identity(n), "phase": "lost"} for n in range(FORGOTTEN_MAX + 1)]
    warden = played({"do": "open"}, hello(), records=facts)

    effects = [warden.receive({**FORGET, "dispatch_id": n}) for n in range(FORGOTTEN_MAX)]

    assert [len(effect) for effect in effects] == [1] * (FORGOTTEN_MAX - 1) + [2]
    assert effects[-1][1] == ("rewrite", [facts[-1]])


# --- kill ----------------------------------------------------------------------------------------


def test_a_kill_is_term_then_grace() -> None:
    warden = running()

    assert warden.receive(kill()) == [("signal", 7, 99), GRACE, tell("killing")]


def test_the_grace_over_everything_is_killed_until_the_exit_is_seen_and_nothing_is_left() -> None:
    warden = running(kill(), {"do": "signalled", "dispatch_id": 7})

    assert warden.receive(GRACE[2]) == [sweep(1, everywhere=True)]
    assert warden.receive(swept(1, 99)) == [again(1)]
    assert warden.receive(exited(code=None, signal=9)) == [sweep(2, everywhere=True)]
    assert warden.receive(again(1)[2]) == []
    assert warden.receive(swept(2)) == ended_effects(code=None, signal=9, intent="person")


def test_a_killed_attempt_is_not_ended_before_its_exit_is_seen() -> None:
    warden = running(kill(), {"do": "signalled", "dispatch_id": 7}, GRACE[2])

    assert warden.receive(swept(1)) == []


def test_an_exit_within_the_grace_stops_the_kill() -> None:
    warden = running(kill(), {"do": "signalled", "dispatch_id": 7}, exited(code=3))

    assert warden.receive(GRACE[2]) == []
    assert warden.receive(swept(1)) == ended_effects(code=3, intent="person")


def test_an_intent_whose_signal_came_too_late_does_not_count() -> None:
    warden = running(kill(), exited())

    assert warden.receive(swept(1)) == ended_effects()


def test_the_first_intent_counts_and_a_shorter_grace_shortens() -> None:
    warden = running(kill(), {"do": "signalled", "dispatch_id": 7})

    assert warden.receive(kill(intent="timeout", grace_ms=9_000)) == [tell("killing")]
    shorter = ("timer", 100, {"do": "grace_over", "dispatch_id": 7})
    assert warden.receive(kill(intent="fence", grace_ms=100)) == [shorter, tell("killing")]
    warden.receive(exited())
    assert warden.receive(swept(1)) == ended_effects(intent="person")


def test_a_kill_between_start_and_spawn_is_performed_when_it_has_begun() -> None:
    warden = played({"do": "open"}, hello(), start())

    assert warden.receive(kill()) == [tell("killing")]
    assert warden.receive(spawned())[2:] == [("signal", 7, 99), GRACE]


def test_a_kill_of_an_unknown_attempt_refuses_its_later_start() -> None:
    warden = played({"do": "open"}, hello())

    assert warden.receive(kill()) == [tell("unknown")]
    assert warden.receive(start()) == [tell("never_began")]
    assert warden.receive(FORGET) == []


def test_the_oldest_tombstones_go_first() -> None:
    warden = played({"do": "open"}, hello(), *(kill(n) for n in range(TOMBSTONES_MAX + 1)))

    assert warden.receive(start(1)) == [tell("never_began", dispatch_id=1)]
    assert warden.receive(start(0))[1] == ("spawn", start(0))


def test_a_kill_after_the_end_tells_the_end() -> None:
    warden = running(exited(), swept(1))

    assert warden.receive(kill()) == [tell("ended", **FINE)]


def test_what_cannot_be_killed_is_told_once_and_tried_every_second() -> None:
    warden = running(kill(), {"do": "signalled", "dispatch_id": 7})
    warden.receive(GRACE[2])
    seen = []
    for sweep_no in range(1, len(SWEEP_PAUSES_MS) + 3):
        seen += warden.receive(swept(sweep_no, 99))
        warden.receive(again(sweep_no)[2])

    pauses = [*SWEEP_PAUSES_MS, SWEEP_PAUSES_MS[-1], SWEEP_PAUSES_MS[-1]]
    expected = [again(number, pause) for number, pause in enumerate(pauses, start=1)]
    expected.insert(len(SWEEP_PAUSES_MS) - 1, tell("kill_failed", pids=[99]))
    assert seen == expected


# --- lives of the worker -------------------------------------------------------------------------


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


# --- lives of the warden -------------------------------------------------------------------------


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


def test_a_record_whose_starting_is_damaged_is_left_out() -> None:
    warden = played({"do": "open"}, records=[{"phase": "begun", "dispatch_id": 7, **BEGUN}])

    assert warden.attempts == {}


# --- its end -------------------------------------------------------------------------------------


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
