"""The SELECTs of people's reads, written with the models and turned into SQL once each.

peewee needs half a millisecond to make the SQL of such a query, most of them run in less. So a
query is made when it is first asked, with names where its values go, and its text is kept.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from peewee import SQL, Select, fn

from ..protocol.states import TaskState
from .documents import DEAD_LETTER, EVENT, INSTANCE, TASK, VERSION
from .listing import Row
from .models import (
    DeadLetter,
    TaskAttempt,
    TaskEvent,
    TaskInstance,
    WorkflowInstance,
    WorkflowVersion,
)

FAILED = (TaskState.FAILURE, TaskState.KILL, TaskState.NEED_FAULT_TOLERANCE)


class Read:
    """A SELECT; its `given` values come as keywords with each call."""

    def __init__(self, build: Callable[[], Select]) -> None:
        self._build = build
        self._sql = ""

    def cursor(self, connection: sqlite3.Connection, **values: Any) -> sqlite3.Cursor:
        """Run it; rows are read one by one."""
        if not self._sql:
            self._sql, fixed = self._build().sql()
            assert not fixed, f"{self._sql}: all values have names, not {fixed}"
        return connection.execute(self._sql, values)

    def rows(self, connection: sqlite3.Connection, **values: Any) -> list[Row]:
        """All of them."""
        return self.cursor(connection, **values).fetchall()

    def first(self, connection: sqlite3.Connection, **values: Any) -> Row | None:
        """The first; None: there is none."""
        row: Row | None = self.cursor(connection, **values).fetchone()
        return row


def given(name: str) -> SQL:
    """Where the value of that name goes."""
    return SQL(f":{name}")


def _instances() -> Select:
    return (
        WorkflowInstance.select(*INSTANCE)
        .join(WorkflowVersion, on=(WorkflowInstance.version_digest == WorkflowVersion.digest))
        .order_by(WorkflowInstance.id.desc())
    )


def _newest(query: Select) -> Select:
    """Its first row. The number is text: as a number it would be a value without a name."""
    return query.limit(SQL("1"))


# --- instances ----------------------------------------------------------------------------------

INSTANCES = Read(
    lambda: _instances().where(WorkflowInstance.id < given("before")).limit(given("limit"))
)
NEWEST_INSTANCE = Read(lambda: _newest(_instances()))
INSTANCE_OF_ID = Read(lambda: _instances().where(WorkflowInstance.id == given("instance")))

# --- versions -----------------------------------------------------------------------------------

NEWEST_VERSION = Read(
    lambda: _newest(
        WorkflowVersion.select(*VERSION)
        .where(WorkflowVersion.name == given("name"))
        .order_by(WorkflowVersion.number.desc())
    )
)
VERSION_OF_DIGEST = Read(
    lambda: WorkflowVersion.select(*VERSION).where(WorkflowVersion.digest == given("digest"))
)
NEWEST_DIGEST = Read(
    lambda: _newest(
        WorkflowInstance.select(WorkflowInstance.version_digest).order_by(
            WorkflowInstance.id.desc()
        )
    )
)
DIGEST_OF_INSTANCE = Read(
    lambda: WorkflowInstance.select(WorkflowInstance.version_digest).where(
        WorkflowInstance.id == given("instance")
    )
)
DEFINITION_PART = Read(
    lambda: WorkflowVersion.select(
        fn.SUBSTR(WorkflowVersion.definition, given("first"), given("length"))
    ).where(WorkflowVersion.digest == given("digest"))
)
WORKFLOW_NAMES = Read(
    lambda: (
        WorkflowVersion.select(WorkflowVersion.name)
        .distinct()
        .order_by(WorkflowVersion.name)
        .limit(given("limit"))
    )
)

# --- tasks --------------------------------------------------------------------------------------

TASKS_OF_NODES = Read(
    lambda: TaskInstance.select(*TASK).where(
        TaskInstance.workflow_instance_id == given("instance"),
        TaskInstance.node >= given("first"),
        TaskInstance.node < given("end"),
    )
)
TASKS_CHANGED = Read(
    lambda: (
        TaskInstance.select(*TASK)
        .where(
            TaskInstance.id.in_(
                TaskEvent.select(TaskEvent.task_instance_id).where(
                    TaskEvent.workflow_instance_id == given("instance"),
                    TaskEvent.id > given("after"),
                    TaskEvent.id <= given("last"),
                )
            )
        )
        .order_by(TaskInstance.id)
    )
)
TASKS_FAILED = Read(
    lambda: (
        TaskInstance.select(*TASK)
        .where(
            TaskInstance.workflow_instance_id == given("instance"),
            TaskInstance.state.in_([SQL(str(int(state))) for state in FAILED]),
        )
        .order_by(TaskInstance.id)
        .limit(given("limit"))
    )
)
TASKS_BY_STATE = Read(
    lambda: (
        TaskInstance.select(TaskInstance.state, fn.COUNT(TaskInstance.id))
        .where(TaskInstance.workflow_instance_id == given("instance"))
        .group_by(TaskInstance.state)
        .order_by(TaskInstance.state)
    )
)
LOG_OF_TASK = Read(
    lambda: TaskInstance.select(
        TaskInstance.workflow_instance_id,
        TaskInstance.attempt,
        TaskInstance.worker,
        TaskInstance.tail,
        TaskInstance.state,
    ).where(TaskInstance.id == given("task"))
)
LOG_OF_ATTEMPT = Read(
    lambda: TaskAttempt.select(TaskAttempt.worker, TaskAttempt.tail).where(
        TaskAttempt.task_instance_id == given("task"), TaskAttempt.attempt == given("attempt")
    )
)

# --- what happened ------------------------------------------------------------------------------

EVENTS_AFTER = Read(
    lambda: (
        TaskEvent.select(TaskEvent.id)
        .where(TaskEvent.workflow_instance_id == given("instance"), TaskEvent.id > given("after"))
        .order_by(TaskEvent.id)
        .limit(given("limit"))
    )
)
EVENTS_OF_TASK = Read(
    lambda: (
        TaskEvent.select(*EVENT)
        .where(TaskEvent.task_instance_id == given("task"))
        .order_by(TaskEvent.id)
        .limit(given("limit"))
    )
)
TIMES_OF_ATTEMPTS = Read(
    lambda: TaskAttempt.select(
        TaskAttempt.attempt, TaskAttempt.start_time, TaskAttempt.end_time
    ).where(TaskAttempt.task_instance_id == given("task"))
)
TIMES_OF_TASK = Read(
    lambda: TaskInstance.select(
        TaskInstance.attempt, TaskInstance.start_time, TaskInstance.end_time
    ).where(TaskInstance.id == given("task"))
)
DEAD_LETTERS = Read(
    lambda: DeadLetter.select(*DEAD_LETTER).order_by(DeadLetter.id.desc()).limit(given("limit"))
)
DEAD_LETTER_OF_ID = Read(
    lambda: DeadLetter.select(*DEAD_LETTER).where(DeadLetter.id == given("number"))
)
