"""Whatever bytes a file holds, the answer is a definition or a refusal."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stenella.client.loading import load_bytes
from stenella.protocol.errors import DefinitionRefused

TYPES = frozenset({"shell", "noop"})

FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *("name", "tasks", "params", "type", "script", "depends_on", "retry", "interval"),
            *("env", "outputs", "default", ": ", "\n", "\n  - ", "- ", "  ", "{", "}", "[", "]"),
            *(", ", '"', "'", "&a ", "*a", "!!x ", "| ", "\n---\n", "shell", "${a.b}", "$[yy]"),
            *("5", "1e999", "null", "true", "\t", "#STENELLA --", "#!/bin/sh\n", "é", "\0"),
            *("? ", "%YAML 1.1\n", "[[tasks]]\n", "name = ", '"""', "'''", ".", "1979-05-27"),
        ]
    ),
    max_size=30,
).map(lambda parts: "".join(parts).encode())


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=200), FRAGMENTS),
    name=st.sampled_from(["x.yaml", "x.toml", "x.json", "x.sh", "x.py", "-"]),
)
def test_no_bytes_raise_anything_but_a_refusal(data: bytes, name: str) -> None:
    try:
        definition = load_bytes(data, name, known_types=TYPES)
    except DefinitionRefused as refusal:
        outcome: object = refusal.problems
    else:
        outcome = definition.tasks

    assert outcome


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "params", "env", "script", "type", "outputs", "retry", "default"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    task=JSON_VALUES, fields=st.dictionaries(st.sampled_from(["params", "name", "x"]), JSON_VALUES)
)
def test_no_document_raises_anything_but_a_refusal(task: object, fields: dict[str, object]) -> None:
    text = json.dumps({"name": "w", "tasks": [task], **fields})

    try:
        outcome: object = load_bytes(text.encode(), "x.json", known_types=TYPES).tasks
    except DefinitionRefused as refusal:
        outcome = refusal.problems

    assert outcome
