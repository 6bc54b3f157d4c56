"""Stored definitions as people's reads need them: the text, in parts, and the graph's nodes."""

import sqlite3

from . import selects
from .documents import GRAPH, Node
from .listing import Row

#: Nodes of parsed graphs kept, about 150 B each: a watcher asks about the same few instances again
#: and again. The one asked about is kept whatever its size.
GRAPH_NODES_MAX = 50_000
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
        if workflow and not digest:
            return selects.NEWEST_VERSION.first(self._connection, name=workflow)
        digest = digest or self._digest(workflow_instance_id)
        return selects.VERSION_OF_DIGEST.first(self._connection, digest=digest)

    def text(self, version: Row, offset: int = 0, length: int = ALL_BYTES) -> bytes:
        """At most ``length`` bytes of its definition."""
        return self._text(version[-1], min(offset, ALL_BYTES), length)

    def nodes(self, workflow_instance_id: int) -> list[Node]:
        """The nodes of an instance's version, in graph order."""
        digest = self._digest(workflow_instance_id)
        if digest not in self._graphs:
            self._graphs[digest] = GRAPH.decode(self._text(digest, 0, ALL_BYTES)).tasks
            self._nodes += len(self._graphs[digest])
            while self._nodes > GRAPH_NODES_MAX and len(self._graphs) > 1:
                self._nodes -= len(self._graphs.pop(next(iter(self._graphs))))
        return self._graphs[digest]

    def _digest(self, workflow_instance_id: int) -> str:
        """Of an instance (0: of the newest); empty where there is none."""
        row = (
            selects.DIGEST_OF_INSTANCE.first(self._connection, instance=workflow_instance_id)
            if workflow_instance_id
            else selects.NEWEST_DIGEST.first(self._connection)
        )
        return row[0] if row else ""

    def _text(self, digest: str, offset: int, length: int) -> bytes:
        row = selects.DEFINITION_PART.first(
            self._connection, digest=digest, first=offset + 1, length=length
        )
        assert row is not None, digest
        return bytes(row[0])
