"""Stored definitions as people's reads need them: the text, in parts, and the graph's nodes."""

import sqlite3
from typing import Any

from peewee import Select, fn

from .documents import GRAPH, VERSION, Node
from .listing import Row
from .models import WorkflowInstance, WorkflowVersion

#: Nodes of parsed graphs kept, about 150 B each: a watcher asks about the same few instances again
#: and again. The one asked about is kept whatever its size.
GRAPH_NODES_MAX = 50_000
#: Asked for with every page of an instance, so its text is made once.
DIGEST: str = (
    WorkflowInstance.select(WorkflowInstance.version_digest)
    .where(WorkflowInstance.id == 0)
    .sql()[0]
)
ALL_BYTES = 2**31 - 2  # what SQLite's substr counts with; more than a row takes


class Versions:
    """Reads through the connection of whoever reads, inside his snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._graphs: dict[str, list[Node]] = {}  # by digest; the oldest first
        self._nodes = 0  # of them all

    def find(self, workflow: str, workflow_instance_id: int, digest: str = "") -> Row | None:
        """The columns `documents.VERSION` of the version with that digest; of '', the newest of
        that name; of '', an instance's (0: the newest). None: there is none.
        """
        query = WorkflowVersion.select(*VERSION)
        if workflow and not digest:
            query = query.where(WorkflowVersion.name == workflow)
            return self._first(query.order_by(WorkflowVersion.number.desc()).limit(1))
        digest = digest or self._digest(workflow_instance_id)
        return self._first(query.where(WorkflowVersion.digest == digest))

    def text(self, version: Row, offset: int = 0, length: int = ALL_BYTES) -> bytes:
        """At most ``length`` bytes of its definition."""
        cut = fn.SUBSTR(WorkflowVersion.definition, min(offset, ALL_BYTES) + 1, length)
        query = WorkflowVersion.select(cut).where(WorkflowVersion.digest == version[-1])
        return bytes(self._one(query))

    def nodes(self, workflow_instance_id: int) -> list[Node]:
        """The nodes of an instance's version, in graph order."""
        digest = self._digest(workflow_instance_id)
        if digest not in self._graphs:
            definition = WorkflowVersion.select(WorkflowVersion.definition)
            text = self._one(definition.where(WorkflowVersion.digest == digest))
            self._graphs[digest] = GRAPH.decode(text).tasks
            self._nodes += len(self._graphs[digest])
            while self._nodes > GRAPH_NODES_MAX and len(self._graphs) > 1:
                self._nodes -= len(self._graphs.pop(next(iter(self._graphs))))
        return self._graphs[digest]

    def _digest(self, workflow_instance_id: int) -> str:
        """Of an instance (0: of the newest); empty where there is none."""
        if workflow_instance_id:
            row = self._connection.execute(DIGEST, (workflow_instance_id,)).fetchone()
        else:
            query = WorkflowInstance.select(WorkflowInstance.version_digest)
            row = self._first(query.order_by(WorkflowInstance.id.desc()).limit(1))
        return row[0] if row else ""

    def _one(self, query: Select) -> Any:
        row = self._first(query)
        assert row is not None, query.sql()
        return row[0]

    def _first(self, query: Select) -> Row | None:
        row: Row | None = self._connection.execute(*query.sql()).fetchone()
        return row
