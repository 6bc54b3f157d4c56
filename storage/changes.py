"""What has become of an instance since somebody looked last, as documents for people."""

import sqlite3

from ..protocol.states import WAITING, TaskState
from . import selects
from .documents import task_document
from .listing import Document, Row, instance_document
from .versions import Versions

#: Events covered by one answer to a watcher, who then asks for the next.
CHANGES_MAX = 1_000
#: Tasks that are told by name to who asks how far it is.
FAILED_MAX = 10


class Changes:
    """Reads through the connection of whoever reads, inside his snapshot; ``found`` is a row of
    `documents.INSTANCE`.
    """

    def __init__(self, connection: sqlite3.Connection, versions: Versions) -> None:
        self._connection = connection
        self._versions = versions

    def after(self, found: Row, after: int, limit: int) -> Document:
        """Tasks with an event among the ``limit`` after the event ``after``."""
        about = {"instance": found[0], "after": after}
        events = selects.EVENTS_AFTER.rows(self._connection, **about, limit=limit)
        last = events[-1][0] if events else after
        changed = selects.TASKS_CHANGED.rows(self._connection, **about, last=last)
        return self._page(found, changed, last)

    def progress(self, found: Row, after: int) -> Document:
        """The first tasks that failed."""
        failed = selects.TASKS_FAILED.rows(self._connection, instance=found[0], limit=FAILED_MAX)
        return self._page(found, failed, after)

    def _page(self, found: Row, tasks: list[Row], last: int) -> Document:
        return {
            "instance": instance_document(found),
            "counts": self._counts(found[0]),
            "tasks": [task_document(row) for row in tasks],
            "last": last,
        }

    def _counts(self, workflow_instance_id: int) -> dict[str, int]:
        rows = selects.TASKS_BY_STATE.rows(self._connection, instance=workflow_instance_id)
        counts = {TaskState(state).name: count for state, count in rows}
        waiting = len(self._versions.nodes(workflow_instance_id)) - sum(counts.values())
        return counts | ({WAITING: waiting} if waiting else {})
