"""A home of the test's own, a cluster played in it, and commands called as the program does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stenella import cli
from stenella.home.layout import Home, open_home

from .playing import WORKFLOW, Cluster, Playing


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.out)


Call = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Made, private, and the one that commands of this test use."""
    monkeypatch.setenv("STENELLA_HOME", str(tmp_path / "home"))
    return open_home(tmp_path / "home")


@pytest.fixture
def call(home: Home, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = cli.perform([str(argument) for argument in arguments])
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture
def play(home: Home) -> Iterator[Any]:
    """Lets a cluster be up in the home; it is taken away after the test."""
    playing: list[Playing] = []

    def play(end: str) -> Cluster:
        playing.append(Playing(home, end))
        return playing[-1].cluster

    yield play
    for one in playing:
        one.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The workflow that a played cluster runs."""
    path = tmp_path / "nightly.yaml"
    path.write_text(WORKFLOW)
    return path
