"""The schema of the master's database: made and raised by numbered migrations, and checked.

A migration is immutable once released. A database that is newer than this program, or whose tables
are not what its history of migrations says, is refused and left alone.
"""

import sqlite3
from pathlib import Path

import peewee
from playhouse.migrations import Migration, Runner  # type: ignore[import-untyped]

from ..protocol.errors import RefusedInState
from .models import TABLES
from .transaction import BUSY_TIMEOUT_MS, damaged, refusal

MIGRATIONS = Path(__file__).parent / "migrations"
HISTORY = "schema_migration"  # where the runner records what it applied


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
        if applied != known():
            Runner(database, str(MIGRATIONS), HISTORY).up()
        check_columns(connection, path)
    except (sqlite3.Error, peewee.PeeweeException, RefusedInState) as error:
        database.close()
        if isinstance(error, RefusedInState):
            raise
        raise refusal(path, getattr(error, "orig", error)) from error  # peewee keeps SQLite's own
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the database for reading; one that was never written reads as an empty one.

    Raises:
        RefusedInState: newer or damaged. NotAllowed: not readable.
    """
    if not path.exists():
        return connect(None)
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_MS / 1_000,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    try:
        applied = history(connection, path)
        refuse_newer(applied, path)
        if applied:
            check_columns(connection, path)
            return connection
    except (sqlite3.Error, RefusedInState) as error:
        connection.close()
        if isinstance(error, RefusedInState):
            raise
        raise refusal(path, error) from error
    connection.close()
    return connect(None)  # its master is making it at this moment


def known() -> list[str]:
    """Names of this program's migrations, in order."""
    return [migration.name for migration in Migration.load_directory(str(MIGRATIONS))]


def history(connection: sqlite3.Connection, path: Path | None) -> list[str]:
    """Names of the migrations that made this database, in order; none: it is empty."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if HISTORY in tables:
        return [row[0] for row in connection.execute(f"SELECT name FROM {HISTORY} ORDER BY name")]
    if tables:
        raise damaged(path, "tables without a history of migrations")
    return []


def refuse_newer(applied: list[str], path: Path | None) -> None:
    """Refuse a database that a later program has changed."""
    newer = [name for name in applied if name not in known()]
    if newer:
        raise RefusedInState(
            f"{path} is of a newer version of stenella (it has migration {newer[-1]}); "
            "install that version to use it"
        )


def check_columns(connection: sqlite3.Connection, path: Path | None) -> None:
    """Refuse a database whose tables are not this program's."""
    for table in TABLES:
        name = table._meta.table_name
        found = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
        if found != list(table._meta.columns):
            raise damaged(path, f"table {name} is missing or has other columns")
