"""A problem in a file as people want it: where, what, the line itself and a caret below.

Loaded by every command, so it imports next to nothing; used when something is wrong only.
"""

import re
import unicodedata
from collections.abc import Mapping

from ..protocol.errors import Problem, StenellaError
from .text import columns, printable

#: What a caret underlines: a word as definitions and settings have them.
_WORD = re.compile(r"""[\w.-]+|"[^"]*"|'[^']*'|\$\{[^}]*\}|\$\[[^\]]*\]""")
TAB_COLUMNS = 4
ELLIPSIS = "…"
WIDTH_MIN = 20  # of the excerpt, on whatever is called a terminal
#: Columns before the caret that are kept of a line too long for the terminal.
CONTEXT_COLUMNS = 30


def problem_lines(problem: Problem, sources: Mapping[str, str]) -> list[str]:
    """``file:line:column: message [rule]; did you mean …`` as editors and people find it, then
    the source line with a caret if ``sources`` has the file's text.
    """
    parts = (problem.file, problem.line, problem.column)
    where = ":".join(str(part) for part in parts if part is not None) or problem.path or ""
    mend = f"; did you mean {problem.suggestion}?" if problem.suggestion else ""
    head = f"  {where}{': ' if where else ''}{problem.message} [{problem.rule}]{mend}"
    text = sources.get(problem.file or "")
    if text is None or problem.line is None:
        return [printable(head)]
    width = max(WIDTH_MIN, columns())
    return [printable(head), *excerpt(text, problem.line, problem.column, width)]


def headline(error: StenellaError) -> str:
    """The error's first line; where its problems are told below it, how many there are."""
    files = [problem.file for problem in error.problems if problem.file in error.sources]
    if not files:
        return error.message
    count = error.count
    return f"{files[0]} has {count:,} problem{'s' if count > 1 else ''}"


def excerpt(text: str, line: int, column: int | None, width: int) -> list[str]:
    """The line and a caret line below it, both at most ``width`` columns; none if it is empty."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines) or not lines[line - 1].strip():
        return []
    source, at = lines[line - 1], (column or 1) - 1
    shown, before = _shown(source), _columns(_shown(source[:at]))
    word = _WORD.match(source, at)
    length = _columns(_shown(word[0])) if word else 1
    margin = f"  {line:>5} | "
    room = width - len(margin)
    if _columns(shown) > room:
        shown, before = _clipped(shown, before, room)
    caret = [] if column is None else [f"{' ' * (len(margin) - 2)}| {' ' * before}"]
    carets = "^" * max(1, min(length, room - before))
    return [margin + shown, *(blank + carets for blank in caret)]


def _clipped(shown: str, before: int, room: int) -> tuple[str, int]:
    """As much round the column ``before`` as there is room for, and where the column is then."""
    start = max(0, before - min(CONTEXT_COLUMNS, room // 2)) if before > room // 2 else 0
    kept, used, skipped = [], 0, 0
    for character in shown:
        columns = _columns(character)
        if skipped < start:
            skipped += columns
        elif used + columns < room - 1:
            kept.append(character)
            used += columns
        else:
            kept.append(ELLIPSIS)
            break
    before -= skipped
    if start:
        return ELLIPSIS + "".join(kept)[1:], before
    return "".join(kept), before


def _shown(text: str) -> str:
    return printable(text.expandtabs(TAB_COLUMNS).replace("\n", ""))


def _columns(text: str) -> int:
    """How wide a terminal shows ``text``."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
