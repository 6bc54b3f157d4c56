"""The database's schema: the contract's columns, made by migrations, refused when not ours."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import peewee
import pytest

from stenella.protocol.errors import NotAllowed, RefusedInState
from stenella.protocol.rows import Row
from stenella.storage.journal import Journal
from stenella.storage.models import MODELS, TABLES, Table
from stenella.storage.queries import Queries
from stenella.storage.schema import connect

READERS = (Journal.open, Queries.open)


def schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: sql for name, sql in found if not name.startswith("schema_migration")}


@pytest.mark.parametrize(("row", "model"), MODELS.items())
def test_columns_are_the_fields_of_the_struct_with_the_key_first(
    row: type[Row], model: type[Table]
) -> None:
    fields = [field for field in row.__struct_fields__ if field != "stored_no"]
    columns = [column for column in model._meta.columns if column in fields]
    extra = set(model._meta.columns) - set(fields)

    assert columns == sorted(fields, key=lambda field: field != row.KEY)
    assert extra <= {"id", "number"}  # what the database itself gives
    assert model._meta.table_name == row.TABLE


def test_the_migrations_make_what_the_models_say() -> None:
    database = peewee.SqliteDatabase(":memory:")
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES)
    by_models = schema_of(database.connection())  # type: ignore[no-untyped-call]
    database.close()

    connection = connect(None)
    by_migrations = schema_of(connection)
    connection.close()

    assert by_migrations == {
        name: sql.replace(" IF NOT EXISTS", "") for name, sql in by_models.items()
    }


def test_a_database_is_written_ahead_and_synced_in_full(tmp_path: Path) -> None:
    connection = connect(tmp_path / "s.db")

    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    connection.close()

    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 0,
        "busy_timeout": 1_000,
    }


@pytest.mark.parametrize("open_", READERS)
def test_a_newer_database_is_refused_and_left_as_it_is(
    tmp_path: Path, open_: Callable[[Path], object]
) -> None:
    path = tmp_path / "s.db"
    connection = connect(path)
    connection.execute("INSERT INTO schema_migration (name, applied) VALUES ('0099_later', '')")
    before = list(connection.iterdump())
    connection.close()

    with pytest.raises(RefusedInState, match=r"newer version of stenella .*0099_later") as refused:
        open_(path)

    assert refused.value.exit_code == 6
    connection = sqlite3.connect(path)
    assert list(connection.iterdump()) == before
    connection.close()


@pytest.mark.parametrize("open_", READERS)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    tmp_path: Path, open_: Callable[[Path], object]
) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"garbage" * 1_000)

    with pytest.raises(RefusedInState, match="damaged"):
        open_(path)

    assert path.read_bytes() == b"garbage" * 1_000


@pytest.mark.parametrize("open_", READERS)
@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE task_event",
        "ALTER TABLE task_instance DROP COLUMN tail",
        "DROP TABLE schema_migration",
    ],
)
def test_tables_that_are_not_ours_are_refused(
    tmp_path: Path, open_: Callable[[Path], object], change: str
) -> None:
    path = tmp_path / "s.db"
    connection = connect(path)
    connection.execute(change)
    connection.close()

    with pytest.raises(RefusedInState, match="damaged"):
        open_(path)


def test_a_torn_first_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    connect(path).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 400)

    with pytest.raises(RefusedInState, match="damaged"):
        Journal.open(path)


def test_what_cannot_be_opened_is_not_allowed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.mkdir()

    with pytest.raises(NotAllowed, match=r"s\.db cannot be opened") as refused:
        Journal.open(path)

    assert refused.value.exit_code == 8


@pytest.mark.slow
def test_a_locked_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(RefusedInState, match="locked by another process"):
        Journal.open(path)

    other.close()


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(RefusedInState, match="tables without a history"):
        Journal.open(path)

    assert path.read_bytes() == before
