"""The history that `bench history` makes of one workflow: as whole as what it is a copy of."""

from contextlib import closing
from pathlib import Path

from stenella.bench.history import multiply
from stenella.protocol.rows import Counters
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries

from ..storage.rows import WALL_MS, batch, earlier_attempt, event, instance, task, version


def test_a_copy_is_another_instance_with_ids_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(Journal.open(path)) as journal:
        journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
        tasks = [task(1, attempt=2, dispatch_id=8), task(2), earlier_attempt(1), event(1), event(2)]
        taken = Counters(workflow_instance=2, task_instance=3, dispatch=9)
        journal.commit(batch(1, version(), instance(), *tasks, counters=taken))

    multiply(path, 2)

    with closing(Journal.open(path)) as journal:
        started = journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
        assert started.counters == Counters(workflow_instance=4, task_instance=7, dispatch=25)
        assert [row.dispatch_id for row in journal.load("tasks_of", (3, 0, 9))] == [24, 0]
        assert [row.id for row in journal.load("tasks_of", (3, 0, 9))] == [5, 6]
    with closing(Queries.open(path)) as queries:
        assert [one["workflow_instance_id"] for one in queries.instances(9)] == [3, 2, 1]
        assert [len(queries.trace(number) or []) for number in range(1, 7)] == [1] * 6
        assert queries.log_place(5, 1) == {
            **(queries.log_place(1, 1) or {}),
            "workflow_instance_id": 3,
        }
