"""The master's journal: all or nothing, fenced, compare and set; the same in memory and on disk."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stenella.protocol.errors import NotAllowed
from stenella.protocol.rows import (
    CommitFinal,
    CommitTransient,
    Counters,
    DeadLetter,
    IntentRow,
    Row,
    WorkflowInstanceRow,
)
from stenella.protocol.states import WORKFLOW_FINAL, TaskState, WorkflowState
from stenella.storage.journal import Journal, MasterStart
from stenella.storage.statements import LOAD

from .rows import WALL_MS, batch, earlier_attempt, event, instance, stored, task, version, worker


def begin(journal: Journal, new_cluster: str = "c1") -> MasterStart:
    return journal.start(boot="boot", pid=1, wall_ms=WALL_MS, new_cluster=new_cluster)


@pytest.fixture(params=["memory", "disk"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """A journal whose master has begun its first life."""
    opened = Journal.open(None if request.param == "memory" else tmp_path / "s.db")
    begin(opened)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def count(journal: Journal, table: str) -> int:
    found: int = journal.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    return found


def commit_no(journal: Journal) -> int:
    found: int = journal.connection.execute("SELECT commit_no FROM master").fetchone()[0]
    return found


# --- a life of the master


def test_the_first_start_makes_the_cluster_and_counts_from_one() -> None:
    journal = Journal.open(None)

    started = begin(journal, new_cluster="feed")

    assert started == MasterStart("feed", 1, 1, 0, Counters(1, 1, 1))
    journal.close()


def test_a_later_start_keeps_the_cluster_and_goes_on_with_the_numbers(path: Path) -> None:
    journal = Journal.open(path)
    begin(journal, new_cluster="feed")
    journal.commit(batch(1, instance(), counters=Counters(2, 30, 400)))
    journal.close()

    journal = Journal.open(path)
    started = begin(journal, new_cluster="other")

    assert started == MasterStart("feed", 1, 2, 1, Counters(2, 30, 400))
    journal.close()


def test_a_start_that_cannot_be_written_says_so_to_a_person(path: Path) -> None:
    journal = Journal.open(path)
    journal.connection.execute("PRAGMA query_only = 1")

    with pytest.raises(NotAllowed, match=r"s\.db cannot be opened .*readonly"):
        begin(journal)

    journal.close()


# --- what is written is read back


@pytest.mark.parametrize(
    ("row", "name", "key"),
    [
        (instance(submit_dir="/tmp/ü", end_time=None, reason="stopped"), "instance", (1,)),
        (task(worker="w", boot="b", pid=2**40, outputs='{"x":"é\u2028"}'), "task", (1,)),
        (worker(groups='["groß"]', slots=2**63 - 1), "workers", ()),
    ],
)
def test_a_versioned_row_is_read_back_as_it_was_written(
    journal: Journal, row: Row, name: str, key: tuple[object, ...]
) -> None:
    journal.commit(batch(1, row))

    assert journal.load(name, key) == [stored(row)]  # type: ignore[arg-type]


def test_an_intent_is_read_back_as_it_was_written(journal: Journal) -> None:
    row = IntentRow(request_id="r", digest="d", kind="Submit", answer='{"ü":1}', at=WALL_MS)

    journal.commit(batch(1, row))

    assert journal.load("intent", ("r",)) == [row]
    assert journal.load("intent", ("other",)) == []


@pytest.mark.parametrize(
    "row",
    [
        earlier_attempt(tail="línea\n", host=None),
        event(detail="late: 日本語", to_state=None),
        DeadLetter(at=1, actor="a", sender="s", reason="r", body='{"ß":1}'),
    ],
)
def test_an_appended_row_stands_in_its_table_as_it_was_written(journal: Journal, row: Row) -> None:
    journal.commit(batch(1, row))

    names = ", ".join(row.__struct_fields__)
    found = journal.connection.execute(f"SELECT {names} FROM {row.TABLE}").fetchall()
    assert found == [msgspec.structs.astuple(row)]


def test_an_update_changes_the_row_it_was_loaded_as(journal: Journal) -> None:
    journal.commit(batch(1, task(), task(2)))
    [row] = journal.load("task", (1,))

    row.event_no, row.state, row.exit_code = 4, TaskState.FAILURE, 3
    journal.commit(batch(2, row))

    assert journal.load("task", (1,)) == [stored(row)]
    assert journal.load("task", (2,)) == [stored(task(2))]


def test_the_number_of_a_version_rises_within_its_name(journal: Journal) -> None:
    journal.commit(batch(1, version("d1"), version("d2"), version("e1", "other")))
    journal.commit(batch(2, version("d3")))

    found = journal.connection.execute("SELECT digest, name, number FROM workflow_version")
    assert sorted(found) == [
        ("d1", "sales", 1),
        ("d2", "sales", 2),
        ("d3", "sales", 3),
        ("e1", "other", 1),
    ]


def test_a_version_that_is_there_stays_as_it_is(journal: Journal) -> None:
    journal.commit(batch(1, version("d1")))

    journal.commit(batch(2, version("d1"), version("d1"), version("d2")))

    found = journal.connection.execute("SELECT digest, number FROM workflow_version")
    assert sorted(found) == [("d1", 1), ("d2", 2)]


# --- all or nothing


def test_a_row_that_changed_meanwhile_fails_the_whole_batch(journal: Journal) -> None:
    journal.commit(batch(1, task(1), task(2)))
    good, stale = task(1, event_no=2, stored_no=1), task(2, event_no=9, stored_no=8)

    with pytest.raises(CommitFinal, match="task_instance: 2 rows to change, 1 were as believed"):
        journal.commit(batch(2, good, stale, event()))

    assert journal.load("task", (1,)) == [stored(task(1))]
    assert (count(journal, "task_event"), commit_no(journal)) == (0, 1)


def test_a_row_that_is_not_there_fails_the_batch(journal: Journal) -> None:
    with pytest.raises(CommitFinal, match="workflow_instance: 1 rows to change, 0"):
        journal.commit(batch(1, instance(event_no=2, stored_no=1)))


def test_a_row_inserted_twice_fails_the_batch(journal: Journal) -> None:
    journal.commit(batch(1, task(1)))

    with pytest.raises(CommitFinal, match="IntegrityError"):
        journal.commit(batch(2, event(), task(1)))

    assert (count(journal, "task_event"), commit_no(journal)) == (0, 1)


def test_a_node_has_one_row(journal: Journal) -> None:
    journal.commit(batch(1, task(1, node=5)))

    with pytest.raises(CommitFinal, match="IntegrityError"):
        journal.commit(batch(2, task(2, node=5)))


@pytest.mark.parametrize("value", [2**63, "\ud800"])
def test_data_that_cannot_be_stored_is_final_and_rolled_back(
    journal: Journal, value: object
) -> None:
    with pytest.raises(CommitFinal):
        journal.commit(batch(1, task(1), event(detail=value)))

    assert (count(journal, "task_instance"), commit_no(journal)) == (0, 0)
    journal.commit(batch(1, task(1)))


# --- the number of the commit


def test_the_same_commit_again_has_succeeded_already(journal: Journal) -> None:
    journal.commit(batch(1, task(), event()))

    journal.commit(batch(1, task(), event()))

    assert (count(journal, "task_event"), commit_no(journal)) == (1, 1)


@pytest.mark.parametrize("number", [1, 4])
def test_a_commit_out_of_order_is_final(journal: Journal, number: int) -> None:
    journal.commit(batch(1))
    journal.commit(batch(2))

    with pytest.raises(CommitFinal, match="fenced"):
        journal.commit(batch(number, event()))

    assert count(journal, "task_event") == 0


def test_a_master_that_was_succeeded_is_fenced(path: Path) -> None:
    former, later = Journal.open(path), Journal.open(path)
    begin(former)
    begin(later)

    with pytest.raises(CommitFinal, match="fenced: commit 1 of epoch 1"):
        former.commit(batch(1, event()))

    later.commit(batch(1, event()))
    assert count(later, "task_event") == 1
    former.close()
    later.close()


def test_a_journal_without_a_start_commits_nothing() -> None:
    journal = Journal.open(None)

    with pytest.raises(CommitFinal, match="fenced"):
        journal.commit(batch(1, event()))

    journal.close()


# --- what a failure means


@pytest.mark.slow
def test_a_locked_database_is_transient_and_the_batch_succeeds_later(path: Path) -> None:
    journal = Journal.open(path)
    begin(journal)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(CommitTransient, match="locked"):
        journal.commit(batch(1, event()))
    other.execute("ROLLBACK")
    journal.commit(batch(1, event()))

    assert count(journal, "task_event") == 1
    other.close()
    journal.close()


def test_a_full_disk_is_transient_and_the_batch_succeeds_later(journal: Journal) -> None:
    pages = journal.connection.execute("PRAGMA page_count").fetchone()[0]
    journal.connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [event(number, detail="x" * 4_000) for number in range(20)]

    with pytest.raises(CommitTransient, match="full"):
        journal.commit(batch(1, task(), *large))
    assert (count(journal, "task_instance"), commit_no(journal)) == (0, 0)
    journal.connection.execute("PRAGMA max_page_count = 1000000")
    journal.commit(batch(1, task(), *large))

    assert count(journal, "task_event") == 20


def test_a_read_only_database_is_transient(journal: Journal) -> None:
    journal.connection.execute("PRAGMA query_only = 1")

    with pytest.raises(CommitTransient, match="readonly"):
        journal.commit(batch(1, event()))


def test_a_damaged_page_is_final(path: Path) -> None:
    journal = Journal.open(path)
    begin(journal)
    journal.commit(batch(1, *(task(number) for number in range(1, 200))))
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'task_instance'"
    root_page = journal.connection.execute(query).fetchone()[0]
    journal.close()
    with path.open("r+b") as file:
        file.seek((root_page - 1) * 4096)
        file.write(b"\xff" * 4096)

    journal = Journal.open(path)
    begin(journal)
    with pytest.raises(CommitFinal, match="malformed"):
        journal.commit(batch(2, task(1, event_no=2, stored_no=1)))
    with pytest.raises(CommitFinal, match="malformed"):
        journal.load("task", (1,))
    journal.close()


# --- reads for actors


def test_live_instances_come_in_pages_with_their_definitions(journal: Journal) -> None:
    states = [*WorkflowState] * 2
    rows = [instance(number, state=state) for number, state in enumerate(states, start=1)]
    journal.commit(batch(1, version("d1"), *rows))
    live = [row.id for row in rows if row.state not in WORKFLOW_FINAL]

    first = journal.load("live_instances", (0, 5))
    rest = journal.load("live_instances", (first[-1][0].id, 100))

    assert [row.id for row, _ in first + rest] == live
    assert len(first) == 5
    assert all(definition == version("d1").definition for _, definition in first + rest)
    assert all(row.stored_no == row.event_no == 1 for row, _ in first + rest)


def test_of_large_definitions_fewer_come_at_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stenella.storage.journal.DEFINITIONS_BYTES", 1)
    rows = [instance(number, version_digest=f"d{number // 3}") for number in range(1, 6)]
    journal.commit(batch(1, version("d0"), version("d1"), *rows))

    first = journal.load("live_instances", (0, 50))
    rest = journal.load("live_instances", (first[-1][0].id, 50))

    assert [[row.id for row, _ in found] for found in (first, rest)] == [[1, 2], [3, 4, 5]]


def test_the_tasks_of_an_instance_come_in_pages_by_id(journal: Journal) -> None:
    rows = [task(number, node=10 - number) for number in range(1, 8)]
    journal.commit(batch(1, *rows, task(8, workflow_instance_id=2)))

    first = journal.load("tasks_of", (1, 0, 4))
    rest = journal.load("tasks_of", (1, 4, 4))

    assert first + rest == [stored(row) for row in rows]


def test_what_is_not_there_loads_as_nothing(journal: Journal) -> None:
    found = [
        journal.load(name, key)
        for name, key in (("task", (7,)), ("instance", (7,)), ("tasks_of", (7, 0, 9)))
    ]

    assert found == [[], [], []]


@pytest.mark.parametrize("name", sorted(set(LOAD) - {"workers"}))
def test_a_load_searches_an_index_and_sorts_nothing(name: str) -> None:
    journal = Journal.open(None)
    sql = LOAD[name][1]

    plan = journal.connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))

    steps = [row[3] for row in plan]
    journal.close()
    assert len(steps) == 1
    assert steps[0].startswith("SEARCH"), steps
    if name == "live_instances":
        assert "workflow_instance_live" in steps[0]


def test_rows_survive_a_process_that_closes_nothing(path: Path) -> None:
    journal = Journal.open(path)
    begin(journal)
    journal.commit(batch(1, version(), instance()))
    copy = path.with_name("copy.db")  # what a kill leaves: the file and its log, no index of it
    copy.write_bytes(path.read_bytes())
    path.with_name("copy.db-wal").write_bytes(path.with_name("s.db-wal").read_bytes())

    again = Journal.open(copy)

    row: WorkflowInstanceRow = again.load("instance", (1,))[0]
    assert row == stored(instance())
    assert begin(again).commit_no == 1
    journal.close()
    again.close()
