"""What tests of the client need: a home, doors and a client of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stenella.client.client import Client
from stenella.home.layout import Home, open_home

from .door import Door, Script

Open = Callable[[Script], Door]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def open_door(home: Home) -> Iterator[Open]:
    doors: list[Door] = []

    def open_one(script: Script) -> Door:
        doors.append(Door(home, script))
        return doors[-1]

    yield open_one
    for door in doors:
        door.close()


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    with Client(home.root, limit_s=20) as client:
        yield client
