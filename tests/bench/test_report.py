"""Documents of benchmarks: what stands in them, and how two are held against each other."""

import os
from pathlib import Path
from typing import Any

import pytest

from stenella.bench import limits
from stenella.bench.figures import BENCHES
from stenella.bench.loads import chain, fan, lattice, layers
from stenella.bench.report import compare
from stenella.protocol.errors import Usage
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
    found = compare(document(100.0, 80.0, 110.0), document(200.0, 165.0, 240.0))

    assert (found["ratio"], found["ratio_min"], found["ratio_max"]) == (2.0, 1.5, 3.0)


def test_answers_to_different_questions_are_not_compared() -> None:
    with pytest.raises(Usage, match="parameters"):
        compare(document(1.0, 1.0, 1.0), document(1.0, 1.0, 1.0, tasks=6))


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

    assert set(found) == {bench.limit for bench in BENCHES.values()}
    assert all(value > 0 for value in found.values())
    assert os.listdir(tmp_path) == []
