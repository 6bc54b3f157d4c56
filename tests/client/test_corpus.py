"""The corpus of definitions: loader and schema say the same, and people can read it."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stenella.client.document import Unreadable
from stenella.client.json_file import read_json
from stenella.client.loading import load, load_bytes
from stenella.client.toml_file import read_toml
from stenella.client.yaml_file import read_yaml
from stenella.protocol.errors import DefinitionRefused, Problem
from stenella.workflow import definition, reading
from stenella.workflow.findings import Findings
from stenella.workflow.schema import NOTES, STRUCTS, document_fields, schema

from .corpus import BAD, GOOD, Bad, suffix

TYPES = frozenset({"shell", "noop", "python"})
SCHEMA = schema(TYPES)
EXAMPLES = [
    path
    for path in sorted((Path(__file__).parents[2] / "examples").iterdir())
    if path.suffix in (".yaml", ".toml", ".json")
]

each_good = pytest.mark.parametrize("text", [pytest.param(text, id=head) for head, text in GOOD])
each_bad = pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.title) for bad in BAD])


def problems(bad: Bad) -> list[Problem]:
    with pytest.raises(DefinitionRefused) as caught:
        load_bytes(bad.text.encode(), f"w{bad.suffix}", known_types=TYPES)
    return list(caught.value.problems)


def plain(text: str) -> Any:
    """The document as a schema sees it."""
    reader = read_json if suffix(text) == ".json" else read_yaml
    return reader(text, Findings())


def refused_by_schema(document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(document)]


def test_the_corpus_is_large_and_no_case_is_there_twice() -> None:
    assert len(GOOD) >= 30
    assert len(BAD) >= 100
    assert len({text for _, text in GOOD} | {bad.text for bad in BAD}) == len(GOOD) + len(BAD)


@each_good
def test_a_good_definition_is_taken_by_loader_and_schema(text: str) -> None:
    assert load_bytes(text.encode(), f"w{suffix(text)}", known_types=TYPES).tasks
    assert refused_by_schema(plain(text)) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_taken_by_loader_and_schema(path: Path) -> None:
    assert load(path).tasks
    text = path.read_text(encoding="utf-8")
    document = read_toml(text, Findings()) if path.suffix == ".toml" else plain(text)
    assert refused_by_schema(document) == []


@each_bad
def test_b1_to_b4_a_bad_definition_is_refused_by_its_rule_with_what_was_meant(bad: Bad) -> None:
    found = problems(bad)

    assert bad.rule in [problem.rule for problem in found]
    if bad.suggestion is not None:
        assert bad.suggestion in [problem.suggestion for problem in found]
    if bad.rule != "empty":
        assert all(problem.line and problem.column for problem in found)


@each_bad
def test_the_schema_refuses_what_is_not_the_loaders_alone(bad: Bad) -> None:
    try:
        document = plain(bad.text)
    except Unreadable:
        assert bad.loader_only
        return
    assert (refused_by_schema(document) == []) == bad.loader_only


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", [name for name in vars(reading) if name.endswith("_FIELDS")])
def test_a_field_that_the_loader_reads_is_in_the_schema_with_what_it_is(name: str) -> None:
    struct = getattr(definition, name.removesuffix("_FIELDS").title().replace("_", ""))

    assert struct in STRUCTS
    assert set(document_fields(struct)) == set(getattr(reading, name))
    lacking = [f for f in document_fields(struct) if f"{struct.__name__}.{f}" not in NOTES]
    assert lacking == [], "say in NOTES of workflow/schema.py what they are"
