"""How a definition gets to the master: with its submit, by its digest, in parts."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from stenella.client.client import Client
from stenella.client.submission import PART_BYTES
from stenella.protocol.commands import Command, DefinitionPart, FromClient, Refused, Submit
from stenella.protocol.errors import UNKNOWN_DEFINITION, RefusedInState

from .door import Door, Script, result

pytestmark = pytest.mark.live

WORKFLOW = {
    "name": "w",
    "params": {"n": {"type": "integer"}},
    "tasks": [{"name": "a", "type": "noop"}],
}
Open = Callable[[Script], Door]


def unknowing(request: Any, _copy: int) -> list[Command]:
    """A master that has no definition but what comes with the submit."""
    if request.definition:
        return [result(request, workflow_instance_id=7)]
    fields: dict[str, Any] = {"exit_code": 6, "code": UNKNOWN_DEFINITION, "message": "send it"}
    return [Refused(request_id=request.request_id, **fields)]


def test_a_definition_that_was_taken_is_only_named_again(open_door: Open, client: Client) -> None:
    door = open_door(lambda request, _: [result(request, workflow_instance_id=7)])

    for _ in range(2):
        client.submit(WORKFLOW, {"n": "3"})

    first, again = (r for r in door.requests if isinstance(r, Submit))
    assert (again.definition, first.definition_digest) == (b"", "")
    assert hashlib.sha256(first.definition).hexdigest() == again.definition_digest
    assert first.digest == again.digest


def test_a_definition_that_the_master_has_not_is_sent_after_all(
    open_door: Open, client: Client
) -> None:
    door = open_door(lambda request, _: [result(request, workflow_instance_id=7)])
    client.submit(WORKFLOW, {"n": "3"})
    door.script = unknowing

    assert client.submit(WORKFLOW, {"n": "3"}).id == 7

    *_, named, whole = (r for r in door.requests if isinstance(r, Submit))
    assert (named.request_id, bool(named.definition)) == (whole.request_id, False)


def test_a_large_definition_goes_in_parts_from_where_the_master_is(
    open_door: Open, client: Client
) -> None:
    kept: dict[str, bytearray] = {}

    def script(request: FromClient, copy: int) -> list[Command]:
        if not isinstance(request, DefinitionPart):
            assert isinstance(request, Submit)
            whole = bytes(kept.get(request.definition_digest, b""))
            if hashlib.sha256(whole).hexdigest() != request.definition_digest:
                return unknowing(request, copy)
            return [result(request, workflow_instance_id=7)]
        text = kept.setdefault(request.definition_digest, bytearray())
        if request.offset == len(text):
            text += request.data
        elif len(text) > 2 * PART_BYTES and len(door.requests) < 5:
            text.clear()  # as after a crash
        return [result(request, received=len(text))] if copy > 1 or request.offset else []

    door = open_door(script)
    workflow = {"name": "w", "tasks": [{"name": "t", "script": "x" * 3 * PART_BYTES}]}

    assert client.submit(workflow).id == 7
    assert {len(r.data) for r in door.requests if isinstance(r, DefinitionPart)} >= {PART_BYTES}


def test_a_master_that_never_keeps_the_definition_is_not_asked_for_ever(
    open_door: Open, client: Client
) -> None:
    def script(request: FromClient, copy: int) -> list[Command]:
        if isinstance(request, DefinitionPart):
            return [result(request, received=request.offset + len(request.data))]
        return unknowing(request, copy)

    open_door(script)
    workflow = {"name": "w", "tasks": [{"name": "t", "script": "x" * 2 * PART_BYTES}]}

    with pytest.raises(RefusedInState, match="does not keep"):
        client.submit(workflow)
