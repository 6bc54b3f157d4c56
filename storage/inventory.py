"""What is in a database, for a bug report: its tables, and what happened last to what lives.

Nothing that a user or a task wrote is read.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from ..protocol.states import WORKFLOW_FINAL, Event, TaskState
from . import read_only
from .transaction import refusal

#: Of all of it; a million rows are counted in a tenth of it.
TIME_LIMIT_S = 5.0
STEPS_PER_LOOK = 20_000

#: Of an event: all but ``detail``, which may hold what a late callback said.
COLUMNS = (
    *("workflow_instance_id", "task_instance_id", "event_no", "event", "from_state", "to_state"),
    *("at", "actor", "attempt", "try_no", "failover_no", "worker", "boot", "dispatch_id"),
    *("callback_seq", "eligible_at", "host"),
)


def read(path: Path, events_max: int) -> dict[str, Any]:
    """``{"tables": {name: {"rows", "sql"}}, "events": […]}``, the newest events first.

    Raises:
        RefusedInState: newer, damaged, or it took too long. NotAllowed: not readable.
    """
    with closing(read_only.connect_read_only(path)) as connection:
        deadline_s = time.monotonic() + TIME_LIMIT_S
        connection.set_progress_handler(lambda: time.monotonic() > deadline_s, STEPS_PER_LOOK)
        try:
            return {"tables": _tables(connection), "events": _events(connection, events_max)}
        except sqlite3.Error as error:
            raise refusal(path, error) from error


def _tables(connection: sqlite3.Connection) -> dict[str, Any]:
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
    ).fetchall()
    tables = {}
    for name, sql in found:
        [(count,)] = connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()
        tables[name] = {"rows": count, "sql": sql}
    return tables


def _events(connection: sqlite3.Connection, events_max: int) -> list[dict[str, Any]]:
    final = ", ".join(str(int(state)) for state in sorted(WORKFLOW_FINAL))
    rows = connection.execute(
        f"SELECT {', '.join(COLUMNS)} FROM task_event WHERE workflow_instance_id IN "
        f"(SELECT id FROM workflow_instance WHERE state NOT IN ({final})) "
        "ORDER BY id DESC LIMIT ?",
        (events_max,),
    ).fetchall()
    return [_event(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def _event(row: dict[str, Any]) -> dict[str, Any]:
    states = {
        name: None if row[name] is None else TaskState(row[name]).name
        for name in ("from_state", "to_state")
    }
    return row | states | {"event": Event(row["event"]).name, "at": row["at"] / 1_000}
