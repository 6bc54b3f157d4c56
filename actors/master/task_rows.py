"""Rows of the event persister: made, changed and written, each change with its event.

Lowest of what the persister is made of (`task_rows`, `task_ends`, `placing`, `event_persister`):
each decides one matter and calls only what lies below. Nothing else writes a task instance's row.
"""

import json
from typing import Any

import msgspec

from ...protocol.commands import TaskExecuteResponse, TaskExecuteRunning
from ...protocol.rows import DeadLetter, TaskEvent, TaskInstanceRow
from ...protocol.states import TASK_TO_FAIL_OVER, Event, TaskState, fits
from ..base import Context
from ..deadlines import Deadlines
from .messages import InstanceTouched, Ready, TaskEnded
from .requests import Instance

T, E = TaskState, Event
ME = "event_persister"
#: By the code that a row stores; a lookup takes a tenth of what ``TaskState(code)`` does.
STATE = {state.value: state for state in TaskState}
#: Of a dead letter that is kept whole, so that it can be taken again.
SAID_BYTES_MAX = 256 * 1024
Callback = TaskExecuteRunning | TaskExecuteResponse


class Waiting:
    """A callback behind a load of its row."""

    def __init__(self, callback: Callback, peer: bytes, sender: str) -> None:
        self.callback, self.peer, self.sender = callback, peer, sender


class TaskRows:
    """Owns the rows of all tasks of live instances, and what waits for a time."""

    def __init__(self, master: int, epoch: int, kill_grace_ms: int, failover_max: int) -> None:
        self.master = master
        self.epoch = epoch
        self.kill_grace_ms = kill_grace_ms
        self.failover_max = failover_max
        self.instances: dict[int, Instance] = {}
        self.tasks: dict[int, TaskInstanceRow] = {}
        #: Worker → those of its rows that are DISPATCH or RUNNING, by task instance id.
        self.on_worker: dict[str, dict[int, TaskInstanceRow]] = {}
        self.waiting: dict[int, list[Waiting]] = {}  # task instance id → behind its load
        self.kept = Deadlines("lost_after")  # by task instance id: until when it may be
        self.touched: dict[int, None] = {}  # instances that changed in turn ``touched_in``
        self.touched_in = 0
        #: By task instance id: ends of delays, and of time limits that are to be told.
        self.deadlines = Deadlines("deadline")

    def _load(self, task_instance_id: int, ctx: Context) -> None:
        if task_instance_id not in self.waiting:
            self.waiting[task_instance_id] = []
            ctx.load("task", task_instance_id)

    def _new_row(
        self, workflow_instance_id: int, node: int, state: TaskState, ctx: Context
    ) -> TaskInstanceRow:
        instance = self.instances[workflow_instance_id]
        version = instance.version
        row = TaskInstanceRow(
            id=ctx.new_id("task_instance"),
            workflow_instance_id=workflow_instance_id,
            node=node,
            name=version.graph.names[node],
            type=version.task(node).type,
            state=state,
            submit_time=ctx.wall_ms,
        )
        self.tasks[row.id] = instance.rows[node] = row
        return row

    def _ready(self, row: TaskInstanceRow, **more: int) -> Ready:
        instance = self.instances[row.workflow_instance_id]
        group, level = instance.task(row).worker_group, instance.level_of(row)
        return Ready(row.id, group, row.type, level, **more)

    def _is_on_worker(self, row: TaskInstanceRow) -> None:
        """Whatever ends that is written by `_record`, which takes it out again."""
        assert row.worker is not None
        self.on_worker.setdefault(row.worker, {})[row.id] = row

    def _is_heard_of(self, row: TaskInstanceRow) -> None:
        """It is not, or no longer, where nobody can see it."""
        if row.unreachable_at is not None:
            row.unreachable_at, row.message = None, ""
            self.kept.cancel(row.id)

    def _record(
        self,
        row: TaskInstanceRow,
        event: Event,
        before: TaskState | None,
        ctx: Context,
        *,
        actor: str = ME,
        detail: str = "",
    ) -> None:
        """Write the changed row and its event; a change that is not in the table is our bug."""
        assert fits(before, event, row.state), (before, event, row.state)
        if row.state in TASK_TO_FAIL_OVER:
            if before not in TASK_TO_FAIL_OVER:
                self._is_on_worker(row)
        elif before in TASK_TO_FAIL_OVER:
            assert row.worker is not None
            del self.on_worker[row.worker][row.id]
        row.state = int(row.state)  # to store an enum takes sqlite3 a microsecond more
        ctx.write(row)
        self._append_event(row, event, before, ctx, actor=actor, detail=detail)

    def _append_event(
        self,
        row: TaskInstanceRow,
        event: Event,
        before: TaskState | None,
        ctx: Context,
        *,
        actor: str = ME,
        detail: str = "",
    ) -> None:
        ctx.append(
            TaskEvent(
                row.id,
                row.workflow_instance_id,
                row.event_no,
                int(event),
                None if before is None else int(before),
                row.state,
                ctx.wall_ms,
                actor,
                row.attempt,
                row.try_no,
                row.failover_no,
                row.worker,
                row.boot,
                row.dispatch_id,
                row.seq,
                row.eligible_at,
                row.host,
                detail,
            )
        )
        self._touch(row.workflow_instance_id, ctx)

    def _touch(self, workflow_instance_id: int, ctx: Context) -> None:
        """Once per turn is enough for those who watch it."""
        if self.touched_in != ctx.turn_no:
            self.touched_in, self.touched = ctx.turn_no, {}
        if workflow_instance_id not in self.touched:
            self.touched[workflow_instance_id] = None
            ctx.tell("gateway", InstanceTouched(workflow_instance_id))

    def _tell_ended(self, row: TaskInstanceRow, ctx: Context) -> None:
        self.deadlines.cancel(row.id)
        self.kept.cancel(row.id)
        ctx.tell(
            "workflow_executor",
            TaskEnded(
                row.workflow_instance_id,
                row.id,
                row.node,
                STATE[row.state],
                row.reason,
                row.try_no,
                row.failover_no,
                row.kill_reason is not None,
            ),
        )

    def _bury(self, what: Any, sender: str, reason: str, ctx: Context) -> None:
        ctx.append(
            DeadLetter(at=ctx.wall_ms, actor=ME, sender=sender, reason=reason, body=said(what))
        )


def said(what: Any) -> str:
    """A message or row as JSON for people; bounded, whatever a peer put in."""
    if isinstance(what, Callback):
        body = msgspec.json.encode(what)
        if len(body) <= SAID_BYTES_MAX:
            return body.decode()
    return json.dumps({type(what).__name__: repr(what)[:2_000]})
