"""The schema of the master's database: made and raised by numbered migrations, and checked.

A migration is immutable once released. A database that is newer than this program, or whose tables
are not what its history of migrations says, is refused and left alone.
"""

import sqlite3
from pathlib import Path

import peewee
from playhouse.migrations import Runner  # type: ignore[import-untyped]

from ..protocol.errors import RefusedInState
from .read_only import HISTORY, MIGRATIONS, check_columns, history, known, refuse_newer
from .transaction import BUSY_TIMEOUT_MS, refusal

#: The log is copied into the database when it has so many pages (16 MB): at SQLite's own 1,000 that
#: was five times a second at full load, the same pages again and again, and a quarter of a commit.
WAL_PAGES = 4_000


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the database for writing, made or raised to this program's schema; None: in memory.

    The connection may be used by any thread, one at a time.

    Raises:
        RefusedInState: newer, damaged, locked, disk full. NotAllowed: not writable.
    """
    if path is not None and not path.exists():
        path.touch(mode=0o600)  # SQLite gives its other two files the same mode
    database = peewee.SqliteDatabase(
        ":memory:" if path is None else str(path),
        timeout=BUSY_TIMEOUT_MS / 1_000,
        thread_safe=False,
        check_same_thread=False,
    )
    try:
        database.connect()
        connection: sqlite3.Connection = database.connection()  # type: ignore[no-untyped-call]
        applied = history(connection, path)
        refuse_newer(applied, path)
        connection.execute("PRAGMA journal_mode = wal")  # not before it is known to be ours
        connection.execute("PRAGMA synchronous = full")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        if applied != known():
            Runner(database, str(MIGRATIONS), HISTORY).up()
        check_columns(connection, path)
    except (sqlite3.Error, peewee.PeeweeException, RefusedInState) as error:
        database.close()
        if isinstance(error, RefusedInState):
            raise
        raise refusal(path, getattr(error, "orig", error)) from error  # peewee keeps SQLite's own
    return connection
