"""The entry point group: a real package with a type of its own, and broken ones beside it."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stenella.tasks.shell import Shell
from stenella.tasks.types import offered

from .attempts import attempt, launched, request

#: What a stranger writes to have a task type of their own.
EXAMPLE = '''
"""A task type that counts the words of the file in the parameter ``file``."""

import sys
from pathlib import Path

from stenella.protocol.launch import CannotPrepare, Launch
from stenella.tasks import traces
from stenella.tasks.environment import environment, inherited

COUNT = """
import os, pathlib
words = pathlib.Path(os.environ["file"]).read_text().split()
print("counted", len(words))
pathlib.Path(os.environ["STENELLA_OUTPUT"]).write_text('{"words": %d}' % len(words))
"""


class Words:
    def prepare(self, request, folder):
        if not Path(request.params.get("file", "")).is_file():
            raise CannotPrepare("the parameter file names no file")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = environment(request, folder, inherited({}))
        return Launch([sys.executable, "-c", COUNT], env, str(folder))

    def collect(self, folder, log, exit_code, declared, required):
        return traces.collect(folder, log, exit_code, declared, required)
'''

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Install a package of one module with entry points into a folder of ``sys.path``."""
    site = tmp_path / "site"
    modules = []

    def install(module: str, source: str, entries: str) -> None:
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[stenella.tasks]\n{entries}\n")
        (site / f"{module}.py").write_text(source)
        modules.append(module)

    sys.path.insert(0, str(site))
    yield install
    sys.path.remove(str(site))
    for module in modules:
        sys.modules.pop(module, None)


def test_ours_are_offered_by_the_installed_package() -> None:
    types = offered()

    assert isinstance(types["shell"], Shell)


@pytest.mark.live
def test_a_type_of_another_package_is_offered_and_works(install: Install, tmp_path: Path) -> None:
    install("stenella_words", EXAMPLE, "words = stenella_words:Words")
    (tmp_path / "text").write_text("five words of some text")
    asked = request(None, params={"file": str(tmp_path / "text")}, required=["words"])

    code, log, traces = attempt(offered()["words"], asked, tmp_path)

    assert (code, log, traces.outputs) == (0, "counted 5\n", {"words": 5})


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        ("import no_such_module_at_all", "bad = broken:Type"),
        ("def half(:", "bad = broken:Type"),
        ("1 / 0", "bad = broken:Type"),
        ("x = 1", "bad = broken:Type"),
        ("class Type:\n    def __init__(self, needed): ...", "bad = broken:Type"),
        ("class Type:\n    def prepare(self): ...", "bad = broken:Type"),
    ],
)
def test_a_broken_type_is_logged_and_the_others_are_offered(
    install: Install, caplog: pytest.LogCaptureFixture, source: str, entry: str
) -> None:
    install("broken", source, entry)

    with caplog.at_level(logging.ERROR):
        types = offered()

    assert "bad" not in types
    assert "shell" in types
    assert "bad (broken:Type of broken)" in caplog.text


def test_no_package_takes_the_name_of_one_of_ours(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("a_thief", EXAMPLE, "shell = a_thief:Words")

    types = offered()

    assert isinstance(types["shell"], Shell)
    assert "there already" in caplog.text


def test_several_attempts_do_not_meet(tmp_path: Path) -> None:
    shell = offered()["shell"]

    first = launched(shell, request("echo 1"), tmp_path / "1")
    second = launched(shell, request("echo 2"), tmp_path / "2")

    assert Path(first.argv[-1]).read_text() == "echo 1"
    assert first.env["STENELLA_OUTPUT"] != second.env["STENELLA_OUTPUT"]
