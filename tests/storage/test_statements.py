"""Many rows in one statement: each is stored as it is, or none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.protocol.rows import CommitRefused
from stenella.storage.journal import Journal
from stenella.storage.statements import CHUNK

from .rows import WALL_MS, batch, event, instance, task, version


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "s.db")
    opened.start(boot="boot", pid=1, wall_ms=WALL_MS, new_cluster="c1")
    yield opened
    opened.close()


def count(journal: Journal, table: str) -> int:
    found: int = journal.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    return found


@pytest.mark.parametrize("rows", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_rows_of_one_commit_are_stored_each_as_it_is(journal: Journal, rows: int) -> None:
    tasks = [task(number, name=f"t{number}") for number in range(1, rows + 1)]

    journal.commit(batch(1, version(), instance(), *tasks, *(event(t.id) for t in tasks)))

    loaded = journal.load("tasks_of", (1, 0, 1_000))
    assert [(row.id, row.node, row.name) for row in loaded] == [
        (number, number - 1, f"t{number}") for number in range(1, rows + 1)
    ]
    assert count(journal, "task_event") == rows


def test_one_bad_row_among_many_stores_none_of_them(journal: Journal) -> None:
    tasks = [task(number) for number in range(1, 2 * CHUNK)]
    tasks[CHUNK // 2].node = 0  # as the first

    with pytest.raises(CommitRefused):
        journal.commit(batch(1, version(), instance(), *tasks))

    assert (count(journal, "task_instance"), count(journal, "workflow_instance")) == (0, 0)
