"""No change makes a task more work, unless it says so: counts, not times, against the baseline.

What a count is stands in `counts.py`, what is counted in `workloads.py`.
"""

import gc
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stenella.actors.base import Actor
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.role import master_actors
from stenella.actors.turn import Limits, Turn
from stenella.protocol.rows import Row, TaskEvent
from stenella.workflow.definition import Definition

from ..simulation.parts import Parts
from . import baseline
from .cluster import Cluster
from .counts import measured, run
from .workloads import WORKLOADS, shells

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_task_is_no_more_work_than_it_was(workload: str) -> None:
    now = {workload: measured(WORKLOADS[workload]())}

    lines = baseline.grown(baseline.read(), now)
    assert not lines, baseline.HOW.format(workload, "\n".join(lines))


def small() -> list[Definition]:
    return [shells(20)]


def test_the_same_is_the_same_work_again() -> None:
    assert measured(small()) == measured(small())


@pytest.mark.parametrize("workload", ["fanout", "workflows", "shell"])
def test_nothing_is_kept_of_what_has_ended(workload: str, tmp_path: Path) -> None:
    """Not one object for each task; a few for each workflow are, up to a bound."""
    definitions = WORKLOADS[workload]()
    tasks = sum(len(definition.tasks) for definition in definitions)
    with closing(Cluster(tmp_path)) as cluster:
        cluster.begin()
        blocks = []
        for _ in range(8):
            run(cluster, definitions)
            cluster.forget()
            gc.collect()
            blocks.append(sys.getallocatedblocks())

    assert blocks[-1] - blocks[1] < 6 * tasks, blocks


class Fussy(EventPersister):
    """Looks at what it holds more often than anybody asks."""

    def receive(self, message: Any, ctx: Any) -> None:
        for _ in range(20):
            self.held()
        super().receive(message, ctx)


class OneByOne(Turn):
    """Takes one message in a turn."""

    def __init__(self, node: str, actors: Any, _limits: Limits, **numbers: Any) -> None:
        super().__init__(node, actors, Limits(turn_messages=1), **numbers)


class Twofold(Turn):
    """Writes each event down twice."""

    def append(self, row: Row) -> None:
        super().append(row)
        if isinstance(row, TaskEvent):
            super().append(row)


class Chatty(Turn):
    """Sends everything again."""

    def send(self, peer: bytes, command: Any) -> None:
        super().send(peer, command)
        super().send(peer, command)


def fussy(**numbers: Any) -> dict[str, Actor]:
    """A master's actors, one of them fussy."""
    return master_actors(**numbers) | {"event_persister": Fussy(1, numbers["epoch"], 2_000, 3)}


PLANTED = {
    "calls in actors": Parts(master_actors=fussy),
    "worker commits": Parts(turn=OneByOne),
    "master rows": Parts(turn=Twofold),
    "wire bytes": Parts(turn=Chatty),
}


@pytest.mark.parametrize("count", PLANTED)
def test_work_that_nobody_needs_is_seen(count: str) -> None:
    sound = {"small": measured(small())}

    lines = baseline.grown(sound, {"small": measured(small(), PLANTED[count])})
    assert [line for line in lines if line.startswith(f"small: {count} ")], lines


def test_a_count_may_grow_by_a_twentieth_and_no_more() -> None:
    known = {"load": {"rows": 100.0, "frames": 0.0}}

    assert baseline.grown(known, {"load": {"rows": 105.0, "frames": 0.0}}) == []
    assert baseline.grown(known, {"load": {"rows": 90.0}}) == []
    assert baseline.grown(known, {"load": {"rows": 106.0}}) == ["load: rows 100 → 106 (+6.0%)"]
    assert len(baseline.grown(known, {"load": {"frames": 1.0}, "new": {"rows": 1.0}})) == 2
