"""People's reads: committed rows as the JSON documents of DESIGN section 9.

Each has a connection of its own, read-only, with a time limit, so that no reading ever holds up a
turn or changes a row. Lists are paged by key, so that a page costs the same at any depth.
"""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..protocol.errors import RefusedInState
from ..protocol.states import TASK_FINAL, TaskState
from . import read_only, selects
from .changes import CHANGES_MAX, Changes
from .documents import (
    BODY,
    Node,
    dead_letter_document,
    event_document,
    last_words,
    part_document,
    task_document,
    version_document,
    waiting_document,
)
from .listing import Document, Row, instance_document
from .transaction import primary_code, refusal
from .versions import Versions

#: A person has given up by then, and a snapshot held longer lets the write-ahead log grow.
TIME_LIMIT_S = 2.0

#: Steps of SQLite's machine between looks at the clock: about 0.2 ms, and too few looks to cost.
STEPS_PER_LOOK = 20_000

#: Events of one task shown; a task has about three per attempt.
TRACE_EVENTS_MAX = 10_000

#: Of a row: SQLite's integers have 63 bits and a sign.
ID_MAX = 2**63 - 1

#: Nodes of one page of an instance: some 50 ms of reading.
PAGE_NODES_MAX = 2_000

#: The same of the page that tells an end: as many are awaited at the same time as a client has
#: requests under way, so all of them together are to fit the wire.
END_NODES_MAX = 200
END_BYTES = 64 * 1024

#: Of a page's tasks as JSON: with one more task (1 MiB of outputs at most) it fits one command.
PAGE_BYTES = 4 * 1024 * 1024


def _size(documents: list[Document]) -> int:
    return sum(len(msgspec.json.encode(document)) for document in documents)


class Queries:
    """Reads for people. Any thread may call, one at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None = None,
        time_limit_s: float = math.inf,
    ) -> None:
        """Read through ``connection``, such as that of a journal in memory."""
        self.connection = connection
        self.path = path
        self._time_limit_s = time_limit_s
        self._deadline_s = math.inf
        self._versions = Versions(connection)
        self._changes = Changes(connection, self._versions)
        self._answers: dict[str, Callable[..., Any]] = {
            "instance": self.instance,
            "instance_page": self.instance_page,
            "instances": self.instances,
            "definition_part": self.definition_part,
            "task_by_name": self.task_by_name,
            "trace": self.trace,
            "changes": self.changes,
            "ended": self.ended,
            "end": self.end,
            "progress": self.progress,
            "log_place": self.log_place,
            "dead_letters": self.dead_letters,
        }

    @classmethod
    def open(cls, path: Path, time_limit_s: float = TIME_LIMIT_S) -> "Queries":
        """Read the file, also while a master writes it; a file that is not there reads as empty.

        Raises:
            RefusedInState: newer or damaged. NotAllowed: not readable.
        """
        queries = cls(read_only.connect_read_only(path), path, time_limit_s)
        queries.connection.set_progress_handler(
            lambda: time.monotonic() > queries._deadline_s, STEPS_PER_LOOK
        )
        return queries

    def close(self) -> None:
        """Close the connection, and with it a journal's if it was given."""
        self.connection.close()

    def ask(self, name: str, key: tuple[Any, ...]) -> Any:
        """The document that the method ``name`` returns for the arguments ``key``.

        Raises:
            RefusedInState: it took longer than the time limit, or the database is damaged.
        """
        return self._answers[name](*key)

    def instance(self, workflow_instance_id: int) -> Document | None:
        """One instance with its tasks in graph order; id 0 is the newest. None: there is none."""
        with self._snapshot():
            found = self._instance(workflow_instance_id)
            if found is None:
                return None
            tasks = self._tasks(found[0], 0, len(self._graph(found[0])))
        return {**instance_document(found), "tasks": tasks}

    def _tasks(self, workflow_instance_id: int, first: int, end: int) -> list[Document]:
        """Those of the nodes from ``first`` to before ``end``."""
        rows = selects.TASKS_OF_NODES.rows(
            self.connection, instance=workflow_instance_id, first=first, end=end
        )
        by_node = {row[0]: task_document(row) for row in rows}
        nodes = enumerate(self._graph(workflow_instance_id)[first:end], first)
        return [by_node.get(place) or waiting_document(node) for place, node in nodes]

    def instance_page(self, workflow_instance_id: int, from_node: int) -> Document | None:
        """A piece of an instance that fits the wire, its tasks from node ``from_node`` on.

        ``instance`` without tasks, ``tasks``, and ``next_node`` to go on from, null at the end.
        """
        with self._snapshot():
            found = self._instance(workflow_instance_id)
            if found is None:
                return None
            return self._page(found, from_node, PAGE_NODES_MAX, PAGE_BYTES)

    def _page(self, found: Row, from_node: int, nodes_max: int, bytes_max: int) -> Document:
        total = len(self._graph(found[0]))
        first = min(from_node, total)  # a number from the wire, and a column has 63 bits
        tasks = self._tasks(found[0], first, min(first + nodes_max, total))
        size, count = 0, 0
        while count < len(tasks) and size < bytes_max:
            size += len(msgspec.json.encode(tasks[count]))
            count += 1
        return {
            "instance": instance_document(found),
            "tasks": tasks[:count],
            "next_node": first + count if first + count < total else None,
        }

    def instances(self, limit: int, before: int = 0) -> list[Document]:
        """At most ``limit`` instances without tasks, newest first, with ids below ``before``."""
        with self._snapshot():
            rows = selects.INSTANCES.rows(self.connection, before=before or ID_MAX, limit=limit)
        return [instance_document(row) for row in rows]

    def definition(self, workflow: str, workflow_instance_id: int = 0) -> Document | None:
        """The newest version of the workflow of that name; of '', an instance's (0: the newest)."""
        with self._snapshot():
            row = self._versions.find(workflow, workflow_instance_id)
            return version_document(row, self._versions.text(row)) if row else None

    def definition_part(
        self, workflow: str, workflow_instance_id: int, digest: str, offset: int
    ) -> Document | None:
        """As much of a definition as fits the wire, from byte ``offset`` on; its first part says by
        which digest the others are to be asked for, lest a newer version is gone on with.
        ``next_offset``: null at the end.
        """
        with self._snapshot():
            row = self._versions.find(workflow, workflow_instance_id, digest)
            if row is None:
                return None
            part = self._versions.text(row, offset, PAGE_BYTES)
        return part_document(row, part, offset + PAGE_BYTES if len(part) == PAGE_BYTES else None)

    def workflow_names(self, limit: int) -> list[str]:
        """At most ``limit`` names of registered workflows, sorted."""
        with self._snapshot():
            rows = selects.WORKFLOW_NAMES.rows(self.connection, limit=limit)
        return [name for (name,) in rows]

    def task_by_name(self, workflow_instance_id: int, name: str) -> Document | None:
        """One task of an instance (id 0: of the newest); None: no such instance or task."""
        with self._snapshot():
            found = self._instance(workflow_instance_id)
            if found is None:
                return None
            for place, node in enumerate(self._graph(found[0])):
                if node.name == name:
                    return self._tasks(found[0], place, place + 1)[0]
        return None

    def trace(self, task_instance_id: int) -> list[Document] | None:
        """The history of a task, oldest first; None: no such task.

        ``worker_time``: when it happened by the clock of the worker's machine, of a RUNNING and of
        the RESULT of an attempt that began.
        """
        with self._snapshot():
            rows = selects.EVENTS_OF_TASK.rows(
                self.connection, task=task_instance_id, limit=TRACE_EVENTS_MAX
            )
            times: dict[int, tuple[int | None, int | None]] = {}
            for read in (selects.TIMES_OF_ATTEMPTS, selects.TIMES_OF_TASK):
                found = read.rows(self.connection, task=task_instance_id)
                times |= {row[0]: row[1:] for row in found}
        return [event_document(row, times.get(row[6], (None, None))) for row in rows] or None

    def changes(
        self, workflow_instance_id: int, after: int, limit: int = CHANGES_MAX
    ) -> Document | None:
        """What happened to an instance (id 0: the newest) after the event id ``after``.

        ``instance`` without tasks; ``counts``: how many tasks are in each state, WAITING among
        them, none of 0; ``tasks``: those with an event among the next ``limit``, as they are now;
        ``last``: the id of the last such event, to go on from. None: no such instance. Fewer
        events than ``limit`` are looked at where the tasks' outputs would not fit the wire.
        """
        with self._snapshot():
            found = self._instance(workflow_instance_id)
            if found is None:
                return None
            page = self._changes.after(found, after, limit)
            while limit > 1 and _size(page["tasks"]) > PAGE_BYTES:
                limit = max(1, limit // 4)
                page = self._changes.after(found, after, limit)
        return page

    def ended(self, workflow_instance_id: int, after: int) -> Document | None:
        """As `changes`, of the instance alone."""
        with self._snapshot():
            found = self._instance(workflow_instance_id)
        if found is None:
            return None
        return {"instance": instance_document(found), "counts": {}, "tasks": [], "last": after}

    def end(self, workflow_instance_id: int, after: int) -> Document | None:
        """As `ended`; of one that has ended also its first tasks and the ``next_node`` of
        `instance_page`.
        """
        with self._snapshot():
            found = self._instance(workflow_instance_id)
            if found is None:
                return None
            page: Document = {"instance": instance_document(found), "tasks": [], "next_node": 0}
            if page["instance"]["end_time"] is not None:
                page = self._page(found, 0, END_NODES_MAX, END_BYTES)
        return {**page, "counts": {}, "last": after}

    def progress(self, workflow_instance_id: int, after: int) -> Document | None:
        """As `changes`, with the first tasks that failed instead of those that changed."""
        with self._snapshot():
            found = self._instance(workflow_instance_id)
            if found is None:
                return None
            return self._changes.progress(found, after)

    def log_place(self, task_instance_id: int, attempt: int) -> Document | None:
        """Which worker has the log of an attempt (0: the current one); None: no such attempt.

        ``worker`` is null while the attempt is not placed; ``live``: it has not ended; ``words``:
        what is shown where the log cannot be had, empty if nothing is known.
        """
        with self._snapshot():
            rows = selects.LOG_OF_TASK.rows(self.connection, task=task_instance_id)
            if not rows:
                return None
            workflow_instance_id, current, worker, tail, state = rows[0]
            live = TaskState(state) not in TASK_FINAL
            if attempt not in (0, current):
                earlier = selects.LOG_OF_ATTEMPT.rows(
                    self.connection, task=task_instance_id, attempt=attempt
                )
                if not earlier:
                    return None
                (worker, tail), live = earlier[0], False
        return {
            "worker": worker,
            "workflow_instance_id": workflow_instance_id,
            "attempt": attempt or current,
            "live": live,
            "words": last_words(worker, tail) if tail else "",
        }

    def dead_letters(self, limit: int, number: int = 0) -> list[Document]:
        """At most ``limit`` messages that nobody could take, newest first; or the one of that
        number, if it is there. Fewer where they would not fit the wire.
        """
        letters: list[Document] = []
        size = 0
        with self._snapshot():
            found = (
                selects.DEAD_LETTER_OF_ID.cursor(self.connection, number=number)
                if number
                else selects.DEAD_LETTERS.cursor(self.connection, limit=limit)
            )
            for row in found:
                size += len(row[BODY])
                if letters and size > PAGE_BYTES:
                    break
                letters.append(dead_letter_document(row))
        return letters

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Let all that is read inside be of one moment, and within the time limit."""
        self._deadline_s = time.monotonic() + self._time_limit_s
        try:
            self.connection.execute("BEGIN")
            yield
        except sqlite3.Error as error:
            if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
                raise RefusedInState(
                    f"reading {self.path} took longer than {self._time_limit_s:g} s; ask for less"
                ) from error
            raise refusal(self.path, error) from error
        finally:
            self._deadline_s = math.inf
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _instance(self, workflow_instance_id: int) -> Row | None:
        """The columns `documents.INSTANCE`; id 0 is the newest."""
        if not workflow_instance_id:
            return selects.NEWEST_INSTANCE.first(self.connection)
        return selects.INSTANCE_OF_ID.first(self.connection, instance=workflow_instance_id)

    def _graph(self, workflow_instance_id: int) -> list[Node]:
        """The nodes of an instance's version, in graph order."""
        return self._versions.nodes(workflow_instance_id)
