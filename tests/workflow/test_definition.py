"""The canonical form: stable, strict, complete."""

import pytest

from stenella.protocol.errors import DefinitionRefused
from stenella.workflow.definition import (
    DEFINITION_BYTES_MAX,
    Definition,
    Output,
    Parameter,
    Retry,
    Task,
    decode,
    digest,
    encode,
)

FULL = Definition(
    name="nightly",
    description="ø",
    params={"z": Parameter("integer", 3, min=1, max=9), "a": Parameter("string", "x")},
    failure_strategy="end",
    tasks=(
        Task(
            "extract",
            script="echo",
            params={"n": 1.0, "b": True, "empty": None},
            env={"K": "v"},
            outputs=(Output("rows"), Output("bytes", 0)),
            retry=Retry(3, 10_000, 2.0),
            worker_group="big",
            working_dir="/tmp",
        ),
        Task("load", type="noop", depends_on=("extract",)),
    ),
)


def test_what_was_encoded_is_decoded() -> None:
    assert decode(encode(FULL)) == FULL


def test_the_order_of_names_does_not_change_the_digest() -> None:
    turned = Definition("a", (), params={"y": Parameter(), "x": Parameter("integer", 1)})
    straight = Definition("a", (), params={"x": Parameter("integer", 1), "y": Parameter()})

    assert digest(turned) == digest(straight)


def test_the_digest_tells_a_number_from_its_text() -> None:
    assert digest(Definition("a", (Task("t", params={"x": 1}),))) != digest(
        Definition("a", (Task("t", params={"x": "1"}),))
    )


def test_defaults_are_left_out() -> None:
    assert encode(Definition("a", (Task("t"),))) == b'{"name":"a","tasks":[{"name":"t"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"name":"a"}',
        b'{"name":"a","tasks":[],"timeout":1}',
        b'{"name":1,"tasks":[]}',
        b'{"name":"a","tasks":[{"name":"t","retry":{"times":true}}]}',
        b'{"name":"a","tasks":[],"params":{"x":{"default":1e999}}}',
        b'{"name":"\\ud800","tasks":[]}',
        b'{"name":"\xff","tasks":[]}',
        b'{"name":"a","tasks":[]} x',
        b" " * (DEFINITION_BYTES_MAX + 1),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(DefinitionRefused) as refusal:
        decode(body)

    assert len(refusal.value.problems) == 1
