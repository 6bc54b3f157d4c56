"""What a page of the documentation holds besides prose: files, commands and what they print.

A page is written for people; these are the only rules it follows:

- A fenced block below a line that is nothing but a name in backticks and a colon is that file.
- A block marked ``console`` is typed line by line: what follows ``$ `` is a command, what follows
  ``> `` belongs to it, and below it stands what it prints. A line that is only ``…`` stands for
  lines left out, a ``…`` in a line for the rest of it; any number may be another one.
- A command ends with 0, unless the next one is ``echo $?`` and shows with what it ended.
- A block marked ``sh`` is for the reader's machine: installing, and running the tests.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_FILE_NAME = re.compile(r"`([\w./-]+)`:")
_OMITTED = "…"
_WILD = re.compile(rf"(\d+|\s+|{_OMITTED})")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    lines: tuple[str, ...]
    file: str | None  # the name it is given above
    line: int  # of its first line in the page, from 1

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


@dataclass
class Typed:
    """A command, what is shown of its output, and how it ends."""

    command: str
    line: int
    shown: list[str] = field(default_factory=list)
    code: int = 0


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    found = []
    above, opened = "", None  # type: str, tuple[str, int] | None
    inside: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is not None and line == "```":
            name = _FILE_NAME.fullmatch(above)
            found.append(Block(opened[0], tuple(inside), name[1] if name else None, opened[1]))
            above, opened, inside = "", None, []
        elif opened is not None:
            inside.append(line)
        elif line.startswith("```"):
            opened = (line.removeprefix("```"), number + 1)
        elif line:
            above = line
    assert opened is None, f"{page.name}: the block of line {opened} is not closed"
    return found


def typed(block: Block) -> list[Typed]:
    """The commands of a ``console`` block."""
    commands: list[Typed] = []
    for number, line in enumerate(block.lines, start=block.line):
        if line.startswith("$ "):
            commands.append(Typed(line.removeprefix("$ "), number))
        elif line.startswith("> ") and not commands[-1].shown:
            commands[-1].command += "\n" + line.removeprefix("> ")
        else:
            commands[-1].shown.append(line)
    for command, following in pairwise(commands):
        if following.command == "echo $?":
            command.code = int(following.shown[0])
    return commands


def missing(shown: list[str], printed: str) -> str | None:
    """The first shown line that was not printed in this order; None: all were."""
    lines = iter(printed.splitlines())
    for wanted in shown:
        if wanted.strip() in ("", _OMITTED):
            continue
        pattern = re.compile(_pattern(wanted))
        if not any(pattern.fullmatch(line.rstrip()) for line in lines):
            return wanted
    return None


def _pattern(line: str) -> str:
    wild = {_OMITTED: r".*", " ": r"\s+", "0": r"\d+"}
    return "".join(
        wild[_kind(part)] if _WILD.fullmatch(part) else re.escape(part)
        for part in _WILD.split(line.rstrip())
        if part
    )


def _kind(part: str) -> str:
    return _OMITTED if part == _OMITTED else " " if part.isspace() else "0"


def tables(page: Path, heading: str) -> Iterator[list[str]]:
    """Cells of the table rows below a heading, up to the next one; without the head."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(
        n for n, line in enumerate(lines) if line.lstrip("# ") == heading and line[0] == "#"
    )
    rows = []
    for line in lines[start + 1 :]:
        if line.startswith("#"):
            break
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows, heading
    yield from rows[2:]
