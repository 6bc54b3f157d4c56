"""Reading the master's database: checked to be this program's, never written.

Apart from `schema`, so that a command that only reads loads no machinery of migrations.
"""

import sqlite3
from pathlib import Path

import peewee

from ..protocol.errors import RefusedInState
from .models import TABLES
from .transaction import BUSY_TIMEOUT_MS, damaged, refusal

MIGRATIONS = Path(__file__).parent / "migrations"
HISTORY = "schema_migration"  # where the runner records what it applied


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the database for reading; one that was never written reads as an empty one.

    Raises:
        RefusedInState: newer or damaged. NotAllowed: not readable.
    """
    if not path.exists():
        return _empty()
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
    return _empty()  # its master is making it at this moment


def _empty() -> sqlite3.Connection:
    """All tables without a row, in memory."""
    database = peewee.SqliteDatabase(":memory:", thread_safe=False, check_same_thread=False)
    database.connect()
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES)
    connection: sqlite3.Connection = database.connection()  # type: ignore[no-untyped-call]
    return connection


def known() -> list[str]:
    """Names of this program's migrations, in order: those of their files."""
    return sorted(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))


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
