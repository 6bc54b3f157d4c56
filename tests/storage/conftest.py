"""What several tests of the storage need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.storage.journal import Journal
from stenella.storage.queries import Queries

from .rows import WALL_MS
from .store import Store


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    path = None if request.param == "memory" else tmp_path / "s.db"
    journal = Journal.open(path)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    queries = Queries.open(path) if path else Queries(journal.connection)
    yield Store(journal, queries)
    queries.close()
    journal.close()
