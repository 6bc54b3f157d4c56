"""What the database says of a load's tasks, read beside the master: latencies, losses, doubles."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..protocol.states import WORKFLOW_FINAL, TaskState, WorkflowState
from ..storage.read_only import connect_read_only

FINAL = ", ".join(str(int(state)) for state in sorted(WORKFLOW_FINAL))


class Begun(NamedTuple):
    """A task that has begun, times in epoch ms."""

    workflow_instance_id: int
    ready_ms: int
    start_ms: int


class Rows:
    """Committed rows of the database at ``path``."""

    def __init__(self, path: Path) -> None:
        self._connection: sqlite3.Connection = connect_read_only(path)

    def close(self) -> None:
        self._connection.close()

    def newest_task(self) -> int:
        """The highest id of a task instance; 0: there is none."""
        [[number]] = self._connection.execute("SELECT max(id) FROM task_instance")
        return number or 0

    def begun(self, after: int, last: int) -> Iterator[Begun]:
        """Task instances with ids above ``after``, up to ``last``, that have begun."""
        sql = (
            "SELECT workflow_instance_id, submit_time, start_time FROM task_instance "
            "WHERE id > ? AND id <= ? AND start_time IS NOT NULL"
        )
        for row in self._connection.execute(sql, (after, last)):
            yield Begun(*row)

    def live(self) -> int:
        """Workflow instances that have not ended."""
        sql = f"SELECT count(*) FROM workflow_instance WHERE state NOT IN ({FINAL})"
        [[number]] = self._connection.execute(sql)
        return int(number)

    def last_end_ms(self, after: int) -> int:
        """When the last of the instances with ids above ``after`` ended."""
        sql = "SELECT max(end_time) FROM workflow_instance WHERE id > ?"
        [[number]] = self._connection.execute(sql, (after,))
        return int(number)

    def newest_instance(self) -> int:
        [[number]] = self._connection.execute("SELECT max(id) FROM workflow_instance")
        return number or 0

    def account(self, ledger: Path, after: int) -> dict[str, Any]:
        """Of instances above ``after``: how many, what did not go well, and what was lost.

        ``doubled`` tasks ran twice: their number is in ``ledger`` twice, or they have a second
        attempt. ``lost`` ones are SUCCESS and never ran.
        """
        instances = "SELECT count(*), sum(state = ?) FROM workflow_instance WHERE id > ?"
        [[count, well]] = self._connection.execute(instances, (int(WorkflowState.SUCCESS), after))
        tasks = (
            "SELECT id, type, state, attempt FROM task_instance "
            "WHERE workflow_instance_id > ? ORDER BY id"
        )
        written: Counter[int] = Counter()
        if ledger.exists():
            with ledger.open() as lines:
                written.update(map(int, lines))
        found = {"tasks": 0, "tasks_failed": 0, "lost": 0, "doubled": 0}
        for number, kind, state, attempt in self._connection.execute(tasks, (after,)):
            found["tasks"] += 1
            found["tasks_failed"] += state != TaskState.SUCCESS
            if kind == "shell":
                found["lost"] += not written[number]
                found["doubled"] += written[number] > 1 or attempt > 1
            else:
                found["doubled"] += attempt > 1
        return {"instances": count, "instances_failed": count - (well or 0), **found}
