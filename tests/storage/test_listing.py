"""The newest instances without peewee: the same documents as by the queries."""

from pathlib import Path

from stenella.protocol.states import WorkflowState
from stenella.storage import listing
from stenella.storage.documents import INSTANCE
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries

from .rows import WALL_MS, batch, instance, version


def test_the_newest_are_listed_alike_without_peewee(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    assert listing.newest(path, 5) == []
    journal = Journal.open(path)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    ended = instance(2, state=WorkflowState.FAILURE, end_time=WALL_MS + 5)
    journal.commit(batch(1, version("d1"), instance(1), ended))

    queries = Queries.open(path)
    assert listing.newest(path, 5) == queries.instances(5)
    queries.close()
    journal.close()
    path.write_bytes(b"no database")
    assert listing.newest(path, 5) is None


def test_what_is_listed_are_the_columns_of_an_instance() -> None:
    columns = [f"{field.model._meta.table_name}.{field.column_name}" for field in INSTANCE]

    assert columns == list(listing.COLUMNS)
