"""The questions: each takes a running cluster and gives one sample of its figure."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import loads
from .cluster import Cluster

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """One question. ``sample(cluster, parameters)`` is one run, in ``unit``."""

    name: str
    question: str
    unit: str
    sample: Callable[[Cluster, Parameters], float]
    parameters: Parameters  # with their defaults
    limit: str  # the machine's own limit to hold it against
    higher_is_better: bool = True


def fanout(cluster: Cluster, parameters: Parameters) -> float:
    """Tasks per second, from the submit to the last task's end."""
    return _rate(cluster, loads.fan(parameters["tasks"], parameters["type"]))


def lattice(cluster: Cluster, parameters: Parameters) -> float:
    """Tasks per second of a side × side lattice: never more ready than the side is long."""
    return _rate(cluster, loads.lattice(parameters["side"], parameters["type"]))


def _rate(cluster: Cluster, definition: loads.Document) -> float:
    began = time.time()
    document = cluster.finish(definition)
    return float(len(definition["tasks"]) / (document["end_time"] - began))


def chain(cluster: Cluster, parameters: Parameters) -> float:
    """Milliseconds per task, one after the other."""
    tasks = parameters["tasks"]
    document = cluster.finish(loads.chain(tasks, parameters["type"]))
    return float((document["end_time"] - document["start_time"]) * 1_000 / tasks)


def latency(cluster: Cluster, parameters: Parameters) -> float:
    """Milliseconds from a program's submit to the begin of the task, by the machine's clock."""
    began = time.time()
    (task,) = cluster.finish(loads.fan(1, parameters["type"]))["tasks"]
    return float((task["start_time"] - began) * 1_000)


def workflows(cluster: Cluster, parameters: Parameters) -> float:
    """Tasks per second of many small workflows, submitted one after the other by one client."""
    definition = loads.fan(parameters["tasks"], parameters["type"])
    began = time.time()
    instances = [cluster.client.submit(definition) for _ in range(parameters["workflows"])]
    ends = [instance.wait()["end_time"] for instance in instances]
    return float(parameters["workflows"] * parameters["tasks"] / (max(ends) - began))


BENCHES = {
    bench.name: bench
    for bench in (
        Bench(
            "fanout",
            "how many independent tasks of one workflow a second?",
            "tasks/s",
            fanout,
            {"tasks": 5_000, "type": "noop"},
            "round_trip_us",
        ),
        Bench(
            "spawn",
            "how many tasks a second that are a process (shell: true)?",
            "tasks/s",
            fanout,
            {"tasks": 1_000, "type": "shell"},
            "spawns_per_s",
        ),
        Bench(
            "chain",
            "how long from one task's end to the next one's?",
            "ms/task",
            chain,
            {"tasks": 200, "type": "noop"},
            "fdatasync_us",
            higher_is_better=False,
        ),
        Bench(
            "latency",
            "how long from a submit to the begin of its first task?",
            "ms",
            latency,
            {"type": "noop"},
            "fdatasync_us",
            higher_is_better=False,
        ),
        Bench(
            "lattice",
            "how many tasks a second where each waits for two?",
            "tasks/s",
            lattice,
            {"side": 50, "type": "noop"},
            "fdatasync_us",
        ),
        Bench(
            "workflows",
            "how many tasks a second in many small workflows?",
            "tasks/s",
            workflows,
            {"workflows": 200, "tasks": 10, "type": "noop"},
            "fdatasync_us",
        ),
    )
}
