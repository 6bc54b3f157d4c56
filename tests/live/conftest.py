"""A home whose cluster is taken down after the test, with nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.client.connection import Connection
from stenella.home import endpoints, keys
from stenella.home.layout import open_home
from stenella.protocol.codec import FRAME_BYTES_MAX

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
    home = open_home(cluster.root)
    master = endpoints.read(home)
    assert master is not None
    pair = keys.client_keys(home)
    with Connection(
        master.client,
        server_key=master.server_key.encode(),
        public_key=pair.public,
        secret_key=pair.secret,
        frame_bytes_max=FRAME_BYTES_MAX,
    ) as opened:
        yield opened
