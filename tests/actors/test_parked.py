"""What an instance that was left alone has on workers that are gone when it goes on."""

from collections.abc import Iterator

import pytest

from stenella.actors.base import Loaded
from stenella.actors.master.messages import WorkerDead
from stenella.actors.master.registry import Registry
from stenella.actors.suspects import Suspect, Suspicion, instance_key, letter
from stenella.protocol.commands import (
    ExplainRead,
    InstancePage,
    LetterRetry,
    TaskExecuteRequest,
)
from stenella.protocol.rows import DeadLetter, WorkflowInstanceRow

from .builders import (
    EPOCH,
    TERMS,
    definition,
    register,
    report,
    request,
    result,
    task,
    worker_row,
)
from .played_master import CLIENT, PlayedMaster, ids
from .recorder import WALL_MS, Recorder
from .registries import BEAT_MS
from .test_kills import kill

PATIENCE_MS = TERMS.lease_ms + 2 * TERMS.fence_grace_ms
FIRST = request(task_instance_id=1, dispatch_id=1)


@pytest.fixture
def master() -> Iterator[PlayedMaster]:
    """Instance 1 runs its one task on w1 and is parked, in a life in which w1 is not heard."""
    played = PlayedMaster()
    played.worker()
    played.submit(definition(task("a")))
    assert [ids(sent) for sent in played.requests()] == [ids(FIRST) | {"epoch": 1}]
    played.begin(FIRST)
    played.journal.quarantine([letter(Suspect(instance_key(1), 1), WALL_MS)])
    played.restart()
    yield played
    played.journal.close()


def go_on(master: PlayedMaster) -> None:
    """A person lets it."""
    answer = master.ask(LetterRetry, letter=1)
    assert answer.result == {"workflow_instance_id": 1}
    master.restart()


def change(master: PlayedMaster, what: str) -> None:
    sql = f"UPDATE worker SET {what} = ?, event_no = event_no + 1"
    master.journal.connection.execute(sql, (WALL_MS,))


def placed_on_w2(master: PlayedMaster) -> list[TaskExecuteRequest]:
    """What a second worker is given."""
    there = register(worker="w2", boot="b9", journal="j9", epoch=master.epoch)
    master.give("registry", there, b"w2-link", "w2")
    return master.requests()


def back(master: PlayedMaster, phase: str) -> str:
    """w1 registers again, with its attempt; the verdict."""
    named = {name: value for name, value in ids(FIRST).items() if name != "epoch"}
    [verdict] = master.worker(report(phase, **named)).verdicts
    return verdict.verdict


def explained(master: PlayedMaster) -> tuple[str, str]:
    asked = ExplainRead(request_id="why", workflow_instance_id=1)
    [answer] = [c for c in master.give("gateway", asked, CLIENT, "") if isinstance(c, InstancePage)]
    cause = answer.page["causes"][-1]
    return cause["owner"], cause["sentence"]


def test_what_a_dead_worker_had_is_handed_over_when_its_instance_goes_on(
    master: PlayedMaster,
) -> None:
    master.wait(PATIENCE_MS + 2 * BEAT_MS)  # w1 is declared dead

    go_on(master)

    assert [request.attempt for request in placed_on_w2(master)] == [2]
    assert master.history(1)[-3:] == ["LOST", "SUBMIT", "DISPATCH"]
    assert back(master, "begun") == "fenced"


def test_who_is_back_before_that_is_believed(master: PlayedMaster) -> None:
    master.wait(PATIENCE_MS + 2 * BEAT_MS)
    assert back(master, "begun") == "keep"
    go_on(master)

    assert back(master, "begun") == "keep"
    assert placed_on_w2(master) == []


@pytest.mark.parametrize("gone", ["left_at", "forgotten_at"])
def test_who_has_left_or_was_forgotten_is_given_the_time_to_come_back(
    master: PlayedMaster, gone: str
) -> None:
    change(master, gone)
    go_on(master)

    assert placed_on_w2(master) == []
    owner, sentence = explained(master)
    assert owner == "worker w1"
    assert ("has left" if gone == "left_at" else "is not heard") in sentence
    master.wait(PATIENCE_MS + 2 * BEAT_MS)

    assert [request.attempt for request in placed_on_w2(master)] == [2]
    assert back(master, "ended") == "fenced"


def test_who_has_left_and_is_back_in_time_tells_its_result(master: PlayedMaster) -> None:
    change(master, "left_at")
    go_on(master)
    master.wait(PATIENCE_MS - BEAT_MS)

    assert back(master, "ended") == "keep"
    master.end(FIRST)

    assert master.states() == {"a": "SUCCESS"}


def test_a_kill_of_what_nobody_has_ends_it_when_its_worker_is_given_up(
    master: PlayedMaster,
) -> None:
    change(master, "left_at")
    go_on(master)

    kill(master)
    assert master.states() == {"a": "RUNNING_EXECUTION"}
    master.wait(PATIENCE_MS + 2 * BEAT_MS)

    assert master.states() == {"a": "KILL"}


def test_a_result_that_a_person_lets_go_on_comes_before_its_workers_death() -> None:
    ctx = Recorder()

    asked = ctx.give(
        Registry(1, EPOCH, TERMS), Loaded("workers", (), [worker_row(dead_at=WALL_MS)])
    )

    assert asked == [("recovered",), ("tell", "event_persister", WorkerDead("w1", "h1", WALL_MS))]


def test_a_letter_goes_in_the_commit_in_which_its_instance_goes_on(master: PlayedMaster) -> None:
    """A crash between the two would leave it parked, and nothing that a person can retry."""
    go_on(master)

    [batch] = [batch for batch in master.batches if batch.deleted.get(DeadLetter)]
    assert WorkflowInstanceRow in batch.versioned


def test_a_letter_of_what_has_ended_is_not_taken_again_and_goes_when_it_is_retried() -> None:
    """It parks nothing, and what crashes the master would crash each life of it."""
    master = PlayedMaster()
    master.worker()
    master.submit(definition(task("a")))
    master.end(FIRST)
    said = Suspicion().blame_message(("event_persister", result(**ids(FIRST)), "w1"), True)
    master.journal.quarantine([letter(suspect, WALL_MS) for suspect in said])
    master.restart()

    assert master.journal.to_redeliver() == []
    assert master.ask(LetterRetry, letter=1).result == {"workflow_instance_id": 1}
    assert master.journal.load("letter", (1,)) == []
    master.journal.close()
