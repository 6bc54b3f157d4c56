"""A file is there whole or not at all."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stenella.home.files import create, replace


def test_a_replaced_file_is_private_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"old")
    replace(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_creating_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"

    assert create(path, b"first")
    assert not create(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_creators_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: create(path, b"%d" % number), range(8)))

    assert won.count(True) == 1
    assert path.read_bytes() == b"%d" % won.index(True)
