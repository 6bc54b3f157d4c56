"""The counts as they were when somebody last looked at them, and what has grown since."""

import json
from collections.abc import Iterator
from pathlib import Path

from .counts import Counts, measured
from .workloads import WORKLOADS

BASELINE = Path(__file__).parent / "baseline.json"
#: More work than this for a task must have been meant: the baseline changes in the same commit.
GROWTH_MAX = 0.05
HOW = (
    "a task of {} is more work than tests/work/baseline.json has. If that is meant, write it anew, "
    "`python -m tests.work --update`, and commit it with the change:\n{}"
)

Baseline = dict[str, Counts]  # workload → count → for each task


def counted() -> Baseline:
    """All workloads."""
    return {name: measured(definitions()) for name, definitions in WORKLOADS.items()}


def read() -> Baseline:
    """What is committed."""
    found: Baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    return found


def write(counts: Baseline) -> None:
    """Instead of what is there."""
    BASELINE.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


def grown(known: Baseline, now: Baseline) -> list[str]:
    """A line for each count that is more than 5 % above the baseline, or that it does not have."""
    return [line for line, ratio in _ratios(known, now) if ratio > 1 + GROWTH_MAX]


def changes(known: Baseline, now: Baseline) -> list[str]:
    """A line for each count that is another one."""
    return [line for line, ratio in _ratios(known, now) if ratio != 1]


def _ratios(known: Baseline, now: Baseline) -> Iterator[tuple[str, float]]:
    for workload, counts in now.items():
        for name, count in counts.items():
            before = known.get(workload, {}).get(name, 0.0)
            ratio = count / before if before else float("inf") if count else 1.0
            yield f"{workload}: {name} {before:g} → {count:g} ({ratio - 1:+.1%})", ratio
