"""The worker's journal: what a worker must know again after it was killed.

A small SQLite file of three tables (`JournalNode`, `JournalAttempt`, `JournalCallback`), by the
standard library alone: a worker without peewee is 9 MB smaller.
"""

import sqlite3
from pathlib import Path
from typing import Any

from ..protocol.errors import RefusedInState, StenellaError
from ..protocol.rows import (
    Batch,
    CommitFinal,
    CommitTransient,
    JournalAttempt,
    JournalCallback,
    JournalNode,
    Row,
)
from .transaction import BUSY_TIMEOUT_MS, classified, primary_code, refusal, transaction

#: In ``PRAGMA user_version``; a change of the tables below raises it.
VERSION = 1

#: Columns in the structs' order, so that an image is its row.
TABLES = (
    """CREATE TABLE node (
        id INTEGER PRIMARY KEY, journal TEXT NOT NULL, cluster TEXT NOT NULL,
        life INTEGER NOT NULL, epoch INTEGER NOT NULL, place INTEGER NOT NULL)""",
    """CREATE TABLE attempt (
        dispatch_id INTEGER PRIMARY KEY, task_instance_id INTEGER NOT NULL,
        workflow_instance_id INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
        life INTEGER NOT NULL, type TEXT NOT NULL, outputs TEXT NOT NULL, required TEXT NOT NULL,
        phase TEXT NOT NULL, log TEXT NOT NULL, start_time INTEGER, pid INTEGER NOT NULL,
        kill_reason TEXT)""",
    """CREATE TABLE callback (
        key TEXT PRIMARY KEY, dispatch_id INTEGER NOT NULL, seq INTEGER NOT NULL,
        body BLOB NOT NULL) WITHOUT ROWID""",
)

#: Reads, whole tables in order: a journal holds what is running or unacknowledged, no more.
LOAD: dict[str, tuple[type[Row], str]] = {
    "node": (JournalNode, "id"),
    "attempts": (JournalAttempt, "dispatch_id"),
    "callbacks": (JournalCallback, "dispatch_id, seq"),
}


class JournalDamaged(Exception):
    """The file is not a journal, or no longer: set it aside (`set_aside`) and begin another."""


class WorkerJournal:
    """The journal, open. Any thread may call, one at a time."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path | None = None, full: bool = False
    ) -> None:
        self.connection = connection
        self._path, self._full = path, full

    @classmethod
    def open(cls, path: Path | None, full: bool) -> "WorkerJournal":
        """Open the journal, made if it is not there; None: in memory.

        ``full``: each commit survives a power cut, for an fsync each; else the process's death.

        Raises:
            JournalDamaged: as its class says; the file is left as it is.
            RefusedInState: newer or locked, or the disk is full. NotAllowed: it cannot be written.
        """
        connection = None
        try:
            connection = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=BUSY_TIMEOUT_MS / 1_000,
                isolation_level=None,
                check_same_thread=False,
            )
            _prepare(connection, path, full)
        except (sqlite3.Error, JournalDamaged, RefusedInState) as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, sqlite3.Error):
                raise
            if primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise JournalDamaged(f"{path}: {error}") from error
            raise refusal(path, error) from error
        return cls(connection, path, full)

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction; writing it twice is the same as once.

        Raises:
            CommitTransient: nothing is stored; the same batch may succeed later.
            CommitUnknown: `reconnect`, then the same batch.
            CommitFinal: nothing is stored, and the worker must end.
        """
        assert not batch.versioned, "a worker's rows are put and deleted"
        assert not batch.appended, "a worker's rows are put and deleted"
        with transaction(self.connection):
            for table, images in batch.put.items():
                marks = ", ".join("?" * len(table.__struct_fields__))
                sql = f"INSERT OR REPLACE INTO {table.TABLE} VALUES ({marks})"
                self.connection.executemany(sql, images)
            for table, keys in batch.deleted.items():
                sql = f"DELETE FROM {table.TABLE} WHERE {table.KEY} = ?"
                self.connection.executemany(sql, ((key,) for key in keys))

    def reconnect(self) -> None:
        """After `CommitUnknown`; the same batch then says the same again.

        Raises:
            CommitTransient: it cannot be opened now. CommitFinal: it is damaged.
        """
        if self._path is None:
            return  # there is no other connection to what is in memory
        try:
            self.connection.close()
            self.connection = WorkerJournal.open(self._path, self._full).connection
        except JournalDamaged as error:
            raise CommitFinal(str(error)) from error
        except (sqlite3.Error, StenellaError) as error:
            raise CommitTransient(f"the journal cannot be opened again: {error}") from error

    def load(self, name: str, key: tuple[Any, ...] = ()) -> list[Any]:
        """All rows of ``node``, ``attempts`` (by dispatch) or ``callbacks`` (by dispatch, seq).

        Raises:
            CommitTransient, CommitFinal: as `commit`.
        """
        assert not key, (name, key)
        table, order = LOAD[name]
        fields = table.__struct_fields__
        with classified():
            rows = self.connection.execute(f"SELECT * FROM {table.TABLE} ORDER BY {order}")
            return [table(**dict(zip(fields, row, strict=True))) for row in rows]

    def close(self) -> None:
        """Close the journal; what was committed stays."""
        self.connection.close()


def _prepare(connection: sqlite3.Connection, path: Path | None, full: bool) -> None:
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    if version > VERSION:
        raise RefusedInState(
            f"{path} is of a newer version of stenella (journal {version}, known {VERSION}); "
            "install that version to use it"
        )
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute(f"PRAGMA synchronous = {'full' if full else 'normal'}")
    [(verdict,), *_] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise JournalDamaged(f"{path}: {verdict}")
    if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    for row, _ in LOAD.values():
        columns = connection.execute(f"PRAGMA table_info({row.TABLE})").fetchall()
        if [column[1] for column in columns] != list(row.__struct_fields__):
            raise JournalDamaged(f"{path}: table {row.TABLE} is missing or has other columns")


def set_aside(path: Path) -> Path:
    """Rename a closed journal, with its log, out of the way; returns its new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    # The database first: after a crash in between, SQLite removes a log without database, but it
    # would take a database without its log for an older, sound one.
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    return aside
