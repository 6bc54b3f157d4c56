"""``import wfformat``: a trace becomes a file that can be run."""

import json
from pathlib import Path

import pytest

from stenella.client.loading import load

from .conftest import Call

TRACE = Path(__file__).parents[1] / "client" / "traces" / "montage-like.json"


def test_a_trace_is_printed_as_yaml_or_as_a_document(call: Call, tmp_path: Path) -> None:
    printed = call("import", "wfformat", TRACE, "--scale", 0.01)
    (tmp_path / "w.yaml").write_text(printed.out)

    assert load(tmp_path / "w.yaml").name == "mosaic-of-our-own"
    document = call("import", "wfformat", TRACE, "--scale", 0.01, "--json").document
    assert document["name"] == "mosaic-of-our-own"
    assert len(document["tasks"]) == 9


def test_a_trace_is_written_to_a_file_that_can_be_planned(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "mosaic.yaml"

    assert f"stenella run {file}" in call("import", "wfformat", TRACE, "-o", file).out
    assert call("plan", file, "--json").document["width"] == 4
    assert call("import", "wfformat", TRACE, "-o", file).code == 6


@pytest.mark.parametrize(
    ("line", "code"),
    [("no.json", 3), ("{folder}", 2), ("{folder}/x.json", 4), ("{folder}/x.json --scale -1", 2)],
)
def test_what_cannot_be_imported_says_why(call: Call, tmp_path: Path, line: str, code: int) -> None:
    (tmp_path / "x.json").write_text('{"name": "x", "schemaVersion": "1.2"}')

    outcome = call("import", "wfformat", *line.format(folder=tmp_path).split())

    assert (outcome.code, outcome.out) == (code, "")
    assert "Traceback" not in outcome.err


def test_what_a_trace_may_not_be_is_told_of_the_trace(call: Call, tmp_path: Path) -> None:
    tasks = [{"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}]
    trace = {"name": "w", "schemaVersion": "1.5", "workflow": {"specification": {"tasks": tasks}}}
    (tmp_path / "cyc.json").write_text(json.dumps(trace))

    told = call("import", "wfformat", tmp_path / "cyc.json").err
    [problem] = call("import", "wfformat", tmp_path / "cyc.json", "--json").document["error"][
        "problems"
    ]

    assert f"{tmp_path}/cyc.json: tasks wait for each other in a circle" in told
    assert (problem["rule"], problem["file"]) == ("cycle", str(tmp_path / "cyc.json"))
    assert problem["line"] is None
