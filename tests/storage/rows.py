"""Rows and batches for the tests; what a test does not name does not matter to it."""

from typing import Any

import msgspec

from stenella.protocol.rows import (
    Batch,
    Counters,
    Row,
    TaskAttempt,
    TaskEvent,
    TaskInstanceRow,
    Versioned,
    WorkerRow,
    WorkflowInstanceRow,
    WorkflowVersion,
)
from stenella.protocol.states import Event, TaskState, WorkflowState

WALL_MS = 1_764_000_000_250


def version(digest: str = "d1", name: str = "sales", *tasks: str) -> WorkflowVersion:
    nodes = [{"name": task, "depends_on": []} for task in tasks or ("a", "b", "c")]
    definition = msgspec.json.encode({"name": name, "tasks": nodes})
    return WorkflowVersion(digest=digest, name=name, definition=definition, created_at=WALL_MS)


def instance(id: int = 1, **fields: Any) -> WorkflowInstanceRow:
    given: dict[str, Any] = {
        "event_no": 1,
        "name": "sales",
        "version_digest": "d1",
        "state": WorkflowState.RUNNING_EXECUTION,
        "params": '{"day":"20260101"}',
        "startup": "[]",
        "submit_dir": None,
        "base_time": WALL_MS,
        "start_time": WALL_MS,
        "owner": 1,
        "owner_epoch": 1,
    }
    return WorkflowInstanceRow(id=id, **given | fields)


def task(id: int = 1, **fields: Any) -> TaskInstanceRow:
    given: dict[str, Any] = {
        "event_no": 1,
        "workflow_instance_id": 1,
        "node": id - 1,
        "name": "abc"[(id - 1) % 3],
        "type": "shell",
        "state": TaskState.SUBMITTED_SUCCESS,
        "submit_time": WALL_MS,
    }
    return TaskInstanceRow(id=id, **given | fields)


def event(task_instance_id: int = 1, **fields: Any) -> TaskEvent:
    given: dict[str, Any] = {
        "workflow_instance_id": 1,
        "event_no": 1,
        "event": Event.SUBMIT,
        "from_state": None,
        "to_state": TaskState.SUBMITTED_SUCCESS,
        "at": WALL_MS,
        "actor": "event_persister",
        "attempt": 1,
        "try_no": 1,
        "failover_no": 0,
        "worker": None,
        "boot": None,
        "dispatch_id": 0,
        "callback_seq": 0,
        "eligible_at": 0,
        "host": None,
    }
    return TaskEvent(task_instance_id=task_instance_id, **given | fields)


def earlier_attempt(task_instance_id: int = 1, **fields: Any) -> TaskAttempt:
    given: dict[str, Any] = {
        "attempt": 1,
        "state": TaskState.FAILURE,
        "worker": "w1",
        "dispatch_id": 1,
        "start_time": WALL_MS,
        "end_time": WALL_MS + 1,
        "host": "h",
        "pid": 7,
        "exit_code": 1,
        "reason": "exit_nonzero",
        "message": "it ended with 1",
        "outputs": "{}",
        "tail": "",
    }
    return TaskAttempt(task_instance_id=task_instance_id, **given | fields)


def worker(id: str = "w1", **fields: Any) -> WorkerRow:
    given: dict[str, Any] = {
        "event_no": 1,
        "boot": "b1",
        "life": 1,
        "kernel_boot": "k",
        "journal": "j",
        "groups": '["default"]',
        "slots": 2,
        "types": '["shell","noop"]',
        "version": "0",
        "pid": 9,
        "host": "h",
        "registered_at": WALL_MS,
    }
    return WorkerRow(id=id, **given | fields)


def batch(commit_no: int, *rows: Row, counters: Counters | None = None) -> Batch:
    """The master's batch of these rows; versioned ones by their ``stored_no``."""
    versioned: dict[type[Versioned], list[tuple[object, ...]]] = {}
    appended: dict[type[Row], list[tuple[object, ...]]] = {}
    for row in rows:
        if isinstance(row, Versioned):
            versioned.setdefault(type(row), []).append(msgspec.structs.astuple(row))
        else:
            appended.setdefault(type(row), []).append(msgspec.structs.astuple(row))
    return Batch(
        commit_no=commit_no,
        counters=counters or Counters(),
        versioned=versioned,
        appended=appended,
    )


def stored(row: Versioned) -> Versioned:
    """The row as it is loaded after it was written."""
    return msgspec.structs.replace(row, stored_no=row.event_no)
