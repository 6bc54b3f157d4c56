"""What has become of an instance since somebody looked last, as documents for people."""

import sqlite3

from peewee import Select, fn

from ..protocol.states import WAITING, TaskState
from .documents import TASK, task_document
from .listing import Document, Row, instance_document
from .models import TaskEvent, TaskInstance
from .versions import Versions

#: Events covered by one answer to a watcher, who then asks for the next.
CHANGES_MAX = 1_000
#: Tasks that are told by name to who asks how far it is.
FAILED_MAX = 10
FAILED = (TaskState.FAILURE, TaskState.KILL, TaskState.NEED_FAULT_TOLERANCE)


class Changes:
    """Reads through the connection of whoever reads, inside his snapshot; ``found`` is a row of
    `documents.INSTANCE`.
    """

    def __init__(self, connection: sqlite3.Connection, versions: Versions) -> None:
        self._connection = connection
        self._versions = versions

    def after(self, found: Row, after: int, limit: int) -> Document:
        """Tasks with an event among the ``limit`` after the event ``after``."""
        of_instance = TaskEvent.workflow_instance_id == found[0]
        events = self._rows(
            TaskEvent.select(TaskEvent.id)
            .where(of_instance, TaskEvent.id > after)
            .order_by(TaskEvent.id)
            .limit(limit)
        )
        last = events[-1][0] if events else after
        changed = TaskEvent.select(TaskEvent.task_instance_id).where(
            of_instance, TaskEvent.id > after, TaskEvent.id <= last
        )
        tasks = TaskInstance.select(*TASK).where(TaskInstance.id.in_(changed))
        return self._page(found, tasks.order_by(TaskInstance.id), last)

    def progress(self, found: Row, after: int) -> Document:
        """The first tasks that failed."""
        tasks = TaskInstance.select(*TASK).where(
            TaskInstance.workflow_instance_id == found[0], TaskInstance.state.in_(FAILED)
        )
        return self._page(found, tasks.order_by(TaskInstance.id).limit(FAILED_MAX), after)

    def _page(self, found: Row, tasks: Select, last: int) -> Document:
        return {
            "instance": instance_document(found),
            "counts": self._counts(found[0]),
            "tasks": [task_document(row) for row in self._rows(tasks)],
            "last": last,
        }

    def _counts(self, workflow_instance_id: int) -> dict[str, int]:
        rows = self._rows(
            TaskInstance.select(TaskInstance.state, fn.COUNT(TaskInstance.id))
            .where(TaskInstance.workflow_instance_id == workflow_instance_id)
            .group_by(TaskInstance.state)
            .order_by(TaskInstance.state)
        )
        counts = {TaskState(state).name: count for state, count in rows}
        waiting = len(self._versions.nodes(workflow_instance_id)) - sum(counts.values())
        return counts | ({WAITING: waiting} if waiting else {})

    def _rows(self, query: Select) -> list[Row]:
        return self._connection.execute(*query.sql()).fetchall()
