"""A home whose cluster is taken down after the test, with nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.client.connection import Connection

from .home import LiveHome


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LiveHome]:
    live = LiveHome(tmp_path)
    yield live
    live.leave()


@pytest.fixture
def cluster(home: LiveHome) -> LiveHome:
    """Two workers with four slots each."""
    home.run("up", "--workers", "2", "--slots", "4", "--detach")
    return home


@pytest.fixture
def connection(cluster: LiveHome) -> Iterator[Connection]:
    """With the right key, for frames that are wrong."""
    with cluster.connection() as opened:
        yield opened
