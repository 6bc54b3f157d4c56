"""``debug peek`` for people: a message a line, and its fields below it."""

import textwrap
from collections.abc import Sequence
from typing import Any

from .text import columns, printable

Document = dict[str, Any]


def lines(rows: Sequence[Document]) -> list[str]:
    """What waits, oldest first, then what was received, newest first."""
    waiting = [row for row in rows if row["state"] == "waiting"]
    received = [row for row in rows if row["state"] != "waiting"]
    found = ["nothing waits" if not waiting else "waiting, oldest first:"]
    for row in waiting:
        sender = f" from {printable(row['from'])}" if row["from"] else ""
        found += _message(row, f"{sender}, for {row['age_ms']} ms")
    found += ["", "received, newest first:"] if received else []
    for row in received:
        found += _message(row, "")
    return found


def _message(row: Document, circumstance: str) -> list[str]:
    fields = [f"{name}={_value(value)}" for name, value in row["fields"].items()]
    head = f"  {row['message']}{circumstance}"
    indent = "    "
    return [
        head,
        *textwrap.wrap(
            " ".join(fields),
            columns(),
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ),
    ]


def _value(value: object) -> str:
    match value:
        case dict():
            inside = " ".join(f"{k}={_value(v)}" for k, v in value.items() if k != "message")
            return f"{value.get('message', '')}({inside})"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case None:
            return "-"
    return printable(str(value))
