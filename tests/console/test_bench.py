"""`bench` without a cluster: files that are compared, and files that cannot be written."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Call

RESULT: dict[str, Any] = {
    "bench": "fanout",
    "unit": "tasks/s",
    "min": 80.0,
    "median": 100.0,
    "max": 110.0,
    "parameters": {"tasks": 5},
    "further": {"rss": {"unit": "MB", "min": 9.0, "median": 10.0, "max": 11.0}},
}


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_what_all_prints_is_compared_with_what_it_appends(call: Call, tmp_path: Path) -> None:
    other = RESULT | {"bench": "spawn"}
    printed = written(tmp_path / "printed.json", [RESULT, other])
    appended = written(tmp_path / "appended.jsonl", RESULT, other)

    outcome = call("bench", "compare", printed, appended)

    assert outcome.out.splitlines() == [
        "fanout  tasks/s × 1.00  [0.73-1.38]",
        "fanout rss  MB × 1.00  [0.82-1.22]",
        "spawn  tasks/s × 1.00  [0.73-1.38]",
        "spawn rss  MB × 1.00  [0.82-1.22]",
    ]


def test_where_something_was_nothing_no_ratio_is_told(call: Call, tmp_path: Path) -> None:
    before = written(tmp_path / "before.json", RESULT | {"min": 0.0})
    after = written(tmp_path / "after.json", RESULT | {"min": None})

    assert "fanout  tasks/s × 1.00  [?-?]" in call("bench", "compare", before, after).out


@pytest.mark.parametrize(
    "line",
    [{}, [{}], {"verdict": {"holds": True}}, RESULT | {"median": "fast"}, 7],
    ids=["empty", "list", "verdict", "word", "number"],
)
def test_what_is_no_result_is_refused(call: Call, tmp_path: Path, line: object) -> None:
    path = written(tmp_path / "result.json", line)

    outcome = call("bench", "compare", path, path)

    assert outcome.code == 2
    assert f"{path} is not what `stenella bench … --json` prints" in outcome.err


@pytest.mark.parametrize("command", ["all", "soak"])
def test_nothing_is_measured_for_a_file_that_cannot_be_written(
    call: Call, tmp_path: Path, command: str
) -> None:
    outcome = call("bench", command, tmp_path / "none" / "results.jsonl")

    assert outcome.code == 3
    assert outcome.err == (
        f"stenella: there is no folder {tmp_path / 'none'}: mkdir -p {tmp_path / 'none'}\n"
    )
