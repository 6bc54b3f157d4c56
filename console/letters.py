"""Dead letters for people."""

import json
from collections.abc import Sequence
from typing import Any

from . import pages
from .text import moment, printable

Document = dict[str, Any]


def table(rows: Sequence[Document]) -> list[str]:
    """`debug dead-letters list`."""
    if not rows:
        return ["no dead letters"]
    head = ("LETTER", "AT", "FROM", "INSTANCE", "REASON")
    return pages.columns(
        head,
        [
            (
                row["id"],
                moment(row["at"]),
                row["sender"] or None,
                row["workflow_instance_id"],
                row["reason"],
            )
            for row in rows
        ],
    )


def whole(row: Document) -> list[str]:
    """`debug dead-letters show`."""
    lines = [
        f"dead letter {row['id']} of {moment(row['at'])}",
        f"reason {printable(row['reason'])}",
    ]
    if row["sender"]:
        lines.append(f"from {printable(row['sender'])}, for {row['actor']}")
    if row["workflow_instance_id"]:
        lines.append(f"about workflow instance {row['workflow_instance_id']}")
    return [*lines, "", printable(json.dumps(row["body"], indent=2, ensure_ascii=False))]
