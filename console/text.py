"""Text for terminals: nothing a task wrote can steer one, and tables fit into its width.

Loaded by every command, so it imports next to nothing.
"""

import os
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence

#: Control characters, lone surrogates, and what ends a line for some terminals only.
HARMFUL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: They reorder what follows, so that a line reads as something it is not.
BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
COLUMN_GAP = "  "
CELL_WIDTH_MIN = 8  # a squeezed column still shows how its text begins
ELLIPSIS = "…"
CHART_WIDTH_MIN = 40  # narrower ones are drawn as if they had so many
UNLIMITED = 10_000  # columns; no table is as wide
FALLBACK_COLUMNS = 80  # where nobody tells the size of the terminal


def printable(text: str) -> str:
    """``text`` with control codes shown instead of sent; newlines and tabs stay."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return text.translate({ord(c): _shown(c) for c in set(text) if _is_harmful(c)})


def _is_harmful(character: str) -> bool:
    if character in "\n\t":
        return False
    return unicodedata.category(character) in HARMFUL_CATEGORIES or character in BIDI_CONTROLS


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def columns() -> int:
    """Columns of the terminal: $COLUMNS, else what stdout or stderr is shown on, else 80.

    Not by shutil, whose import costs five times what it does.
    """
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdigit() and int(named) > 0:
        return int(named)
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            width = os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
        except (OSError, ValueError):  # no terminal; closed
            continue
        if width > 0:
            return width
    return FALLBACK_COLUMNS


def terminal_width() -> int:
    """Columns of the terminal; as many as needed where nobody reads along, in a pipe for one."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return UNLIMITED
    return columns()


def chart_width() -> int:
    """Columns for a drawing: those of the terminal, 80 where there is none."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return FALLBACK_COLUMNS
    return max(CHART_WIDTH_MIN, columns())


def is_ascii_only() -> bool:
    """Whether what is drawn with must be ASCII."""
    return "utf" not in (sys.stdout.encoding or "").lower()


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    width: int,
    style: Callable[[str, str], str] = lambda _column, text: text,
) -> list[str]:
    """Lines of a table with a head, at most ``width`` columns where that is possible.

    None is an empty cell. What is too wide is taken from the widest columns first, which end in an
    ellipsis. ``style(column, padded text)`` may colour a cell.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    room = width - len(COLUMN_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > CELL_WIDTH_MIN:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for number, row in enumerate([list(head), *cells]):
        padded = [_fit(text, size) for text, size in zip(row, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        if number > 0:
            padded = [style(name, text) for name, text in zip(head, padded, strict=True)]
        lines.append(COLUMN_GAP.join(padded).rstrip())
    return lines


def _cell(value: object) -> str:
    return "" if value is None else " ".join(printable(str(value)).split())


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + ELLIPSIS


def moment(epoch_s: float | None) -> str:
    """A time as people here read it; empty if unknown."""
    if epoch_s is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))


def span(seconds: float | None) -> str:
    """A duration in at most two units: 0.3 s, 12.4 s, 3 min 05 s, 2 h 07 min, 3 d 4 h."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)  # a clock that was set back
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, whole_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {whole_s:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"
