"""Working folders: each attempt gets an empty one, also where it had another attempt before."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from stenella.runtime.work_folders import WorkFolders

SCRIPT = ("script",)
#: acl(5) as the kernel keeps it: version 2, then tag, rights and id of owner, group and others.
ACL = struct.pack("<I" + "HHI" * 3, 2, *(1, 7, 2**32 - 1), *(4, 7, 2**32 - 1), *(32, 7, 2**32 - 1))


@pytest.fixture
def folders(tmp_path: Path) -> WorkFolders:
    return WorkFolders(tmp_path)


def used(folders: WorkFolders, number: int, files: tuple[str, ...] = SCRIPT) -> Path:
    """The folder of an attempt after its preparation."""
    folders.make(number, files)
    folder = Path(folders.path(number))
    for name in files:
        opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700)
        os.write(opened, b"echo hunter2")
        os.close(opened)
    return folder


def test_what_an_attempt_left_as_it_was_goes_to_a_later_one(folders: WorkFolders) -> None:
    first = used(folders, 1).stat().st_ino
    folders.clear(1, brief=True)

    folders.make(2, SCRIPT)

    second = Path(folders.path(2))
    assert second.stat().st_ino == first
    assert [(f.name, f.read_text()) for f in second.iterdir()] == [("script", "e")]
    assert [f.name for f in second.parent.iterdir()] == ["2"]


def test_its_outputs_are_removed_before(folders: WorkFolders) -> None:
    (used(folders, 1) / "output").write_text("rows=7")
    folders.clear(1, brief=True)

    folders.make(2, SCRIPT)

    assert os.listdir(folders.path(2)) == ["script"]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "more").touch(),
        lambda folder: (folder / "more").mkdir(),
        lambda folder: (folder / "script").unlink(),
        lambda folder: (folder / "script").chmod(0o777),
        lambda folder: os.link(folder / "script", folder.parent / "kept"),
        lambda folder: (
            (folder / "script").rename(folder.parent / "kept")
            or (folder / "script").symlink_to(folder.parent / "kept")
        ),
        lambda folder: folder.chmod(0o755),
        lambda folder: (folder / "script").unlink() or (folder / "script").mkdir(0o700),
        lambda folder: (folder / "output").mkdir(),
        lambda folder: os.setxattr(folder, "user.seen", b"1"),
        lambda folder: os.setxattr(folder / "script", "user.seen", b"1"),
        lambda folder: os.setxattr(folder, "system.posix_acl_default", ACL),
    ],
)
def test_what_an_attempt_changed_is_nobody_elses(
    folders: WorkFolders, change: Callable[[Path], object]
) -> None:
    folder = used(folders, 1)
    change(folder)

    folders.clear(1, brief=True)
    folders.make(2, SCRIPT)

    assert not folder.exists()
    assert os.listdir(folders.path(2)) == []
    kept = folder.parent / "kept"
    assert not kept.exists() or kept.read_text() == "echo hunter2"


def test_the_folder_of_a_longer_attempt_is_nobody_elses(folders: WorkFolders) -> None:
    used(folders, 1)
    survivor = os.open(folders.path(1), os.O_RDONLY)  # as what it had a daemon start has it
    folders.clear(1, brief=False)
    folders.make(2, SCRIPT)

    with pytest.raises(FileNotFoundError):
        os.open("output", os.O_WRONLY | os.O_CREAT, dir_fd=survivor)
    os.close(survivor)

    assert os.listdir(folders.path(2)) == []


def test_who_writes_other_files_gets_another_folder(folders: WorkFolders) -> None:
    used(folders, 1)
    folders.clear(1, brief=True)

    folders.make(2, ())
    folders.make(3, ("script.py",))

    assert [os.listdir(folders.path(number)) for number in (2, 3)] == [[], []]


def test_a_spare_folder_that_somebody_removed_is_made_anew(folders: WorkFolders) -> None:
    used(folders, 1)
    folders.clear(1, brief=True)
    os.unlink(f"{folders.path(1)}/script")
    os.rmdir(folders.path(1))

    folders.make(2, SCRIPT)

    assert os.listdir(folders.path(2)) == []


def test_a_folder_of_a_former_life_is_removed(folders: WorkFolders) -> None:
    former = Path(folders.path(1))
    former.mkdir()
    (former / "script").write_text("true")

    folders.clear(1, brief=True)

    assert not former.exists()


def test_what_nobody_knows_makes_way_at_once_for_the_same_number(folders: WorkFolders) -> None:
    for number in (1, 2, 3):
        used(folders, number)

    first = sorted(folders.strange([3]))
    used(folders, 1)
    again = sorted(folders.strange([3]))

    root = Path(folders.root)
    assert [path.name for path in sorted(root.iterdir())] == ["3", *(Path(p).name for p in again)]
    assert [path.rpartition(".")[2] for path in first] == ["1", "2"]
    assert set(first) < set(again)
    assert len(again) == 3


def test_what_nobody_wants_for_a_while_is_to_be_removed(folders: WorkFolders) -> None:
    used(folders, 1)
    folders.clear(1, brief=True)
    folders.make(2, SCRIPT)
    folders.clear(2, brief=True)

    assert folders.idle() == []
    assert folders.idle() == [folders.path(2)]
    assert folders.idle() == []
