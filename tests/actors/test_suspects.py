"""Poison: who is blamed for a crash, how care is taken, and what quarantine answers."""

import pytest

from stenella.actors.base import Context, Loaded, Timer
from stenella.actors.suspects import (
    CARE_MS,
    JOURNAL,
    Suspect,
    Suspicion,
    command_of,
    convicted,
    instance_key,
    key_of,
    letter,
    quarantine_answer,
    redeliveries,
)
from stenella.actors.turn import Limits, Turn
from stenella.protocol.commands import (
    Refused,
    StatusRead,
    Stop,
    TaskExecuteResponseAck,
    TaskExecuteRunningAck,
)
from stenella.protocol.rows import Counters

from .builders import result, running

PEER = b"w1"


class Boom(Exception):
    """What a bug raises."""


class Fragile:
    """Raises at requests of the name ``bad``; loads for ``slow`` and raises at the answer."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def held(self) -> int:
        return 0

    def receive(self, message: object, ctx: Context) -> None:
        if isinstance(message, StatusRead):
            self.taken.append(message.request_id)
            if message.request_id == "bad":
                raise Boom
            if message.request_id.startswith("slow"):
                ctx.load("letter", 1)
        elif isinstance(message, Timer):
            raise Boom


def turn_with(suspicion: Suspicion) -> tuple[Turn, Fragile]:
    fragile = Fragile()
    turn = Turn("n", {"a": fragile}, Limits(), counters=Counters(), suspicion=suspicion)
    turn.recovered()
    turn.think(0, 0)
    turn.release()
    return turn, fragile


def ask(turn: Turn, *names: str) -> None:
    for name in names:
        turn.offer("a", StatusRead(request_id=name), PEER, "admin")


def test_b12_a_message_that_raises_is_blamed_alone() -> None:
    turn, _ = turn_with(Suspicion())
    ask(turn, "good", "bad", "later")

    with pytest.raises(Boom):
        turn.think(1, 1)

    [suspect] = turn.blame()
    assert (suspect.key, suspect.sender, suspect.actor) == ("StatusRead bad", "admin", "a")
    assert command_of(suspect.body) == StatusRead(request_id="bad")


def test_without_a_message_to_blame_all_that_is_not_done_is_suspected_once() -> None:
    turn, _ = turn_with(Suspicion())
    ask(turn, "slow1", "slow2", "slow2")
    turn.think(1, 1)
    turn.tell("a", Timer("x"))

    with pytest.raises(Boom):
        turn.think(2, 2)

    assert [s.key for s in turn.blame()] == ["StatusRead slow1", "StatusRead slow2"]


def test_a_worker_suspects_its_journal_where_nobody_else_can_have_been() -> None:
    turn, _ = turn_with(Suspicion(journal=True))
    turn.tell("a", Timer("x"))
    with pytest.raises(Boom):
        turn.think(1, 1)
    asked, _ = turn_with(Suspicion(journal=True))
    ask(asked, "slow1")
    asked.think(1, 1)
    asked.tell("a", Timer("x"))
    with pytest.raises(Boom):
        asked.think(2, 2)

    assert turn.blame() == [Suspect(JOURNAL, 0)]
    assert convicted(turn.blame() * 2) == [Suspect(JOURNAL, 0)]
    assert [s.key for s in asked.blame()] == ["StatusRead slow1"]


def test_with_suspects_one_message_is_taken_until_it_is_done() -> None:
    turn, fragile = turn_with(Suspicion(["some key"]))
    ask(turn, "slow1", "second")

    turn.think(1, 1)
    turn.release()
    assert (fragile.taken, turn.has_work(2)) == (["slow1"], False)

    turn.offer("a", Loaded("letter", (1,), []))
    turn.think(3, 3)
    turn.think(4, 4)

    assert fragile.taken == ["slow1", "second"]


def test_care_ends_after_a_while() -> None:
    turn, fragile = turn_with(Suspicion(["some key"]))
    ask(turn, "slow1", "second", "third")
    turn.think(1, 1)

    assert turn.has_work(CARE_MS)
    turn.think(CARE_MS, 0)

    assert fragile.taken == ["slow1", "second", "third"]


def test_what_is_quarantined_is_not_taken_and_counted() -> None:
    turn, _ = turn_with(Suspicion(quarantined=["StatusRead bad"]))

    why_not = turn.offer("a", StatusRead(request_id="bad"), PEER, "admin")

    assert why_not == "quarantined"
    assert turn.mailboxes["a"].rejected == {"quarantined": 1}


def test_two_crashes_convict_and_copies_in_one_do_not() -> None:
    once, twice = Suspect("once", 0), Suspect("twice", 7)

    assert convicted([once, twice, twice]) == [twice]


def test_a_message_that_was_never_alone_is_not_convicted() -> None:
    vague = Suspect("k", 0, kind="Submit", sole=False)

    assert convicted([vague, vague]) == []
    alone = Suspect("k", 0, kind="Submit")
    assert convicted([vague, alone]) == [alone]


def test_a_letter_says_what_and_whose() -> None:
    row = letter(Suspect(instance_key(7), 7), 1_000)

    assert (row.key, row.workflow_instance_id, row.actor) == ("instance 7", 7, "")
    assert row.reason == "quarantined: its rows crashed the master 2 times"


def test_only_an_instance_that_is_on_disk_and_not_parked_is_suspected() -> None:
    suspicion = Suspicion(parked=[1])
    suspicion.first_new_instance = 3

    assert [s.workflow_instance_id for s in suspicion.blame_commit([1, 2, 3])] == [2]


def test_quarantine_is_told_by_the_answer_that_ends_the_repeating() -> None:
    assert isinstance(quarantine_answer(running()), TaskExecuteRunningAck)
    answer = quarantine_answer(result())
    assert isinstance(answer, TaskExecuteResponseAck)
    assert answer.outcome == "quarantined"
    refusal = quarantine_answer(Stop(request_id="r", digest="d", workflow_instance_id=1))
    assert isinstance(refusal, Refused)
    assert "dead-letters" in refusal.message


def test_copies_have_one_key_and_other_messages_another() -> None:
    assert key_of("worker-1", result(seq=2)) == key_of("worker-1", result(seq=2))
    assert key_of("worker-1", result(seq=2)) != key_of("worker-1", result(seq=3))
    assert key_of("worker-1", result(seq=2)) != key_of("worker-2", result(seq=2))


def test_a_letter_is_redelivered_to_whom_it_was_for_if_it_holds_a_message() -> None:
    body = letter(Suspect("k", 1, "event_persister", "worker-1", "x", "{}"), 0).body
    good = '{"type":"StatusRead","request_id":"r"}'
    rows = [(1, "event_persister", "worker-1", body), (2, "gateway", "admin", good)]

    [(actor, redelivered)] = redeliveries(rows)

    assert (actor, redelivered.letter) == ("gateway", 2)
    assert redelivered.command == StatusRead(request_id="r")
