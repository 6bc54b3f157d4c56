"""Rows and commands as the other rooms count on them."""

from typing import Any

import msgspec
import pytest

from stenella.protocol import commands, rows
from stenella.protocol.errors import ERRORS, Problem, StenellaError


def subclasses(base: type[Any]) -> list[type[Any]]:
    found = base.__subclasses__()
    return found + [below for child in found for below in subclasses(child)]


@pytest.mark.parametrize("row", [r for r in subclasses(rows.Row) if r.TABLE])
def test_the_key_of_a_row_is_one_of_its_fields(row: type[rows.Row]) -> None:
    database_gives_the_key = {"task_event", "dead_letter"}

    assert row.KEY in row.__struct_fields__ or row.TABLE in database_gives_the_key


def test_tables_have_one_row_struct_each() -> None:
    tables = [r.TABLE for r in subclasses(rows.Row) if r.TABLE]

    assert len(tables) == len(set(tables))


@pytest.mark.parametrize(
    "command", [c for c in subclasses(commands.Command) if not c.__subclasses__()]
)
def test_a_command_is_frozen_and_tagged_with_its_name(command: type[commands.Command]) -> None:
    assert command.__struct_config__.frozen
    assert command.__struct_config__.tag == command.__name__


def test_every_command_is_somebodys() -> None:
    unions = (commands.FromWorker, commands.FromClient, commands.ToWorker, commands.ToClient)
    spoken = {command for union in unions for command in union.__args__}

    assert {c for c in subclasses(commands.Command) if not c.__subclasses__()} == spoken


def test_every_exit_code_has_its_error() -> None:
    assert sorted(ERRORS) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(issubclass(error, StenellaError) for error in ERRORS.values())


def test_an_error_is_a_json_document_with_all_problems() -> None:
    problem = Problem(rule="cycle", message="a → a", file="f.yaml", line=3)

    document = ERRORS[4]("refused", (problem,)).document()

    assert msgspec.json.decode(msgspec.json.encode(document)) == {
        "code": "definition_refused",
        "message": "refused",
        "problems": [
            {
                "rule": "cycle",
                "message": "a → a",
                "file": "f.yaml",
                "line": 3,
                "column": None,
                "path": None,
                "suggestion": None,
            }
        ],
    }
