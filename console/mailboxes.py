"""What the actors of all nodes do, as tables: once, or again every second with rates."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ..client.reads import Reads
from . import pages
from .text import printable

Document = dict[str, Any]

#: Between two looks; a rate of a shorter time jumps about.
PAUSE_S = 1.0
#: Rows of a node that are no actors of it.
STORAGE, WIRE = "storage", "wire"
#: Home, and clear what is below: the table stands still while its figures change.
REPAINT = "\x1b[H\x1b[J"


class Reading:
    """The rows of one moment, and of the one before if there was one."""

    def __init__(self, rows: Sequence[Document], at_s: float, before: "Reading | None") -> None:
        self.rows, self.at_s, self.before = rows, at_s, before
        self._by_name = {(row["node"], row["actor"]): row for row in rows}

    def rate(self, row: Document, field: str) -> float | None:
        """How fast ``field`` rises, per second; None: nothing to compare with, or a new life."""
        if self.before is None:
            return None
        former = self.before._by_name.get((row["node"], row["actor"]))
        if former is None or former[field] > row[field]:
            return None
        took_s = max(0.001, self.at_s - self.before.at_s)
        return float((row[field] - former[field]) / took_s)

    def of(self, node: str, actor: str) -> Document | None:
        """The row of that name."""
        return self._by_name.get((node, actor))


def readings() -> Iterator[Reading]:
    """One after another, for ever; a cluster that does not answer ends it."""
    reading: Reading | None = None
    with Reads() as client:
        while True:
            rows = client.mailboxes()
            if reading is not None:
                reading.before = None  # the one before last
            reading = Reading(rows, time.monotonic(), reading)
            yield reading
            time.sleep(PAUSE_S)


def watch(as_json: bool) -> None:
    """Until it is interrupted: repainted in a terminal, else one after another."""
    repaints = sys.stdout.isatty() and not as_json
    for reading in readings():
        if as_json:
            pages.emit(reading.rows)
        else:
            click.echo((REPAINT if repaints else "") + "\n".join(lines(reading)) + "\n")
        sys.stdout.flush()


def lines(reading: Reading) -> list[str]:
    """Actors, then what each node writes and hears."""
    return [*_actors(reading), "", *_nodes(reading)]


def _actors(reading: Reading) -> list[str]:
    is_first = reading.before is None
    done = "DONE" if is_first else "PER S"
    head = ("NODE", "ACTOR", "DEPTH", "HIGH", "HELD", "OLDEST", done, "P99 µs", "REJECTED")
    fields = ("node", "actor", "depth", "high_water", "held", "oldest_ms")
    return pages.columns(
        head,
        [
            (
                *(row[field] for field in fields),
                row["handled"] if is_first else _rate(reading, row, "handled"),
                row["busy_us_p99"],
                _reasons(row["rejected"]),
            )
            for row in reading.rows
            if row["actor"] not in (STORAGE, WIRE)
        ],
    )


def _nodes(reading: Reading) -> list[str]:
    """Of a node that is of another version, what it does not say is left out."""
    head = ("NODE", "COMMITS", "LAST ms", "P99 ms", "FLYING", "AHEAD", "IN", "OUT", "REJECTED")
    if reading.before is not None:
        head = (*head[:1], "PER S", *head[2:6], "IN/S", "OUT/S", *head[8:])
    rows = []
    told = []
    for wire in (row for row in reading.rows if row["actor"] == WIRE):
        storage = reading.of(wire["node"], STORAGE) or {}
        if storage.get("stalled_ms"):
            why = f" ({printable(storage['stalled_why'])})" if storage["stalled_why"] else ""
            stalled_s = storage["stalled_ms"] / 1_000
            told.append(f"{wire['node']} could not write for {stalled_s:.1f} s{why}")
        rows.append(
            (
                wire["node"],
                _count(reading, storage, "handled"),
                _milliseconds(storage.get("commit_ms_last")),
                _milliseconds(storage.get("commit_ms_p99")),
                storage.get("oldest_ms"),
                _bytes(storage.get("ahead_bytes")),
                _count(reading, wire, "handled"),
                _count(reading, wire, "frames_out"),
                _reasons(wire["rejected"]),
            )
        )
    return [*pages.columns(head, rows), *told]


def _count(reading: Reading, row: Document, field: str) -> object:
    if field not in row or reading.before is None:
        return row.get(field)
    return _rate(reading, row, field)


def _rate(reading: Reading, row: Document, field: str) -> str | None:
    rate = reading.rate(row, field)
    return None if rate is None else f"{rate:.0f}"


def _milliseconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _bytes(value: int | None) -> str | None:
    if value is None:
        return None
    return f"{value} B" if value < 10_000 else f"{value / 1_000:.0f} kB"


def _reasons(rejected: Document) -> str:
    return " ".join(f"{reason} {count}" for reason, count in rejected.items())
