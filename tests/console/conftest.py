"""A home of the test's own, and commands called as the program does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stenella import cli
from stenella.home.layout import Home, open_home


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
