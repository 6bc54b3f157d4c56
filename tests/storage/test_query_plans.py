"""Nothing that the product asks of its database looks at all rows of the history."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stenella.protocol.rows import DeadLetter
from stenella.storage import inventory, listing
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries
from stenella.storage.statements import LOAD

from .rows import WALL_MS, batch, earlier_attempt, event, instance, stored, task, version, worker

#: The tables that grow with every workflow that is run.
HISTORY = ("workflow_instance", "task_instance", "task_attempt", "task_event", "intent")
#: Partial indexes hold only what lives, or what a person has to look at.
SCAN = re.compile(rf"SCAN ({'|'.join(HISTORY)})\b(?!.* INDEX workflow_instance_(live|parked)$)")
#: From the end of the table, until there are enough.
NEWEST_FIRST = re.compile(r'ORDER BY \S+id"? DESC LIMIT \d+$')

LOADS: dict[str, tuple[Any, ...]] = {
    "instance": (1,),
    "intent": ("r",),
    "live_instances": (0, 10),
    "task": (1,),
    "version": ("d1",),
    "task_named": (1, "a"),
    "letter": (1,),
    "tasks_of": (1, 0, 10),
    "workers": (),
}
READS: dict[str, list[tuple[Any, ...]]] = {
    "instance": [(0,), (1,)],
    "instance_page": [(1, 0)],
    "instances": [(10,), (10, 5)],
    "definition_part": [("sales", 0, "", 0), ("", 1, "", 0), ("", 0, "", 0), ("", 1, "d1", 0)],
    "task_by_name": [(1, "a"), (0, "b")],
    "trace": [(1,)],
    "changes": [(1, 0), (0, 1)],
    "ended": [(1, 0)],
    "end": [(1, 0), (0, 0)],
    "progress": [(1, 0), (0, 1)],
    "log_place": [(1, 0), (1, 1), (1, 2)],
    "dead_letters": [(10,), (10, 1)],
}


class Plans:
    """What is asked of one database, and how SQLite goes about it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.asked: list[str] = []

    def scans(self, ask: Callable[[], object]) -> list[tuple[str, str]]:
        """Statements of ``ask`` that look at all rows of a large table, and the step that does."""
        self.asked.clear()
        self.connection.set_trace_callback(self.asked.append)
        ask()
        self.connection.set_trace_callback(None)
        assert self.asked
        return [(sql, step) for sql in self.asked for step in self._scanning(sql)]

    def _scanning(self, sql: str) -> Iterator[str]:
        if sql.split()[0] in ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "--"):
            return
        for *_, step in self.connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall():
            if SCAN.match(step) and not NEWEST_FIRST.search(sql):
                yield step


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal.open(tmp_path / "s.db")) as opened:
        opened.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
        rows = (version(), instance(), task(), event(), earlier_attempt(), worker())
        opened.commit(batch(1, *rows))
        yield opened


def letter(number: int) -> DeadLetter:
    return DeadLetter(
        at=1,
        actor="a",
        sender="s",
        reason="r",
        body="{}",
        key=f"k{number}",
        workflow_instance_id=1,
    )


@pytest.fixture
def plans(journal: Journal) -> Plans:
    return Plans(journal.connection)


def test_what_is_written_is_found_by_index(journal: Journal, plans: Plans) -> None:
    changed = (stored(instance()), stored(task()), stored(worker()))
    for row in changed:
        row.event_no += 1

    assert plans.scans(lambda: journal.commit(batch(2, version("d2"), *changed))) == []


def test_a_start_reads_by_index_whatever_there_was_before(journal: Journal, plans: Plans) -> None:
    def start() -> None:
        journal.start(boot="b2", pid=2, wall_ms=WALL_MS, new_cluster="c")
        journal.quarantine([letter(1)])
        journal.quarantined()
        journal.to_redeliver()

    assert plans.scans(start) == []


@pytest.mark.parametrize("name", LOAD)
def test_actors_load_by_index(journal: Journal, plans: Plans, name: str) -> None:
    assert plans.scans(lambda: journal.load(name, LOADS[name])) == []


@pytest.mark.parametrize("name", READS)
def test_people_read_by_index(journal: Journal, plans: Plans, name: str) -> None:
    queries = Queries(journal.connection)

    found = [plans.scans(partial(queries.ask, name, key)) for key in READS[name]]
    assert found == [[] for _ in found]


def test_every_read_is_looked_at(journal: Journal) -> None:
    assert set(READS) == set(Queries(journal.connection)._answers)


def test_the_newest_are_listed_from_the_end(plans: Plans) -> None:
    sql = listing.NEWEST

    assert plans.scans(lambda: plans.connection.execute(sql, (10,)).fetchall()) == []
    steps = [s for *_, s in plans.connection.execute(f"EXPLAIN QUERY PLAN {sql}", (10,))]
    assert not any("TEMP B-TREE" in step for step in steps)


def test_events_of_what_lives_are_found_by_index(plans: Plans) -> None:
    assert plans.scans(lambda: inventory._events(plans.connection, 10)) == []
