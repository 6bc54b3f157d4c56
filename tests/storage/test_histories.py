"""Traces with the times of both machines, dead letters that are large, the inventory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.protocol.errors import RefusedInState
from stenella.protocol.rows import DeadLetter, Row
from stenella.protocol.states import Event, TaskState, WorkflowState
from stenella.storage import inventory
from stenella.storage.journal import Journal
from stenella.storage.queries import PAGE_BYTES, Queries

from .rows import WALL_MS, batch, earlier_attempt, event, instance, task, version


class Store:
    """A journal in a file, and the queries that read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal.open(path)
        self.journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
        self.queries = Queries.open(path)
        self.commits = 0

    def write(self, *rows: Row) -> None:
        self.commits += 1
        self.journal.commit(batch(self.commits, *rows))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "s.db")
    yield made
    made.queries.close()
    made.journal.close()


def test_a_trace_has_the_times_of_the_machine_that_ran_each_attempt(store: Store) -> None:
    states = TaskState.DISPATCH, TaskState.RUNNING_EXECUTION
    times = {"start_time": WALL_MS + 5, "end_time": WALL_MS + 7}
    store.write(
        task(1, state=TaskState.SUCCESS, attempt=2, **times),
        earlier_attempt(1, start_time=WALL_MS + 1, end_time=WALL_MS + 2),
        event(event=Event.RUNNING, from_state=states[0], to_state=states[1]),
        event(event=Event.RESULT, from_state=states[1], to_state=TaskState.FAILURE),
        event(attempt=2, event=Event.RUNNING, from_state=states[0], to_state=states[1]),
        event(attempt=2, event=Event.RESULT, from_state=states[1], to_state=TaskState.SUCCESS),
        event(
            attempt=2, event=Event.RESULT, from_state=TaskState.SUCCESS, to_state=TaskState.SUCCESS
        ),
    )

    times_told = [row["worker_time"] for row in store.queries.trace(1) or []]

    ran = [(WALL_MS + ms) / 1_000 for ms in (1, 2, 5, 7)]
    assert times_told == [*ran, None]


def test_dead_letters_that_would_not_fit_the_wire_are_shown_one_by_one(store: Store) -> None:
    body = json.dumps({"b": "x" * (PAGE_BYTES // 3)})
    store.write(*(DeadLetter(at=n, actor="a", sender="s", reason="r", body=body) for n in range(5)))

    assert [letter["id"] for letter in store.queries.dead_letters(100)] == [5, 4]
    assert [letter["id"] for letter in store.queries.dead_letters(1, 2)] == [2]
    assert store.queries.dead_letters(1, 9) == []


def test_an_inventory_counts_rows_and_tells_what_lives_without_its_details(store: Store) -> None:
    over = {"state": WorkflowState.SUCCESS, "end_time": WALL_MS}
    store.write(
        version(),
        instance(1, **over),
        instance(2),
        event(1, workflow_instance_id=1),
        event(2, workflow_instance_id=2, detail="hunter2"),
        event(3, workflow_instance_id=2, event_no=2),
    )

    found = inventory.read(store.path, 10)

    assert found["tables"]["task_event"]["rows"] == 3
    assert "callback_seq" in found["tables"]["task_event"]["sql"]
    assert [row["task_instance_id"] for row in found["events"]] == [3, 2]
    assert found["events"][0]["to_state"] == "SUBMITTED_SUCCESS"
    assert "hunter2" not in json.dumps(found)
    assert len(inventory.read(store.path, 1)["events"]) == 1


def test_an_inventory_of_what_is_no_database_is_refused_and_of_nothing_is_empty(
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database" * 1_000)

    with pytest.raises(RefusedInState):
        inventory.read(tmp_path / "bad.db", 1)
    assert inventory.read(tmp_path / "none.db", 1)["events"] == []
