"""People's reads of a file: beside its master, after a kill, without one, and never for long."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from stenella.protocol.errors import RefusedInState
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries

from .rows import WALL_MS, batch, event, instance, version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a ä%20?.db"


def written(path: Path) -> Journal:
    journal = Journal.open(path)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    return journal


def test_a_file_that_is_not_there_reads_as_empty_and_is_not_made(path: Path) -> None:
    queries = Queries.open(path)

    assert queries.instances(5) == []
    assert queries.instance(0) is None
    assert not path.exists()
    queries.close()


def test_a_file_that_is_being_made_reads_as_empty(path: Path) -> None:
    path.touch()

    queries = Queries.open(path)

    assert queries.instances(5) == []
    queries.close()


def test_a_reader_writes_nothing(path: Path) -> None:
    written(path).close()

    queries = Queries.open(path)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        queries.connection.execute("DELETE FROM cluster")
    queries.close()


def test_a_reader_sees_what_is_committed_and_never_stops_the_writer(path: Path) -> None:
    journal = written(path)
    queries = Queries.open(path)
    assert queries.instances(5) == []
    queries.connection.execute("BEGIN")
    queries.connection.execute("SELECT * FROM task_event").fetchall()

    journal.commit(batch(1, version(), instance()))  # while the reader holds its moment

    queries.connection.execute("ROLLBACK")
    assert len(queries.instances(5)) == 1
    queries.close()
    journal.close()


@pytest.mark.slow
def test_a_reader_sees_what_a_killed_master_had_committed(path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tests.storage.rows import batch, instance, version\n"
        "from tests.storage.test_queries_file import written\n"
        "written(Path(sys.argv[1])).commit(batch(1, version(), instance()))\n"
        "os._exit(9)"
    )
    root = Path(__file__).parent.parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    killed = subprocess.run([sys.executable, "-c", script, path], env=environment, check=False)

    queries = Queries.open(path)

    assert killed.returncode == 9
    assert len(queries.instances(5)) == 1
    queries.close()


def test_a_reading_that_takes_too_long_is_refused_and_the_next_one_works(path: Path) -> None:
    journal = written(path)
    journal.commit(batch(1, version(), instance(), *(event(1) for _ in range(20_000))))
    queries = Queries.open(path, time_limit_s=0.0)

    with pytest.raises(RefusedInState, match="took longer than 0 s"):
        queries.trace(1)

    assert len(queries.instances(5)) == 1
    queries.close()
    journal.close()
