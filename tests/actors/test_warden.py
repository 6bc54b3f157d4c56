"""The rules of a warden for one attempt: messages in, the exact list of effects out."""

import pytest

from stenella.actors.worker.warden import (
    FORGOTTEN_MAX,
    LOGS_LOOK_MS,
    SWEEP_PAUSES_MS,
    TOMBSTONES_MAX,
    Fields,
    Warden,
)

from .warden_messages import (
    BEGUN,
    FINE,
    FORGET,
    GRACE,
    STARTING,
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


def test_whether_it_was_silent_is_what_the_last_look_at_its_log_and_traces_says() -> None:
    warden = played({"do": "open"}, hello(), start() | {"traces": ["/out"]}, spawned())
    traces = ["/log", "/out"]

    assert warden.receive(exited()) == [sweep(1, traces=traces)]
    warden.receive(swept(1, 100, silent=True))
    assert warden.receive(again(1)[2]) == [sweep(2, traces=traces)]
    assert warden.receive(swept(2, silent=False)) == ended_effects(silent=False)


@pytest.mark.parametrize("traces", [None, "/out", 5])
def test_traces_of_another_version_say_nothing(traces: object) -> None:
    warden = played({"do": "open"}, hello(), start() | {"traces": traces}, spawned())

    assert warden.receive(exited()) == [sweep(1, traces=None)]


def test_a_spawn_that_fails_ends_the_attempt_with_the_problem() -> None:
    warden = played({"do": "open"}, hello(), start())

    failed = {"do": "spawn_failed", "dispatch_id": 7, "end_time": 1_000, "message": "no such file"}
    problem = {"reason": "spawn", "message": "no such file"}
    assert warden.receive(failed) == ended_effects(
        code=None, end_time=1_000, duration_ms=0, problem=problem, silent=True
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


# --- limits --------------------------------------------------------------------------------------

LIMITED = start() | {"limit_ms": 700, "grace_ms": 900}
OVER = {"do": "limit_over", "dispatch_id": 7}


def limited(*more: Fields) -> Warden:
    """One attempt runs that has a limit."""
    return played({"do": "open"}, hello(), LIMITED, spawned(), *more)


def test_a_limit_counts_from_the_begin_and_is_called_off_at_the_exit() -> None:
    warden = played({"do": "open"}, hello(), LIMITED)

    assert ("limit", 7, 700) in warden.receive(spawned())
    assert ("limit", 7, None) in warden.receive(exited())


def test_at_the_limit_it_is_killed_with_the_grace_it_came_with() -> None:
    grace = ("timer", 900, {"do": "grace_over", "dispatch_id": 7})

    assert limited().receive(OVER) == [("signal", 7, 99), grace]


def test_the_intent_of_a_limit_decides_whatever_the_code_says() -> None:
    warden = limited(OVER, {"do": "signalled", "dispatch_id": 7}, exited(0))

    assert warden.receive(swept(1)) == ended_effects(intent="timeout")


def test_what_a_person_asked_for_first_stays_the_cause() -> None:
    warden = limited(kill(intent="person"), {"do": "signalled", "dispatch_id": 7})

    assert warden.receive(OVER) == []
    warden.receive(exited(None, 15))
    effects = warden.receive(swept(1))
    assert effects[0] == ("record", effects[0][1])
    assert effects[0][1]["intent"] == "person"


def test_a_limit_that_is_over_when_it_has_ended_changes_nothing() -> None:
    assert limited(exited(0)).receive(OVER) == []
    assert limited(exited(0), swept(1)).receive(OVER) == []


# --- logs ----------------------------------------------------------------------------------------

LOOK = ("timer", LOGS_LOOK_MS, {"do": "logs_due"})
BOUNDED = {"log_bytes_max": 9, "log": "/log"}


def test_b8_logs_are_looked_at_as_long_as_a_bounded_task_lives() -> None:
    warden = played({"do": "open"}, hello(), start() | BOUNDED)

    assert warden.receive(spawned())[-1] == LOOK
    assert warden.receive({"do": "logs_due"}) == [("cap", "/log", 9), LOOK]
    for message in (exited(), swept(1)):
        warden.receive(message)
    assert warden.receive({"do": "logs_due"}) == []


def test_b8_logs_are_looked_at_without_a_worker_too() -> None:
    warden = played({"do": "open"}, hello(), start() | BOUNDED, spawned())
    warden.receive({"do": "closed", "connection": 1})

    assert warden.receive({"do": "logs_due"}) == [("cap", "/log", 9), LOOK]


def test_one_look_is_for_all_tasks() -> None:
    warden = played({"do": "open"}, hello(), start() | BOUNDED, spawned())

    warden.receive(start(8) | BOUNDED | {"log": "/other"})

    assert LOOK not in warden.receive(spawned(8))
    assert warden.receive({"do": "logs_due"}) == [("cap", "/log", 9), ("cap", "/other", 9), LOOK]
