"""The home is ours alone, or it is refused with the mend."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stenella.home.layout import Home, find_home, open_home
from stenella.protocol.errors import NotAllowed

NOBODY = 65534  # a user without rights, on every Linux


@pytest.fixture
def folder_of_root() -> Iterator[Path]:
    """A folder that we may enter and not write, whoever runs the tests."""
    if os.geteuid() != 0:
        yield Path("/")
        return
    with TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_the_first_open_makes_a_private_home(tmp_path: Path) -> None:
    home = open_home(tmp_path / "deep" / "home")

    for folder in (home.root, home.keys, home.run, home.workers):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_home_opens_again(tmp_path: Path) -> None:
    assert open_home(tmp_path / "home") == open_home(tmp_path / "home")


def test_the_variable_names_the_home(tmp_path: Path) -> None:
    assert open_home(environ={"STENELLA_HOME": str(tmp_path / "h")}).root == tmp_path / "h"


def test_a_path_wins_over_the_variable(tmp_path: Path) -> None:
    environ = {"STENELLA_HOME": str(tmp_path / "other")}

    assert open_home(tmp_path / "h", environ).root == tmp_path / "h"


@pytest.mark.live
@pytest.mark.parametrize("variables", [{}, {"STENELLA_HOME": ""}])
def test_without_a_variable_it_is_in_the_users_folder(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    program = "from stenella.home.layout import open_home; print(open_home().root)"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == str(tmp_path / ".stenella")


@pytest.mark.parametrize("mode", [0o750, 0o707, 0o701])
def test_a_home_open_to_others_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)

    with pytest.raises(NotAllowed, match=f"chmod 700 {tmp_path}"):
        open_home(tmp_path)
    with pytest.raises(NotAllowed, match=f"chmod 700 {tmp_path}"):
        find_home(tmp_path)


def test_a_home_that_cannot_be_made_is_refused_by_name(folder_of_root: Path) -> None:
    path = folder_of_root / "stenella-home"

    with pytest.raises(NotAllowed, match=str(path)):
        open_home(path)


def test_a_home_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotAllowed, match="file/home"):
        open_home(tmp_path / "file" / "home")


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_home_that_is_a_file_is_refused_as_such(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)

    with pytest.raises(NotAllowed, match="STENELLA_HOME"):
        open_home(file)
    with pytest.raises(NotAllowed, match=f"{file} is no folder: set STENELLA_HOME"):
        find_home(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_our_write_right_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(NotAllowed, match=str(tmp_path)):
        open_home(tmp_path)


def test_finding_makes_nothing(tmp_path: Path) -> None:
    assert find_home(tmp_path / "home") is None
    assert list(tmp_path.iterdir()) == []


def test_a_worker_has_a_folder_of_its_own(tmp_path: Path) -> None:
    worker = Home(tmp_path).worker(2)
    worker.create()

    assert worker.name == "worker-2"
    assert worker.journal == tmp_path / "workers" / "2" / "journal.db"
    assert stat.S_IMODE(worker.work.stat().st_mode) == 0o700
    assert worker.logs.is_dir()
