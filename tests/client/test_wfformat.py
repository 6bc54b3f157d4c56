"""Traces of real workflows: the graph and the scaled times of each become a sound definition."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stenella.client import wfformat
from stenella.client.loading import load_bytes
from stenella.client.wfformat import to_document, to_yaml
from stenella.protocol.errors import DefinitionRefused
from stenella.workflow.definition import Definition

OWN = Path(__file__).parent / "traces" / "montage-like.json"
#: Published traces, where somebody has them; they are not ours to copy.
PUBLISHED = sorted(Path(os.environ.get("STENELLA_WFFORMAT_DIR", "/nonexistent")).glob("*.json"))


def imported(path: Path, scale: float) -> Definition:
    text = to_yaml(to_document(path.read_bytes(), path.name, scale))
    return load_bytes(text.encode(), "trace.yaml", known_types={"shell", "noop"})


def trace(**fields: Any) -> bytes:
    tasks = fields.pop("tasks", [{"id": "a"}])
    executed = fields.pop("executed", [])
    workflow = {"specification": {"tasks": tasks}, "execution": {"tasks": executed}}
    whole = {"name": "w", "schemaVersion": "1.5", "workflow": workflow, **fields}
    return json.dumps(whole).encode()


def test_tasks_wait_as_in_the_trace_and_take_the_scaled_time() -> None:
    definition = imported(OWN, 0.01)

    assert definition.name == "mosaic-of-our-own"
    tasks = {task.name: task for task in definition.tasks}
    assert tasks["diff_1"].depends_on == ("project_1", "project_2")
    assert tasks["project_1"].script == "exec sleep 0.125"
    assert tasks["fit"].type == "noop"


def test_ids_become_names_and_none_are_alike_without_regard_to_case() -> None:
    tasks = {task.name: task for task in imported(OWN, 1).tasks}

    assert tasks.keys() >= {"add-images", "Shrink", "shrink.2"}
    assert tasks["Shrink"].depends_on == ("add-images",)
    assert set(tasks["shrink.2"].depends_on) == {"Shrink", "fit"}


def test_more_dependencies_than_a_file_may_have_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wfformat, "EDGES_MAX", 1)
    few = trace(tasks=[{"id": "a"}, {"id": "b", "parents": ["a"]}])
    many = trace(tasks=[{"id": "a"}, {"id": "b"}, {"id": "c", "parents": ["a", "b"]}])

    assert len(to_document(few, "t", 1)["tasks"]) == 2
    with pytest.raises(DefinitionRefused, match="wait for 2 others in all, at most 1 are taken"):
        to_document(many, "t", 1)


def test_a_trace_that_gives_one_direction_only_is_read() -> None:
    body = trace(tasks=[{"id": "a", "children": ["b"]}, {"id": "b"}])

    assert to_document(body, "t", 1)["tasks"][1] == {
        "name": "b",
        "type": "noop",
        "depends_on": ["a"],
    }


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "wrong_type"),
        (b"{}", "wrong_type"),
        (b"[" * 100_000, "wrong_type"),
        (b'{"name": "w", "workflow": {"tasks": []}}', "wrong_type"),
        (trace(schemaVersion="1.3"), "unknown_format"),
        (trace(tasks=[{"id": "a", "parents": ["x"]}]), "unknown_name"),
        (trace(tasks=[{"id": "a", "children": ["x"]}]), "unknown_name"),
        (trace(tasks=[{"id": "a"}, {"id": "a"}]), "duplicate_name"),
        (trace(executed=[{"id": "a", "runtimeInSeconds": -1}]), "out_of_range"),
        (trace(executed=[{"id": "a", "runtimeInSeconds": "long"}]), "wrong_type"),
    ],
)
def test_what_is_no_trace_is_refused_by_its_rule(body: bytes, rule: str) -> None:
    with pytest.raises(DefinitionRefused) as caught:
        to_document(body, "t.json", 1)

    assert rule in [problem.rule for problem in caught.value.problems]


def test_a_circle_in_a_trace_is_found_by_the_loader() -> None:
    body = trace(tasks=[{"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}])

    with pytest.raises(DefinitionRefused, match="circle"):
        load_bytes(to_yaml(to_document(body, "t", 1)).encode(), "t.yaml")


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_a_published_trace_becomes_a_definition_with_its_graph_and_times(path: Path) -> None:
    workflow = json.loads(path.read_bytes())["workflow"]
    specified = workflow["specification"]["tasks"]
    total_s = sum(task["runtimeInSeconds"] for task in workflow["execution"]["tasks"])

    definition = imported(path, 0.5)

    assert len(definition.tasks) == len(specified)
    edges = sum(len(task.depends_on) for task in definition.tasks)
    assert edges == sum(len(task["parents"]) for task in specified)
    slept = [float((task.script or "exec sleep 0").split()[-1]) for task in definition.tasks]
    assert sum(slept) == pytest.approx(total_s / 2, abs=0.01)
