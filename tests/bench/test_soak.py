"""The verdict of a soak is made of its evidence alone."""

import json
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stenella.bench.pace import Pace, Submitted
from stenella.bench.report import append_to
from stenella.bench.soak import Observer, verdict, workflow
from stenella.bench.soak import evidence as evidence_of
from stenella.bench.soak_rows import Rows
from stenella.storage.journal import Journal
from stenella.workflow.findings import Findings
from stenella.workflow.validation import validate

from ..storage.rows import WALL_MS, batch, task

WELL = {
    "instances": 100,
    "instances_failed": 0,
    "tasks": 1_800,
    "tasks_failed": 0,
    "lost": 0,
    "doubled": 0,
    "submitted": 100,
    "refused": 0,
}


def evidence(leak_mb: float = 0.0, slower_ms: float = 0.0, **account: int) -> list[dict[str, Any]]:
    """An hour; what ``leak_mb`` and ``slower_ms`` add with each of its 360 lines."""
    lines: list[dict[str, Any]] = [{"soak": {"minutes": 60}}]
    for n in range(360):
        jitter = (n * 7) % 5 / 10
        latency = {"p50": 4.0, "p99": 9.0 + jitter + slower_ms * n, "max": 20.0}
        memory = {"rss_mb": 50.0 + leak_mb * n, "own_mb": 30.0 + leak_mb * n}
        lines.append(
            {
                "after_s": 10.0 * (n + 1),
                "tasks_per_s": 3_000.0,
                "restarted": [],
                "submit_to_start_ms": latency,
                "ready_to_start_ms": latency if n else None,
                "processes": {"master": memory, "worker-1": memory | {"rss_mb": 42.0}},
            }
        )
    return [*lines, {"account": WELL | account}]


def test_an_hour_in_which_nothing_rises_holds() -> None:
    found = verdict(evidence())

    assert found["holds"]
    assert found["well"]
    assert found["minutes"] == 60.0


def test_what_stood_in_the_file_before_is_no_evidence(tmp_path: Path) -> None:
    file = tmp_path / "soak.jsonl"
    file.write_text('{"soak": {}}\nno JSON, and cut o')
    begin = append_to(file)
    with file.open("a") as lines:
        lines.writelines(json.dumps(line) + "\n" for line in evidence())

    assert evidence_of(file, begin) == evidence()


def test_a_latency_is_right_on_average_though_a_start_is_rounded_down(tmp_path: Path) -> None:
    """Each submit is due a little later in its millisecond, and its task begins 0.3 ms after."""
    count = 1_000
    due_ms = [WALL_MS + n / count for n in range(count)]
    path, pace = tmp_path / "s.db", Pace(tmp_path, {}, None)
    with closing(Journal.open(path)) as journal, closing(Rows(path)) as rows:
        journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
        observer = Observer(tmp_path, rows, pace)
        pace.taken += [Submitted(n, due, 1.0) for n, due in enumerate(due_ms, 1)]
        tasks = [
            task(n, workflow_instance_id=n, start_time=math.floor(due + 0.3))
            for n, due in enumerate(due_ms, 1)
        ]
        journal.commit(batch(1, *tasks))
        observer.line(1, 0.0)  # tasks are looked at when they have had time
        latency = observer.line(2, 0.0)["submit_to_start_ms"]

    assert latency["p50"] == pytest.approx(0.3, abs=0.01)


def test_memory_that_rises_is_told_with_its_slope() -> None:
    found = verdict(evidence(leak_mb=0.01))

    assert not found["holds"]
    assert found["well"]
    assert found["against"] == [
        "master rss_mb rises",
        "master own_mb rises",
        "worker-1 own_mb rises",
    ]
    assert found["memory"]["master rss_mb"]["per_h"] == pytest.approx(3.6, rel=0.01)
    assert not found["memory"]["master rss_mb"]["flat"]
    assert found["memory"]["worker-1 rss_mb"]["flat"]


def test_latency_that_rises_is_told() -> None:
    assert not verdict(evidence(slower_ms=0.02))["latency"]["ready_to_start_ms p99"]["flat"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1},
        {"doubled": 1},
        {"tasks_failed": 1},
        {"instances_failed": 1},
        {"refused": 1},
        {"submitted": 101},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_one_task_that_is_lost_doubled_or_refused_is_one_too_many(wrong: dict[str, int]) -> None:
    found = verdict(evidence(**wrong))

    assert not found["holds"]
    assert not found["well"]
    assert len(found["against"]) == 1


def test_a_process_that_was_started_again_is_told() -> None:
    lines = evidence()
    lines[99]["restarted"] = ["worker-1"]

    found = verdict(lines)

    assert not found["holds"]
    assert found["restarted"] == ["worker-1"]


def test_a_process_that_is_gone_is_told() -> None:
    lines = evidence()
    for line in lines[100:361]:
        line["processes"] = {"master": line["processes"]["master"]}

    found = verdict(lines)

    assert not found["holds"]
    assert found["restarted"] == ["worker-1"]
    assert "master rss_mb" in found["memory"]


def test_the_workflow_of_a_soak_is_sound(tmp_path: Path) -> None:
    definition = validate(workflow(tmp_path / "ledger"), Findings(), {"noop", "shell"})

    assert definition is not None
    assert [task.type for task in definition.tasks].count("shell") == 2
