"""What becomes of a cluster with much in it: a large graph, a long queue, and the cost per task."""

import json
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..client.client import Instance
from ..client.loading import load_bytes
from ..client.reads import succeeded
from ..protocol.errors import RefusedInState, WorkflowFailed
from . import command_line, loads
from .cluster import Cluster, elapsed_s
from .processes import memory, peak_mb
from .question import Parameters, Sample, cluster_of

#: The large graph is held against one of so many tasks less.
PART = 10
#: Sizes of which the slope is taken, of the largest.
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
#: The least of these are two layers then: with one, none of its tasks would wait for another.
GRAPH_TASKS_MIN = 2 * loads.LAYER * PART
SLOPE_TASKS_MIN = round(2 * loads.LAYER / SHARES[0])
PROBES = 5
POLL_S = 0.5


# --- a large graph -------------------------------------------------------------------------------


def graph(cluster: Cluster, parameters: Parameters) -> Sample:
    """A file of JSON is submitted by the command line, and its instance runs to its end.

    ``rate``: from the instance's start to its end, the submit is ``submit_s``.
    """
    tasks, edges = parameters["tasks"], parameters["edges"]
    few = max(1, tasks // PART)
    small = _rate(cluster, cluster.client.submit(loads.layers(few, edges)), few)
    file = cluster.home / "graph.json"
    file.write_text(json.dumps(loads.layers(tasks, edges)), encoding="utf-8")
    submit = command_line.submit(cluster, file)
    rate = _rate(cluster, cluster.client.instance(submit.workflow_instance_id), tasks)
    return {
        "rate": rate,
        "of_small": rate / small,
        "submit_s": submit.took_s,
        "submit_mb": submit.peak_mb,
        "master_mb": peak_mb(cluster.master_pid),
    }


def _rate(cluster: Cluster, instance: Instance, tasks: int) -> float:
    """Tasks a second from its start to its end."""
    document = _ended(cluster, instance)
    took_s: float = document["end_time"] - document["start_time"]
    return tasks / took_s


def _ended(cluster: Cluster, instance: Instance) -> loads.Document:
    """Its document when it has ended, without its tasks. Raises `WorkflowFailed`."""
    *_, last = cluster.client.changes(instance.id, None, counts=True)
    document: loads.Document = last["instance"]
    if not succeeded(document):
        raise WorkflowFailed(f"a workflow of the benchmark ended with {document['state']}")
    return document


# --- a long queue --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queued:
    """A cluster in which so much waits that the workers have no time for, and how fast it was."""

    cluster: Cluster
    rate: float  # with nothing else in it


@contextmanager
def queued(parameters: Parameters) -> Iterator[Queued]:
    """Workflows that wait for workers that are drained, and then are not any more."""
    workflows, tasks, first = (parameters[name] for name in ("workflows", "tasks", "first"))
    with cluster_of(parameters) as cluster:
        rate = statistics.median([_probe(cluster, first) for _ in range(PROBES)])
        workers = [worker["id"] for worker in cluster.client.status()["workers"]]
        for worker in workers:
            cluster.client.order_worker(worker, "drain")
        for number in range(workflows):
            definition = loads.fan(tasks, "noop") | {"name": f"queued-{number}"}
            cluster.client.submit(definition)
        while _waiting(cluster) < workflows * tasks:
            time.sleep(POLL_S)
        for worker in workers:
            cluster.client.order_worker(worker, "resume")
        yield Queued(cluster, rate)


def queue(prepared: Queued, parameters: Parameters) -> Sample:
    """A workflow that goes before all that waits, as fast as it can. Raises `RefusedInState`
    where nothing waits any more.
    """
    rate = _probe(prepared.cluster, parameters["first"])
    if not _waiting(prepared.cluster):
        raise RefusedInState(
            "nothing waits any more, so this would not be a rate beside what waits: take more "
            "--workflows or --tasks, or fewer --runs"
        )
    resident = memory(prepared.cluster.master_pid).rss
    return {"rate": rate, "of_empty": rate / prepared.rate, "master_mb": resident}


def _probe(cluster: Cluster, tasks: int) -> float:
    """Tasks a second while one workflow runs before all that waits: its own, and what of the others
    had its turn while its rows were being made.
    """
    document = loads.fan(tasks, "noop") | {"name": "probe", "priority": "highest"}
    definition = load_bytes(json.dumps(document).encode(), "probe.json")  # not a part of the time
    began, waiting = time.monotonic(), _waiting(cluster)
    _ended(cluster, cluster.client.submit(definition))
    took_s, others = time.monotonic() - began, waiting - _waiting(cluster)
    return (tasks + others) / took_s


def _waiting(cluster: Cluster) -> int:
    """Tasks that are ready and not placed."""
    rows = cluster.client.mailboxes()
    (held,) = (row["held"] for row in rows if row["actor"] == "dispatcher")
    return int(held)


# --- the cost per task ---------------------------------------------------------------------------


def slope(cluster: Cluster, parameters: Parameters) -> Sample:
    """From the submit to the end, of workflows of all sizes: how the time grows with the tasks."""
    points = []
    for share in SHARES:
        tasks = max(1, round(parameters["tasks"] * share))
        began = time.time()
        instance = cluster.client.submit(loads.layers(tasks, parameters["edges"]))
        took_s = elapsed_s(began, _ended(cluster, instance)["end_time"])
        points.append((math.log(tasks), math.log(took_s)))
    return {
        "slope": statistics.linear_regression(*zip(*points, strict=True)).slope,
        "per_task": math.exp(points[-1][1] - points[-1][0]) * 1e6,
    }
