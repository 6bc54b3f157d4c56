"""What a long history costs: reading it, starting on it, and running beside it."""

import json
import math
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import loads
from .cluster import Cluster, elapsed_s
from .question import SLOTS, WORKERS, Bench, Figure, Parameter, Parameters, Sample

#: Tasks of one workflow of the history; every tenth fails once and is tried again.
TASKS, TENTH = 100, 10
SUBMITS = 21
#: Copied in one transaction: some 300 ms.
INSTANCES_AT_ONCE = 500

#: What is multiplied, and what numbers the copies: a column, and whose ids it is moved by.
TABLES = ("workflow_instance", "task_instance", "task_attempt", "task_event", "intent")
MOVED_BY = {
    "workflow_instance.id": "workflow_instance",
    "task_instance.id": "task_instance",
    "workflow_instance_id": "workflow_instance",
    "task_instance_id": "task_instance",
    "dispatch_id": "dispatch",
}
#: The database gives these itself.
GIVEN = ("task_event.id",)


@dataclass(frozen=True)
class Homes:
    """Two clusters that are up, one with a history; ``instances`` of it."""

    full: Cluster
    empty: Cluster
    instances: int


@contextmanager
def homes_of(parameters: Parameters) -> Iterator[Homes]:
    """One workflow is run, and with the cluster down its rows are multiplied."""
    instances = max(1, parameters["rows"] // TASKS)
    size = parameters["workers"], parameters["slots"]
    with Cluster(*size) as full, Cluster(*size) as empty:
        full.finish(_workflow())
        full.run("down", "--wait", "0s")
        multiply(full.home / "stenella.db", instances - 1)
        full.up()
        yield Homes(full, empty, instances)


def _workflow() -> loads.Document:
    tasks = [loads.task(f"t{number}", "noop") for number in range(TASKS)]
    for task in tasks[::TENTH]:
        script = 'echo "try $STENELLA_ATTEMPT_NUMBER"; [ "$STENELLA_ATTEMPT_NUMBER" = 2 ]'
        task |= {"type": "shell", "script": script, "retry": {"times": 1, "interval": "10ms"}}
    return {"name": "history", "params": {"day": "2026-01-31"}, "tasks": tasks}


def multiply(database: Path, copies: int) -> None:
    """Repeat all rows of a stopped home so often, each copy with ids of its own."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = off")
        ids = _ids(connection)
        statements = [_copying(connection, table, ids) for table in TABLES]
        for first in range(1, copies + 1, INSTANCES_AT_ONCE):
            connection.execute("BEGIN")
            for statement in statements:
                last = min(copies, first + INSTANCES_AT_ONCE - 1)
                connection.execute(statement, (first, last))
            connection.execute("COMMIT")
        for name, many in ids.items():
            sql = f"UPDATE master SET next_{name} = next_{name} + ?"
            connection.execute(sql, (many * copies,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _ids(connection: sqlite3.Connection) -> dict[str, int]:
    """How many of each kind are taken."""
    kinds = ("workflow_instance", "task_instance", "dispatch")
    row = connection.execute(f"SELECT {', '.join('next_' + k for k in kinds)} FROM master")
    return {kind: value - 1 for kind, value in zip(kinds, row.fetchone(), strict=True)}


def _copying(connection: sqlite3.Connection, table: str, ids: dict[str, int]) -> str:
    """The statement that makes the copies from number ? to number ?."""
    connection.execute(f"CREATE TEMP TABLE first_{table} AS SELECT * FROM {table}")
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    names = [name for name in names if f"{table}.{name}" not in GIVEN]
    values = ", ".join(_moved(table, name, ids) for name in names)
    return (
        f"WITH RECURSIVE copy(n, last) AS (SELECT ?, ? UNION ALL "
        f"SELECT n + 1, last FROM copy WHERE n < last) "
        f"INSERT INTO {table} ({', '.join(names)}) "
        f"SELECT {values} FROM copy CROSS JOIN first_{table}"
    )


def _moved(table: str, name: str, ids: dict[str, int]) -> str:
    if name == "request_id":
        return "request_id || '-' || n"
    kind = MOVED_BY.get(f"{table}.{name}") or MOVED_BY.get(name)
    if kind is None:
        return name
    return f"{name} + ({name} > 0) * n * {ids[kind]}"  # 0 is no dispatch


def history(homes: Homes, parameters: Parameters) -> Sample:
    """Commands as a person types them, from the process' start to its end; then work."""
    full = homes.full
    full.finish(loads.fan(1, "noop"))  # the newest one
    instance = homes.instances // 2 + 1
    task_id = full.client.show(instance)["tasks"][TENTH]["task_instance_id"]
    reads = {
        "ls": ("ls",),
        "show": ("show", str(instance)),
        "newest": ("show", "last"),
        "trace": ("debug", "trace", str(task_id)),
        "explain": ("explain", str(instance)),
        "logs": ("logs", f"1/t{TENTH}"),
    }
    sample = {name: _ms(full, *words) for name, words in reads.items()}
    full.run("down", "--wait", "0s")
    down = {f"{name}_down": _ms(full, *reads[name]) for name in ("ls", "show", "trace")}
    homes.empty.run("down", "--wait", "0s")
    return {
        **sample,
        **down,
        "up": _timed_ms(full.up),
        "up_empty": _timed_ms(homes.empty.up),
        **_working(full, parameters, ""),
        **_working(homes.empty, parameters, "_empty"),
    }


def _ms(cluster: Cluster, *words: str) -> float:
    return _timed_ms(lambda: cluster.run(*words))


def _timed_ms(action: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    action()
    return (time.perf_counter() - began_s) * 1_000


def _working(cluster: Cluster, parameters: Parameters, suffix: str) -> Sample:
    """The median submit, a fan-out, and the commits: 99 of 100 take no longer."""
    submits = []
    for _ in range(SUBMITS):
        began_s = time.perf_counter()
        instance = cluster.client.submit(loads.fan(1, "noop"))
        submits.append((time.perf_counter() - began_s) * 1_000)
        instance.check()
    commit_ms = _commit_ms(cluster)  # small ones until here
    began = time.time()
    end_time = cluster.finish(loads.fan(parameters["tasks"], "noop"))["end_time"]
    return {
        f"submit{suffix}": statistics.median(submits),
        f"commit{suffix}": commit_ms,
        f"rate{suffix}": parameters["tasks"] / elapsed_s(began, end_time),
    }


def _commit_ms(cluster: Cluster) -> float:
    rows = json.loads(cluster.run("debug", "mailboxes", "--json"))
    [storage] = [r for r in rows if (r["node"], r["actor"]) == ("master", "storage")]
    took: float = storage["commit_ms_p99"]
    return took if took > 0 else math.nan


def _read(name: str) -> Figure:
    return Figure(name, "ms", higher_is_better=False)


HISTORY_BENCH = Bench(
    name="history",
    question="What does a long history cost?",
    detail="Reads by the command line, from a process' start to its end, with the cluster up and "
    "down; `up` until it is ready; a submit, the slowest of 100 commits and tasks a second, each "
    "with the history and in an empty home beside it. The history is one workflow of 100 tasks, "
    "of which ten were tried twice, with its rows copied.",
    figures=(
        *map(_read, ("show", "newest", "ls", "trace", "explain", "logs")),
        *map(_read, ("show_down", "ls_down", "trace_down", "up", "up_empty")),
        *(
            Figure(f"{name}{suffix}", "ms", "fdatasync_us", higher_is_better=False)
            for name in ("submit", "commit")
            for suffix in ("", "_empty")
        ),
        *(Figure(f"rate{suffix}", "tasks/s", "round_trip_us") for suffix in ("", "_empty")),
    ),
    sample=history,
    parameters=(
        Parameter("rows", 1_000_000, "Task instances of the history.", low=TASKS, high=10_000_000),
        Parameter("tasks", 20_000, "Noops of the workflow, all independent."),
        WORKERS,
        SLOTS,
    ),
    setup=homes_of,
    example="--rows 1000 --tasks 200 --runs 1",
)
