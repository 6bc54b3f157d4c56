"""Task types that packages name, read as their metadata lies on ``sys.path``."""

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from stenella.home.installed import GROUP, TaskEntry, task_entries

ENTRIES = """
[console_scripts]
words = words:main

[stenella.tasks]
# a comment
words = words.types:Words
count=words.types : Count [fast]
[another.group]
x = y:z
"""


def package(folder: Path, info: str, text: str) -> None:
    (folder / info).mkdir(parents=True)
    (folder / info / "entry_points.txt").write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in ("a", "b", "none.zip")])
    return tmp_path


def test_what_the_group_names_is_read_and_nothing_else(site: Path) -> None:
    package(site / "a", "words-1.0.dist-info", ENTRIES)
    package(site / "b", "old.egg-info", "[stenella.tasks]\nold = old:Old\n")

    assert task_entries() == [
        TaskEntry("words", "words.types:Words", "words"),
        TaskEntry("count", "words.types:Count", "words"),
        TaskEntry("old", "old:Old", "old"),
    ]


def test_of_a_package_that_is_there_twice_the_first_counts(site: Path) -> None:
    package(site / "a", "words-2.0.dist-info", "[stenella.tasks]\nnew = words:New\n")
    package(site / "b", "Words-1.0.dist-info", "[stenella.tasks]\nold = words:Old\n")

    assert [entry.name for entry in task_entries()] == ["new"]


def test_an_attribute_of_an_attribute_is_loaded() -> None:
    assert TaskEntry("x", "pathlib:Path.home", "p").load() == Path.home


def test_the_standard_librarys_reader_finds_the_same() -> None:
    found = {(entry.name, entry.value) for entry in entry_points(group=GROUP)}

    assert {(entry.name, entry.value) for entry in task_entries()} == found
