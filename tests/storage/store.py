"""A database as both sides of it see it."""

from stenella.protocol.rows import Row
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries

from .rows import batch


class Store:
    """A journal that is written, and the queries that read it."""

    def __init__(self, journal: Journal, queries: Queries) -> None:
        self.journal, self.queries = journal, queries
        self.commits = 0

    def write(self, *rows: Row) -> None:
        self.commits += 1
        self.journal.commit(batch(self.commits, *rows))
