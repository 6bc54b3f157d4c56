"""The newest instances of a home's database, read without peewee: what `ls` shows in 150 ms.

Anything that is not as expected is left to `queries`, which says what is wrong with a database.
"""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from ..protocol.states import PRIORITIES, WorkflowState

Document = dict[str, Any]
Row = tuple[Any, ...]

#: A writer holds its lock for a commit only.
BUSY_TIMEOUT_S = 2.0
#: What `instance_document` is made of; a test compares it with the models.
COLUMNS = (
    "workflow_instance.id",
    "workflow_instance.name",
    "workflow_version.number",
    "workflow_instance.state",
    "workflow_instance.params",
    "workflow_instance.dry_run",
    "workflow_instance.start_time",
    "workflow_instance.end_time",
    "workflow_instance.reason",
    "workflow_instance.message",
    "workflow_instance.priority",
    "workflow_instance.timeout_at",
    "workflow_instance.warned_at",
    "workflow_instance.attention",
)
INSTANCES = (
    f"SELECT {', '.join(COLUMNS)} FROM workflow_instance JOIN workflow_version "
    "ON workflow_instance.version_digest = workflow_version.digest "
)
NEWEST = f"{INSTANCES} ORDER BY workflow_instance.id DESC LIMIT ?"


def newest(path: Path, limit: int) -> list[Document] | None:
    """At most ``limit`` instances, newest first; None: `queries` must look at this database."""
    if not path.exists():
        return []
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S
        )
        try:
            rows = connection.execute(NEWEST, (limit,)).fetchall()
        finally:
            connection.close()
        return [instance_document(row) for row in rows]
    except (sqlite3.Error, ValueError, LookupError, msgspec.MsgspecError):
        return None


def instance_document(row: Row) -> Document:
    (instance_id, name, number, state, params, dry_run, start_time, end_time) = row[:8]
    (reason, message, priority, timeout_at, warned_at, attention) = row[8:]
    return {
        "workflow_instance_id": instance_id,
        "workflow": name,
        "version": number,
        "state": WorkflowState(state).name,
        "params": msgspec.json.decode(params),
        "dry_run": bool(dry_run),
        "start_time": seconds(start_time),
        "end_time": seconds(end_time),
        "reason": reason or None,
        "message": message or None,
        "priority": PRIORITIES[priority],
        "timeout_at": seconds(timeout_at or None),
        "warned_at": seconds(warned_at),
        "attention": attention or None,
    }


def seconds(wall_ms: int | None) -> float | None:
    return None if wall_ms is None else wall_ms / 1_000
