"""``stenella validate``: all that is wrong, where, and what was meant; nothing is stored."""

from pathlib import Path

from stenella.home.layout import Home

from .conftest import Call

GOOD = """\
name: nightly
tasks:
  - {name: a, script: ls}
  - {name: b, type: noop, depends_on: [a]}
"""
BAD = """\
name: nightly
tasks:
  - name: extract
    scritp: ls
    script: ls
  - name: load
    type: noop
    depends_on: [extrakt]
"""


def test_a_good_file_is_said_to_be_fine(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)

    assert call("validate", file).out == f"{file} is fine: nightly, 2 tasks\n"
    assert call("validate", file, "--json").document == {
        "workflow": "nightly",
        "tasks": 2,
        "problems": [],
    }


def test_every_problem_is_told_with_its_place_and_what_was_meant(
    call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)

    outcome = call("validate", file)

    assert outcome.code == 4
    assert outcome.out == ""
    summary, first, *caret, second, _line, _caret = outcome.err.splitlines()
    assert summary == f"stenella: {file} has 2 problems"
    assert caret == ["      4 |     scritp: ls", "        |     ^^^^^^"]
    assert first.startswith(f"  {file}:4:5: ")
    assert first.endswith("[unknown_field]; did you mean script?")
    assert second.startswith(f"  {file}:8:18: ")
    assert second.endswith("; did you mean extract?")


def test_problems_are_a_document_where_documents_are_wanted(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)

    outcome = call("validate", file, "--json")

    error = outcome.document["error"]
    assert outcome.code == 4
    assert error["code"] == "definition_refused"
    first = error["problems"][0]
    assert set(first) == {"file", "line", "column", "path", "rule", "message", "suggestion"}
    assert (first["file"], first["line"], first["column"]) == (str(file), 4, 5)
    assert (first["path"], first["suggestion"]) == ("tasks[0].scritp", "script")


def test_a_file_that_is_not_there_is_not_found(call: Call) -> None:
    outcome = call("validate", "nowhere.yaml")

    assert outcome.code == 3
    assert "nowhere.yaml" in outcome.err


def test_nothing_is_stored_by_a_refused_run(call: Call, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)

    assert call("run", file).code == 4
    assert not home.database.exists()
    assert list(home.run.iterdir()) == []


def test_wrong_parameters_are_told_before_a_cluster_is_started(
    call: Call, home: Home, tmp_path: Path
) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)

    outcome = call("run", file, "-p", "day=1")

    assert outcome.code == 2
    assert "day" in outcome.err
    assert list(home.run.iterdir()) == []


def test_the_schema_is_printed_as_a_document(call: Call) -> None:
    document = call("schema").document

    assert document["properties"].keys() >= {"name", "tasks"}
    assert document["definitions"]["Task"]["properties"]["type"]["enum"][:1] == ["noop"]
