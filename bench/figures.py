"""The questions: one table, from which the commands below `stenella bench` are made.

A question that needs its own setup has a file of its own and is a row here.
"""

import math
import time

from ..workflow.definition import TASKS_MAX
from . import breakdown, command_line, load, loads, scale
from .cluster import Cluster, elapsed_s
from .history import HISTORY_BENCH
from .question import EDGES, SLOTS, TYPE, WORKERS, Bench, Figure, Parameter, Parameters, Sample
from .workers import WORKERS_BENCH


def fanout(cluster: Cluster, parameters: Parameters) -> Sample:
    """From the submit to the last task's end."""
    return _rate(cluster, loads.fan(parameters["tasks"], parameters["type"]))


def spawn(cluster: Cluster, parameters: Parameters) -> Sample:
    """The same of tasks that are processes."""
    return _rate(cluster, loads.fan(parameters["tasks"], "shell"))


def lattice(cluster: Cluster, parameters: Parameters) -> Sample:
    """Of a side × side lattice: never more ready than the side is long."""
    return _rate(cluster, loads.lattice(parameters["side"], parameters["type"]))


def _rate(cluster: Cluster, definition: loads.Document) -> Sample:
    began = time.time()
    document = cluster.finish(definition)
    return {"rate": len(definition["tasks"]) / elapsed_s(began, document["end_time"])}


def chain(cluster: Cluster, parameters: Parameters) -> Sample:
    """From the first task's start to the last one's end, divided by the tasks."""
    tasks = parameters["tasks"]
    document = cluster.finish(loads.chain(tasks, parameters["type"]))
    return {"hop": (document["end_time"] - document["start_time"]) * 1_000 / tasks}


def latency(cluster: Cluster, parameters: Parameters) -> Sample:
    """From a program's submit to the begin of the task, by the machine's clock.

    That of the task is read in whole milliseconds: a sample is half of one off at most.
    """
    began = time.time()
    (task,) = cluster.finish(loads.fan(1, parameters["type"]))["tasks"]
    return {"begin": elapsed_s(began, task["start_time"]) * 1_000}


def workflows(cluster: Cluster, parameters: Parameters) -> Sample:
    """Submitted and awaited by one client, from the first submit to the last end."""
    client, count = cluster.client, parameters["workflows"]
    definition = loads.fan(parameters["tasks"], parameters["type"])
    began = time.time()
    documents = client.wait_many(client.submit_many(definition, [{}] * count))
    end = max(document["end_time"] for document in documents)
    return {"rate": count * parameters["tasks"] / elapsed_s(began, end)}


TASKS = Parameter("tasks", 5_000, "Tasks of the workflow.")
IN_A_ROW = Parameter("tasks", 200, "Tasks of the workflow, one after the other.")
SIDE = Parameter(
    "side", 100, "The lattice has as many tasks as its square.", high=math.isqrt(TASKS_MAX)
)
OF_EACH = Parameter("tasks", 10, "Tasks of each.")
#: Enough for a rate, few beside what waits.
FIRST = Parameter("first", 10_000, "Tasks of the workflow that goes first.")
COUNT = Parameter("workflows", 1_000, "Submitted by one client.", high=100_000)
GRAPH = Parameter("tasks", 100_000, "Tasks of the workflow.", low=scale.GRAPH_TASKS_MIN)
LARGEST = Parameter("tasks", 100_000, "Tasks of the largest.", low=scale.SLOPE_TASKS_MIN)

#: In the order in which `bench all` runs them.
TABLE: tuple[Bench, ...] = (
    Bench(
        name="fanout",
        question="How many independent tasks of one workflow a second?",
        figures=(Figure("rate", "tasks/s", "round_trip_us"),),
        sample=fanout,
        parameters=(TASKS, TYPE, WORKERS, SLOTS),
        example="--tasks 1000 --runs 2",
    ),
    Bench(
        name="spawn",
        question="How many tasks a second that are a process each?",
        figures=(Figure("rate", "tasks/s", "spawns_per_s"),),
        sample=spawn,
        parameters=(TASKS.at(1_000), WORKERS, SLOTS),
        example="--tasks 100 --runs 2",
    ),
    Bench(
        name="chain",
        question="How long from one task's end to the next one's?",
        figures=(Figure("hop", "ms/task", "fdatasync_us", higher_is_better=False),),
        sample=chain,
        parameters=(IN_A_ROW, TYPE, WORKERS, SLOTS),
        example="--tasks 50 --runs 2",
    ),
    Bench(
        name="latency",
        question="How long from a submit to the begin of its first task?",
        figures=(Figure("begin", "ms", "fdatasync_us", higher_is_better=False),),
        sample=latency,
        parameters=(TYPE, WORKERS, SLOTS),
        example="--runs 5",
        runs=51,  # a sample is one submit
    ),
    Bench(
        name="lattice",
        question="How many tasks a second where each waits for two others?",
        detail="For its upper and its left neighbour in a lattice.",
        figures=(Figure("rate", "tasks/s", "fdatasync_us"),),
        sample=lattice,
        parameters=(SIDE, TYPE, WORKERS, SLOTS),
        example="--side 10 --runs 2",
    ),
    Bench(
        name="workflows",
        question="How many tasks a second in many small workflows?",
        figures=(Figure("rate", "tasks/s", "fdatasync_us"),),
        sample=workflows,
        parameters=(COUNT, OF_EACH, TYPE, WORKERS, SLOTS),
        example="--workflows 20 --runs 2",
    ),
    command_line.BENCH,
    Bench(
        name="graph",
        question="How many tasks a second in one large graph?",
        detail="Layers of 100 tasks, submitted as a file by the command line; against a graph of a "
        "tenth, and what the submit and the master take.",
        figures=(
            Figure("rate", "tasks/s", "fdatasync_us"),
            Figure("of_small", "of the smaller graph's rate"),
            Figure("submit_s", "s of the submit", higher_is_better=False),
            Figure("submit_mb", "MB of the submit", higher_is_better=False),
            Figure("master_mb", "MB of the master", higher_is_better=False),
        ),
        sample=scale.graph,
        parameters=(GRAPH, EDGES, WORKERS, SLOTS),
        example="--tasks 5000 --runs 2",
    ),
    Bench(
        name="queue",
        question="How many tasks a second while a million others wait?",
        detail="While a workflow runs that goes first: its tasks, and those of the others that had "
        "their turn meanwhile; against the same with nothing waiting, and what the master takes.",
        figures=(
            Figure("rate", "tasks/s", "round_trip_us"),
            Figure("of_empty", "of the rate without"),
            Figure("master_mb", "MB of the master", higher_is_better=False),
        ),
        setup=scale.queued,
        sample=scale.queue,
        parameters=(COUNT.at(100), OF_EACH.at(10_000), FIRST, WORKERS, SLOTS),
        example="--workflows 2 --tasks 10000 --first 500 --runs 2",
    ),
    Bench(
        name="slope",
        question="Does a task of a large workflow cost as much as one of a small?",
        detail="The slope of a workflow's time over its tasks, both as logarithms, from a "
        "hundredth of the size to all of it: 1 is flat.",
        figures=(
            Figure("slope", "log s/log tasks", higher_is_better=False),
            Figure("per_task", "us/task of the largest", higher_is_better=False),
        ),
        sample=scale.slope,
        parameters=(LARGEST, EDGES, WORKERS, SLOTS),
        example="--tasks 20000 --runs 1",
    ),
    WORKERS_BENCH,
    HISTORY_BENCH,
    load.BENCH,
    breakdown.BENCH,
)
BENCHES = {bench.name: bench for bench in TABLE}
