"""What a task type says of an attempt: the process to be, and what an ended one left behind."""

from typing import Any

import msgspec

#: Task types without a process and without files: they end in the turn in which they begin, hold no
#: slot, and every worker has them.
INSTANT_TYPES = frozenset({"noop"})


class Launch(msgspec.Struct, frozen=True):
    """A process to be: exactly this environment (plus the marker), started in ``cwd``.

    ``traces``: every file, beside the log, of which the type's ``collect`` reads; absolute, in the
    attempt's folder. Where all are empty or missing at the end, and no output is declared, the type
    is not asked, nor of what never began. None: it is asked of whatever has begun.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    traces: list[str] | None = None


class Collection(msgspec.Struct, frozen=True):
    """The traces of an ended process. ``problem``: why a success is FAILURE ``bad_output``."""

    outputs: dict[str, Any]
    tail: str  # last lines of the log, for people
    problem: str = ""
    note: str = ""  # what a person should know of it, however it ended


class CannotPrepare(Exception):
    """The attempt cannot be begun; its text tells a person why. It fails with ``preflight``."""
