"""At half of what a cluster can do at most: how long does a task that is ready wait for its start?

Workflows come at their times, whether or not earlier ones are through, so what falls behind is
seen. Measured is what the rows say: from the turn that made a task ready, which is not on disk
then, to the worker's start. What waits behind a wide fan-out of its own workflow waits for slots:
that is the maximum's business.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from . import loads
from .cluster import Cluster
from .pace import Pace, most_per_s, until_idle
from .question import SLOTS, TYPE, WORKERS, Bench, Figure, Parameter, Parameters, Sample, cluster_of
from .soak_rows import Rows
from .trend import percentile

#: Of the maximum.
SHARE = 0.5
#: How long that is measured, in rounds of so many workflows.
MOST_S, ROUND = 5.0, 300
#: Submits under way at once: with few, their answers are the maximum, not the cluster.
CLIENTS = 16


@dataclass(frozen=True)
class Loaded:
    """A cluster whose maximum is known."""

    cluster: Cluster
    definition: loads.Document
    rows: Rows
    most_per_s: float


@contextmanager
def loaded(parameters: Parameters) -> Iterator[Loaded]:
    """Start a cluster and measure its maximum."""
    definition = loads.diamond(parameters["width"], parameters["type"])
    with cluster_of(parameters) as cluster:
        rows = Rows(cluster.home / "stenella.db")
        try:
            most = most_per_s(cluster, definition, rows, MOST_S, ROUND, CLIENTS)
            yield Loaded(cluster, definition, rows, most)
        finally:
            rows.close()


def load(prepared: Loaded, parameters: Parameters) -> Sample:
    """So many seconds of it."""
    rows, definition = prepared.rows, prepared.definition
    per_s = prepared.most_per_s * SHARE / len(definition["tasks"])
    before = rows.newest_task()
    with Pace(prepared.cluster.home, definition, per_s, clients=CLIENTS):
        time.sleep(parameters["seconds"])
    until_idle(rows)
    begun = list(rows.begun(before, rows.newest_task()))
    waits_ms = sorted(task.start_ms - task.ready_ms for task in begun)
    return {
        "p99": percentile(waits_ms, 99),
        "p50": percentile(waits_ms, 50),
        "rate": len(waits_ms) / parameters["seconds"],
        "most": prepared.most_per_s,
    }


BENCH = Bench(
    name="load",
    question="How long does a task wait for its start at half of the maximum?",
    detail="Workflows of a task, then WIDTH at once, then one, come at their times. The wait is "
    "from the turn that made a task ready to its start; the maximum is measured first.",
    figures=(
        Figure("p99", "ms", "fdatasync_us", higher_is_better=False),
        Figure("p50", "ms", "fdatasync_us", higher_is_better=False),
        Figure("rate", "tasks/s"),
        Figure("most", "tasks/s"),
    ),
    setup=loaded,
    sample=load,
    parameters=(
        Parameter("width", 16, "Of each workflow: so many tasks at once.", high=10_000),
        Parameter("seconds", 10, "Of each run.", high=86_400),
        TYPE,
        WORKERS,
        SLOTS,
    ),
    example="--seconds 1 --runs 1",
)
