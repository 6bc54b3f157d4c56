"""Documents of benchmarks: what stands in them, and how two are held against each other."""

import os
from pathlib import Path
from typing import Any

import pytest

from stenella.bench import limits
from stenella.bench.figures import BENCHES, TABLE
from stenella.bench.loads import chain, fan, lattice, layers
from stenella.bench.question import Bench
from stenella.bench.report import append_to, compare, in_unit
from stenella.bench.scale import PART, SHARES
from stenella.protocol.errors import NotAllowed, NotFound, Usage
from stenella.workflow.definition import TASKS_MAX
from stenella.workflow.findings import Findings
from stenella.workflow.validation import validate


def document(median: float, low: float, high: float, tasks: int = 5) -> dict[str, Any]:
    return {
        "bench": "fanout",
        "unit": "tasks/s",
        "min": low,
        "median": median,
        "max": high,
        "parameters": {"tasks": tasks},
    }


def test_a_comparison_is_the_ratio_and_its_spread() -> None:
    [found] = compare([document(100.0, 80.0, 110.0)], [document(200.0, 165.0, 240.0)])

    assert (found["ratio"], found["ratio_min"], found["ratio_max"]) == (2.0, 1.5, 3.0)


def test_the_further_figures_are_compared_by_their_names() -> None:
    memory = {"unit": "MB", "min": 90.0, "median": 100.0, "max": 110.0}
    before = document(1.0, 1.0, 1.0) | {"further": {"rss": memory}}
    after = document(1.0, 1.0, 1.0) | {
        "further": {"rss": memory | {"median": 150.0}, "new": memory}
    }

    [found] = compare([before], [after])

    assert {name: ratio["ratio"] for name, ratio in found["further"].items()} == {"rss": 1.5}


def test_of_several_answers_to_one_question_the_newest_counts() -> None:
    old, new = document(50.0, 50.0, 50.0), document(100.0, 100.0, 100.0)
    other = document(7.0, 7.0, 7.0, tasks=9)

    [found] = compare([old, other, new], [new, document(300.0, 300.0, 300.0)])

    assert found["ratio"] == 3.0


@pytest.mark.parametrize(
    ("unit", "limit", "value", "expected"),
    [
        ("tasks/s", "spawns_per_s", 800.0, 800.0),
        ("tasks/s", "round_trip_us", 100.0, 10_000.0),
        ("ms/task", "fdatasync_us", 150.0, 0.15),
        ("ms", "spawns_per_s", 500.0, 2.0),
    ],
)
def test_a_limit_is_told_in_the_unit_of_the_figure(
    unit: str, limit: str, value: float, expected: float
) -> None:
    assert in_unit(unit, limit, value) == pytest.approx(expected)


def test_answers_to_different_questions_are_not_compared() -> None:
    with pytest.raises(Usage, match="parameters"):
        compare([document(1.0, 1.0, 1.0)], [document(1.0, 1.0, 1.0, tasks=6)])


def test_nothing_is_divided_by_what_was_nothing() -> None:
    unknown: dict[str, Any] = {"unit": "ms", "min": None, "median": None, "max": None}
    before = document(1.0, 0.0, 2.0) | {"further": {"commit": unknown}}

    [found] = compare([before], [document(2.0, 1.0, 4.0) | {"further": {"commit": unknown}}])

    assert (found["ratio"], found["ratio_min"], found["ratio_max"]) == (2.0, 0.5, None)
    assert found["further"]["commit"]["ratio"] is None


def test_what_is_appended_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"

    assert append_to(file) == 0
    file.write_text("cut o")
    assert append_to(file) == append_to(file) == 6
    assert file.read_text() == "cut o\n"


def test_where_nothing_can_be_appended_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="mkdir -p"):
        append_to(tmp_path / "none" / "results.jsonl")
    with pytest.raises(NotAllowed, match="directory"):
        append_to(tmp_path)


@pytest.mark.parametrize("bench", TABLE, ids=lambda bench: bench.name)
def test_no_more_tasks_can_be_asked_for_than_a_definition_takes(bench: Bench) -> None:
    most = {one.name: one.high for one in bench.parameters}

    for tasks in (most.get("tasks", 1), most.get("first", 1), most.get("side", 1) ** 2):
        assert tasks <= TASKS_MAX


@pytest.mark.parametrize(("name", "share"), [("graph", 1 / PART), ("slope", SHARES[0])])
def test_the_smallest_graph_that_another_is_held_against_has_edges(name: str, share: float) -> None:
    [tasks] = [one for one in BENCHES[name].parameters if one.name == "tasks"]

    assert any(task["depends_on"] for task in layers(round(tasks.low * share), 1)["tasks"])


@pytest.mark.parametrize(
    ("load", "tasks", "edges"),
    [
        (fan(7, "noop"), 7, 0),
        (chain(7, "shell"), 7, 6),
        (lattice(4, "noop"), 16, 24),
        (layers(300, 3), 300, 600),
    ],
    ids=["fan", "chain", "lattice", "layers"],
)
def test_a_load_is_a_sound_definition_of_its_size(
    load: dict[str, Any], tasks: int, edges: int
) -> None:
    definition = validate(load, Findings(), {"noop", "shell"})

    assert definition is not None
    assert len(definition.tasks) == tasks
    assert sum(len(task.depends_on) for task in definition.tasks) == edges


@pytest.mark.live
@pytest.mark.slow
def test_the_machines_own_limits_are_measured(tmp_path: Path) -> None:
    found = limits.limits(tmp_path)

    held_against = {figure.limit for bench in BENCHES.values() for figure in bench.figures}
    assert held_against - {None} <= set(found)
    assert all(value > 0 for value in found.values())
    assert os.listdir(tmp_path) == []
