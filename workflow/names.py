"""What things may be called, and how a wrong word is shown to people."""

import re

#: Workflows, tasks, task types, worker groups (DESIGN section 9).
NAME = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
NAME_RULE = "1 to 128 letters, digits, dots, hyphens and underscores (A-Z a-z 0-9 . - _)"
#: Parameters, outputs and environment variables: what every shell can read.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
VARIABLE_RULE = "1 to 128 letters, digits and underscores, not beginning with a digit"

#: User names as useradd takes them (its NAME_REGEX on Debian), never a number.
ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", re.ASCII)

#: A quoted value in a message is cut here: a line of a terminal.
QUOTED_CHARS_MAX = 60


def is_reserved(variable: str) -> bool:
    """Whether the worker sets it itself, or the loader obeys it: a task may not."""
    return variable == "PATH" or variable.startswith(("LD_", "STENELLA_"))


def quoted(value: object) -> str:
    """``value`` for a message: short, on one line, without control characters."""
    match value:
        case None:
            return "null"
        case True | False:
            return str(value).lower()
        case str():
            cut = value[:QUOTED_CHARS_MAX]
            return repr(cut) if cut == value else f"{cut!r}…"
        case int() | float():
            return repr(value)[:QUOTED_CHARS_MAX]
        case _:
            return kind(value)


def kind(value: object) -> str:
    """The JSON type of ``value`` in words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"
