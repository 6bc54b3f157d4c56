"""How an attempt ended, in words: causes in their order, exit codes that say what to mend."""

from typing import Any

import pytest

from stenella.actors.base import Collected, Discard, ToWarden
from stenella.actors.worker.ends import by_code, by_intent, exit_code
from stenella.actors.worker.executor import RUNNING_MS
from stenella.actors.worker.messages import Acknowledged
from stenella.protocol.launch import Collection

from .builders import request
from .executors import ENDED, PREPARED, RUNNING, executor, facts, said
from .recorder import Recorder, of

KILLED = {"code": None, "signal": 9}


def end(**ended: Any) -> Any:
    """What is reported of a running attempt that ended so."""
    ctx = Recorder()
    made = executor(ctx, *RUNNING, said(**ENDED | ended))
    [fact] = facts(ctx.give(made, Collected(100, Collection({}, "the end"))))
    return fact


@pytest.mark.parametrize(("duration_ms", "brief"), [(RUNNING_MS - 1, True), (RUNNING_MS, False)])
def test_only_what_was_brief_leaves_its_folder_to_others(duration_ms: int, brief: bool) -> None:
    ctx = Recorder()
    made = executor(ctx, *RUNNING, said(**ENDED | {"duration_ms": duration_ms}))
    ctx.give(made, Collected(100, Collection({}, "")))

    assert Discard(100, brief=brief) in of(ctx.give(made, Acknowledged(100)), "perform")


@pytest.mark.parametrize(
    ("place", "words"), [("group", "this worker's memory group"), ("machine", "on this machine")]
)
def test_a_kill_for_want_of_memory_is_a_failure_of_that_name(place: str, words: str) -> None:
    fact = end(**KILLED, oom=place)

    assert (fact.status, fact.reason, fact.exit_code) == ("FAILURE", "oom", 137)
    assert words in fact.message


def test_an_intent_comes_before_a_want_of_memory() -> None:
    fact = end(**KILLED, oom="group", intent="person")

    assert (fact.status, fact.reason) == ("KILL", "killed")


def test_exit_code_137_alone_is_a_failure_and_no_kill() -> None:
    fact = end(**KILLED)

    assert (fact.status, fact.reason, fact.exit_code) == ("FAILURE", "exit_nonzero", 137)
    assert "SIGKILL), which Stenella did not send" in fact.message


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (126, "may not be executed"),
        (127, "a program was not found"),
        (139, "ended by SIGSEGV"),
    ],
)
def test_b34_exit_codes_of_a_shell_are_explained(code: int, words: str) -> None:
    status, reason, message = by_code({"code": code, "signal": None, "oom": ""})

    assert (status, reason) == ("FAILURE", "exit_nonzero")
    assert words in message


def test_a_signal_is_named() -> None:
    ended = {"code": None, "signal": 11, "oom": ""}

    assert exit_code(ended) == 139
    assert "signal 11 (SIGSEGV)" in by_code(ended)[2]


def test_b30_too_many_processes_are_a_failure_that_names_the_limit() -> None:
    status, reason, message = by_intent("limit", 4_000)

    assert (status, reason) == ("FAILURE", "limit")
    assert "4,000" in message
    assert "worker.processes_max" in message


def test_the_warden_is_told_the_limit_of_processes() -> None:
    ctx = Recorder()
    made = executor(ctx, request())
    made.processes_max = 123

    [start] = [e for e in of(ctx.give(made, PREPARED), "perform") if isinstance(e, ToWarden)]

    assert start.message["processes_max"] == 123
