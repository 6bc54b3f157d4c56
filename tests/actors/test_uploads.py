"""Definitions that come in parts, and submits that only name one (DESIGN section 7)."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from stenella.actors.master.uploads import UPLOAD_MS_MAX, UPLOADS_BYTES_MAX
from stenella.protocol.commands import Answer, DefinitionPart, Refused, Submit
from stenella.protocol.errors import UNKNOWN_DEFINITION
from stenella.workflow.definition import DEFINITION_BYTES_MAX, encode

from .builders import definition, task
from .played_master import CLIENT, PlayedMaster

BODY = encode(definition(task("a"), task("b", "a")))
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def master() -> Iterator[PlayedMaster]:
    played = PlayedMaster()
    yield played
    played.journal.close()


def part(offset: int, data: bytes = b"", **fields: Any) -> DefinitionPart:
    given: dict[str, Any] = {"request_id": "p", "definition_digest": DIGEST, "size": len(BODY)}
    data = data or BODY[offset : offset + 20]
    return DefinitionPart(offset=offset, data=data, **given | fields)


def give(master: PlayedMaster, said: DefinitionPart) -> int:
    [answer] = master.give("gateway", said, CLIENT, "")
    assert isinstance(answer, Answer), answer
    received: int = answer.result["received"]
    return received


def send(master: PlayedMaster) -> None:
    received = 0
    while received < len(BODY):
        received = give(master, part(received))


def held(master: PlayedMaster) -> int:
    return master.turn.actors["gateway"].held()


def test_a_definition_that_came_in_parts_is_run_by_its_digest(master: PlayedMaster) -> None:
    master.worker()
    send(master)
    assert master.batches == []

    answer = master.ask(Submit, definition_digest=DIGEST)

    assert isinstance(answer, Answer)
    assert [request.task for request in master.requests()] == ["a"]
    [version] = master.journal.load("version", (DIGEST,))
    assert version.definition == BODY
    assert held(master) == 0


def test_a_repeated_part_adds_nothing_and_an_early_one_is_not_kept(master: PlayedMaster) -> None:
    assert give(master, part(20)) == 0
    assert held(master) == 0
    assert give(master, part(0)) == 20
    assert give(master, part(0)) == 20
    assert give(master, part(40)) == 20
    assert give(master, part(20)) == 40


def test_half_of_a_definition_is_none(master: PlayedMaster) -> None:
    give(master, part(0))

    refusal = master.ask(Submit, definition_digest=DIGEST)

    assert isinstance(refusal, Refused)
    assert (refusal.exit_code, refusal.code) == (6, UNKNOWN_DEFINITION)
    assert not master.journal.load("version", (DIGEST,))


def test_what_is_not_as_its_digest_says_is_thrown_away(master: PlayedMaster) -> None:
    assert give(master, part(0, b"x" * len(BODY))) == 0
    assert held(master) == 0

    send(master)

    assert isinstance(master.ask(Submit, definition_digest=DIGEST), Answer)


def test_what_nobody_goes_on_with_is_forgotten(master: PlayedMaster) -> None:
    give(master, part(0))
    master.wait(UPLOAD_MS_MAX // 2)
    give(master, part(20))
    master.wait(UPLOAD_MS_MAX - 1_000)
    assert held(master) == 1

    master.wait(3_000)

    assert held(master) == 0
    assert give(master, part(40)) == 0


def test_a_master_that_died_has_received_nothing(master: PlayedMaster) -> None:
    give(master, part(0))
    master.restart()

    assert give(master, part(20)) == 0


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (part(0, size=DEFINITION_BYTES_MAX + 1), "definition_refused"),
        (part(len(BODY) - 1, b"xy"), "usage"),
        (part(0, size=0), "usage"),
        (part(0, size=len(BODY) + 1), "usage"),
    ],
)
def test_a_part_of_nothing_that_can_be_is_refused(
    master: PlayedMaster, said: DefinitionPart, code: str
) -> None:
    give(master, part(0))

    [refusal] = master.give("gateway", said, CLIENT, "")

    assert isinstance(refusal, Refused)
    assert refusal.code == code


def test_no_more_is_begun_than_fits_the_memory(master: PlayedMaster) -> None:
    for number in range(UPLOADS_BYTES_MAX // DEFINITION_BYTES_MAX):
        said = part(0, size=DEFINITION_BYTES_MAX, definition_digest=f"d{number}")
        assert give(master, said) == 20

    [refusal] = master.give("gateway", part(0), CLIENT, "")

    assert isinstance(refusal, Refused)
    assert refusal.code == "busy"


def test_a_version_that_is_stored_need_only_be_named(master: PlayedMaster) -> None:
    master.worker()
    assert isinstance(master.ask(Submit, definition=BODY), Answer)
    [a] = master.requests()

    again = master.ask(Submit, definition_digest=DIGEST)
    master.restart()
    once_more = master.ask(Submit, definition_digest=DIGEST)

    assert [again.result, once_more.result] == [
        {"workflow_instance_id": 2},
        {"workflow_instance_id": 3},
    ]
    assert a.task == "a"
    assert {master.instance(number).version_digest for number in (1, 2, 3)} == {DIGEST}


def test_a_version_is_stored_with_its_first_instance_only(master: PlayedMaster) -> None:
    master.ask(Submit, definition=BODY)
    master.ask(Submit, definition=BODY)

    assert not any(
        table.TABLE == "workflow_version" for b in master.batches for table in b.appended
    )


def test_a_submit_that_is_refused_for_its_parameters_stores_nothing(master: PlayedMaster) -> None:
    send(master)

    refusal = master.ask(Submit, definition_digest=DIGEST, params={"nobody": 1})

    assert isinstance(refusal, Refused)
    assert not master.journal.load("version", (DIGEST,))
