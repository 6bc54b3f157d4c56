"""The SQL of the master's journal, prepared once from the structs of `protocol.rows`.

An image reaches its columns without a Python step per column: 2 to 4 µs a row, where a model's
``save`` takes 100. Columns are always named, because the tables have the key first.
"""

import sqlite3
from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec

from ..protocol.rows import (
    DeadLetter,
    IntentRow,
    Row,
    TaskAttempt,
    TaskEvent,
    TaskInstanceRow,
    Versioned,
    WorkerRow,
    WorkflowInstanceRow,
    WorkflowVersion,
)
from ..protocol.states import WORKFLOW_FINAL

#: Never changed after the insert. Updates leave them out: two are indexed, and setting them, even
#: to what they are, costs 1.3 µs a row.
SET_ONCE = frozenset({"id", "workflow_instance_id", "node"})

#: Rows of one INSERT. Between two steps of SQLite the interpreter lock is taken and given up: with
#: one row a step the thread that thinks and the one that stores stand in each other's way.
CHUNK = 128

Image = tuple[Any, ...]  # ``msgspec.structs.astuple`` of a row


class Statement(msgspec.Struct, frozen=True):
    """SQL for one row, the picking of its parameters from an image, and SQL for `CHUNK` rows."""

    sql: str
    pick: Callable[[Image], Image]
    chunk: str = ""

    def run(self, connection: sqlite3.Connection, images: list[Image]) -> int:
        """Write all images; returns how many rows that changed."""
        rows = list(map(self.pick, images))
        changed = first = 0
        while self.chunk and len(rows) - first >= CHUNK:
            values = list(chain.from_iterable(rows[first : first + CHUNK]))
            changed += connection.execute(self.chunk, values).rowcount
            first += CHUNK
        return changed + connection.executemany(self.sql, rows[first:]).rowcount


def statement(table: type[Row], sql: str, fields: list[str], chunk: str = "") -> Statement:
    """The statement that takes ``fields`` in this order.

    They are picked in Python (0.3 µs a row): numbered parameters (?1, ?3) would spare that, but
    Python 3.12.0 to 3.12.3 warns about each of them in each row.
    """
    pick = itemgetter(*(table.__struct_fields__.index(name) for name in fields))
    return Statement(sql, pick, chunk)


def columns(table: type[Row]) -> list[str]:
    """The columns of a struct's table in the struct's order: all fields but ``stored_no``."""
    return [field for field in table.__struct_fields__ if field != "stored_no"]


def quoted(names: list[str]) -> str:
    """A list of columns; quoted, because some (groups) are words of SQL."""
    return ", ".join(f'"{name}"' for name in names)


def insert(table: type[Row]) -> Statement:
    names = columns(table)
    row = f"({', '.join('?' * len(names))})"
    sql = f"INSERT INTO {table.TABLE} ({quoted(names)}) VALUES "
    return statement(table, sql + row, names, sql + ", ".join([row] * CHUNK))


def update(table: type[Versioned]) -> Statement:
    names = [name for name in columns(table) if name not in SET_ONCE]
    values = ", ".join(f'"{name}" = ?' for name in names)
    sql = f"UPDATE {table.TABLE} SET {values} WHERE id = ? AND event_no = ?"
    return statement(table, sql, [*names, "id", "stored_no"])


VERSIONED: tuple[type[Versioned], ...] = (WorkerRow, WorkflowInstanceRow, TaskInstanceRow)
UPDATE = {table: update(table) for table in VERSIONED}
APPENDED: tuple[type[Row], ...] = (TaskAttempt, TaskEvent, IntentRow, DeadLetter)
INSERT = {table: insert(table) for table in VERSIONED + APPENDED}
#: A version takes the next number of its name; one that is there already stays as it is.
INSERT[WorkflowVersion] = statement(
    WorkflowVersion,
    "INSERT INTO workflow_version (digest, name, definition, created_at, number) "
    "SELECT ?, ?, ?, ?, COALESCE(MAX(number), 0) + 1 FROM workflow_version WHERE name = ? "
    "ON CONFLICT (digest) DO NOTHING",
    ["digest", "name", "definition", "created_at", "name"],
)

DELETE: dict[type[Row], Statement] = {
    DeadLetter: Statement("DELETE FROM dead_letter WHERE id = ?", tuple)
}

#: What crashed a master twice.
PARKED = "SELECT id FROM workflow_instance WHERE attention != ''"
#: Keys that are heeded, the newest; a person has looked long before there are so many.
QUARANTINED_MAX = 10_000
QUARANTINED = "SELECT key FROM dead_letter WHERE key != '' ORDER BY id DESC LIMIT ?"

#: The first of each commit: takes the next number, and fences who is no longer the master.
FENCE = (
    "UPDATE master SET commit_no = ?, next_workflow_instance = ?, next_task_instance = ?, "
    "next_dispatch = ? WHERE id = ? AND epoch = ? AND commit_no = ? - 1"
)

#: The condition of the index workflow_instance_live; SQLite uses it for the very same words only.
LIVE = f"state NOT IN ({', '.join(str(int(state)) for state in sorted(WORKFLOW_FINAL))})"

#: Not of what has ended: that is not parked, and the letter would crash each life of the master.
REDELIVER = (
    "SELECT dead_letter.id, actor, sender, body FROM dead_letter JOIN workflow_instance "
    "ON workflow_instance.id = dead_letter.workflow_instance_id "
    f"WHERE dead_letter.key != '' AND attention = '' AND {LIVE} ORDER BY dead_letter.id"
)

#: Parking is a change of the instance's row like any other.
PARK = (
    "UPDATE workflow_instance SET attention = ?, event_no = event_no + 1 "
    f"WHERE id = ? AND attention = '' AND {LIVE}"
)


def select(table: type[Row], rest: str) -> tuple[type[Row], str]:
    return table, f"SELECT {quoted(columns(table))} FROM {table.TABLE} {rest}"


LOAD = {
    "instance": select(WorkflowInstanceRow, "WHERE id = ?"),
    "intent": select(IntentRow, "WHERE request_id = ?"),
    "live_instances": select(
        WorkflowInstanceRow, f"WHERE {LIVE} AND attention = '' AND id > ? ORDER BY id LIMIT ?"
    ),
    "task": select(TaskInstanceRow, "WHERE id = ?"),
    "task_named": select(TaskInstanceRow, "WHERE workflow_instance_id = ? AND name = ?"),
    "letter": select(DeadLetter, "WHERE id = ?"),
    "tasks_of": select(
        TaskInstanceRow, "WHERE workflow_instance_id = ? AND id > ? ORDER BY id LIMIT ?"
    ),
    "workers": select(WorkerRow, "ORDER BY id"),
    "version": select(WorkflowVersion, "WHERE digest = ?"),
}
DEFINITION = "SELECT definition FROM workflow_version WHERE digest = ?"
