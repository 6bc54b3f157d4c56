"""Every command that a page shows is run, in its order, by a newcomer with an empty home."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .document import PAGES, ROOT, Block, Typed, blocks, missing, typed

#: Of one command on a busy machine; nothing that a page shows takes so long.
LIMIT_S = 60.0
#: After ``down`` for the processes to leave; an idle warden stays for 30 s.
LEAVE_S = 40.0

#: A block of its own, for a project that the page writes.
INSTALL = re.compile(r"pip install \./(\w+)")

WITH_COMMANDS = [
    page for page in PAGES if any(block.language == "console" for block in blocks(page))
]


class Newcomer:
    """A shell in a folder with the examples, an empty home folder, nothing of ours set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "folder"
        self.user_home = folder / "user"
        self.folder.mkdir()
        self.user_home.mkdir()
        (self.folder / "examples").symlink_to(ROOT / "examples")
        own = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
        programs = Path(sys.executable).parent
        self.environment = own | {
            "HOME": str(self.user_home),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "error",
            "PYTHONPATH": str(folder / "installed"),
        }

    def write(self, block: Block) -> None:
        assert block.file is not None
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)

    def install(self, project: str) -> None:
        """What pip would, apart from the environment of the tests: its modules and entry points."""
        source = self.folder / project
        document = tomllib.loads((source / "pyproject.toml").read_text())
        name, version = document["project"]["name"], document["project"]["version"]
        site = Path(self.environment["PYTHONPATH"])
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = []
        for group, entries in document["project"]["entry-points"].items():
            lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module in document["tool"]["setuptools"]["py-modules"]:
            shutil.copy(source / f"{module}.py", site)

    def type(self, command: str, code_before: int) -> tuple[str, int]:
        """What a command prints, wherever to, and its exit code."""
        done = subprocess.run(
            ["bash", "-c", f"(exit {code_before})\n{command}"],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return done.stdout, done.returncode

    def leave(self) -> None:
        """Take the cluster down; nothing stays behind."""
        self.type("stenella down --wait 0s", 0)
        end_s = time.monotonic() + LEAVE_S
        while running := self.processes():
            assert time.monotonic() < end_s, running
            time.sleep(0.05)

    def processes(self) -> list[str]:
        """Command lines of processes that have this user's home in their environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if f"HOME={self.user_home}".encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    person = Newcomer(tmp_path)
    yield person
    person.leave()


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(page: Path, newcomer: Newcomer) -> None:
    code = 0
    for block in blocks(page):
        if block.file is not None:
            newcomer.write(block)
        elif block.language == "console":
            for command in typed(block):
                code = _try(page, command, newcomer, code)
        elif found := INSTALL.fullmatch(block.text.strip()):
            newcomer.install(found[1])


def _try(page: Path, command: Typed, newcomer: Newcomer, code_before: int) -> int:
    printed, code = newcomer.type(command.command, code_before)
    where = f"{page.name}:{command.line}: $ {command.command}\n{printed}"
    assert code == command.code, f"exit code {code} of {where}"
    lacking = missing(command.shown, printed)
    assert lacking is None, f"not there: {lacking!r}, in {where}"
    return code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_is_run_or_used_or_plain_text(page: Path) -> None:
    found = blocks(page)
    commands = " ".join(block.text for block in found if block.language in ("console", "sh"))
    for block in found:
        if block.file is None:
            assert block.language in ("console", "sh", "text"), f"{page.name}:{block.line}"
        else:
            assert block.file.split("/")[0] in commands, f"{page.name}:{block.line}"


def test_what_the_readme_tells_to_do_with_a_checkout_is_what_is_done_with_it() -> None:
    done = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    for block in blocks(ROOT / "README.md"):
        for line in block.lines if block.language == "sh" else ():
            assert any(line == other.strip().removeprefix("quietly ") for other in done), line
