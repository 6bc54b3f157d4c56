"""A home whose cluster is taken down after the test, with nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .home import LiveHome, until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LiveHome]:
    live = LiveHome(tmp_path)
    yield live
    if (live.root / "run" / "endpoints.json").exists():
        live.run("down", "--wait", "0s")
    until(lambda: not live.leftovers(), f"everything has left: {live.leftovers()}", 40.0)


@pytest.fixture
def cluster(home: LiveHome) -> LiveHome:
    """Two workers with four slots each."""
    home.run("up", "--workers", "2", "--slots", "4", "--detach")
    return home
