"""Rows of the master's database as the JSON documents of DESIGN section 9.

Each document stands beside the columns it is made of. Times are epoch seconds; what is unknown or
empty is null, but outputs and params are always objects.
"""

import msgspec

from ..protocol.states import WAITING, Event, TaskState
from .listing import Document, Row, seconds
from .models import DeadLetter, TaskEvent, TaskInstance, WorkflowInstance, WorkflowVersion


class Node(msgspec.Struct, frozen=True, gc=False):
    """What is read of a task in a stored definition."""

    name: str
    type: str = "shell"  # `workflow.definition` leaves out what is the default


class Graph(msgspec.Struct):
    tasks: list[Node]


GRAPH = msgspec.json.Decoder(Graph)

#: Read by `listing.instance_document`.
INSTANCE = (
    WorkflowInstance.id,
    WorkflowInstance.name,
    WorkflowVersion.number,
    WorkflowInstance.state,
    WorkflowInstance.params,
    WorkflowInstance.dry_run,
    WorkflowInstance.start_time,
    WorkflowInstance.end_time,
    WorkflowInstance.reason,
    WorkflowInstance.message,
    WorkflowInstance.priority,
    WorkflowInstance.timeout_at,
    WorkflowInstance.warned_at,
    WorkflowInstance.attention,
)

VERSION = (WorkflowVersion.name, WorkflowVersion.number, WorkflowVersion.digest)


def version_document(row: Row, definition: bytes) -> Document:
    name, number, _ = row
    return {
        "workflow": name,
        "version": number,
        "definition": definition.decode(),  # canonical JSON: its digest is of these bytes
    }


def part_document(row: Row, part: bytes, next_offset: int | None) -> Document:
    name, number, digest = row
    return {
        "workflow": name,
        "version": number,
        "digest": digest,
        "part": part,
        "next_offset": next_offset,
    }


TASK = (
    TaskInstance.node,
    TaskInstance.id,
    TaskInstance.name,
    TaskInstance.type,
    TaskInstance.state,
    TaskInstance.attempt,
    TaskInstance.host,
    TaskInstance.worker,
    TaskInstance.pid,
    TaskInstance.start_time,
    TaskInstance.end_time,
    TaskInstance.exit_code,
    TaskInstance.outputs,
    TaskInstance.reason,
    TaskInstance.message,
    TaskInstance.eligible_at,
    TaskInstance.timeout_at,
    TaskInstance.warned_at,
)


def task_document(row: Row) -> Document:
    (_, task_instance_id, name, task_type, state, attempt, host, worker, pid) = row[:9]
    (start_time, end_time, exit_code, outputs, reason, message) = row[9:15]
    (eligible_at, timeout_at, warned_at) = row[15:]
    return {
        "task_instance_id": task_instance_id,
        "name": name,
        "type": task_type,
        "state": TaskState(state).name,
        "attempt": attempt,
        "host": host,
        "worker": worker,
        "pid": pid or None,
        "start_time": seconds(start_time),
        "end_time": seconds(end_time),
        "exit_code": exit_code,
        "outputs": msgspec.json.decode(outputs),
        "reason": reason or None,
        "message": message or None,
        "eligible_at": seconds(eligible_at or None),
        "timeout_at": seconds(timeout_at or None),
        "warned_at": seconds(warned_at),
    }


def last_words(worker: str, tail: str) -> str:
    """What came with an attempt's result, as a log of which no more can be had."""
    return f"stenella: the log is on {worker}, out of reach; it ended so:\n{tail}\n"


def waiting_document(node: Node) -> Document:
    """A node that is not eligible yet has no row."""
    return {
        "task_instance_id": None,
        "name": node.name,
        "type": node.type,
        "state": WAITING,
        "attempt": 0,
        "host": None,
        "worker": None,
        "pid": None,
        "start_time": None,
        "end_time": None,
        "exit_code": None,
        "outputs": {},
        "reason": None,
        "message": None,
        "eligible_at": None,
        "timeout_at": None,
        "warned_at": None,
    }


EVENT = (
    TaskEvent.event_no,
    TaskEvent.event,
    TaskEvent.from_state,
    TaskEvent.to_state,
    TaskEvent.at,
    TaskEvent.actor,
    TaskEvent.attempt,
    TaskEvent.dispatch_id,
    TaskEvent.callback_seq,
    TaskEvent.host,
    TaskEvent.worker,
    TaskEvent.detail,
)


def event_document(row: Row, began_and_ended: tuple[int | None, int | None]) -> Document:
    (event_no, event, before, after, at, actor, attempt) = row[:7]
    (dispatch_id, callback_seq, host, worker, detail) = row[7:]
    began, ended = began_and_ended
    by_worker = {Event.RUNNING: began, Event.RESULT: ended if began is not None else None}
    is_late = event == Event.RESULT and after in (before, None)
    return {
        "event_no": event_no,
        "event": Event(event).name,
        "from": None if before is None else TaskState(before).name,
        "to": None if after is None else TaskState(after).name,
        "at": seconds(at),
        "actor": actor,
        "attempt": attempt,
        "dispatch_id": dispatch_id or None,
        "callback_seq": callback_seq or None,
        "host": host,
        "worker": worker,
        "worker_time": None if is_late else seconds(by_worker.get(Event(event))),
        "detail": detail or None,
    }


DEAD_LETTER = (
    DeadLetter.id,
    DeadLetter.at,
    DeadLetter.actor,
    DeadLetter.sender,
    DeadLetter.reason,
    DeadLetter.body,
    DeadLetter.key,
    DeadLetter.workflow_instance_id,
)


BODY = [field.name for field in DEAD_LETTER].index("body")


def dead_letter_document(row: Row) -> Document:
    row_id, at, actor, sender, reason, body, key, workflow_instance_id = row
    return {
        "id": row_id,
        "at": seconds(at),
        "actor": actor,
        "sender": sender,
        "reason": reason,
        "workflow_instance_id": workflow_instance_id or None,
        "quarantined": bool(key),
        "body": msgspec.json.decode(body),
    }
