"""A plain document with the place of everything in it, built from a parser's events.

Both file formats feed one `Builder`: it refuses double keys, too deep and too large documents, and
remembers where each key and item stands, so that any later problem has a line and a column.
"""

import math
from typing import NoReturn

from ..workflow.findings import Findings, Path, Place
from ..workflow.names import quoted

#: A definition has six levels; the rest is room for a clear message about a misplaced value.
DEPTH_MAX = 32
#: Keys, items and values after aliases are spread out: 20 of each of the most tasks.
NODES_MAX = 2_000_000
#: Octal digits of 64 bits; the exact bound is a field's matter.
INTEGER_DIGITS_MAX = 22

Scalar = str | int | float | bool | None


class Unreadable(Exception):
    """The text ends here for its reader; what is wrong stands in the findings."""


class _Frame:
    """A container that is not closed yet."""

    __slots__ = ("container", "key", "last", "nodes_before", "places")

    def __init__(self, container: dict[str, object] | list[object], nodes_before: int) -> None:
        self.container = container
        self.key: str | None = None  # the key that waits for its value
        self.last: str | int = 0  # key or index of the newest entry
        self.places: dict[str | int, Place] = {}
        self.nodes_before = nodes_before


class Builder:
    """Takes ``open_mapping``, ``open_list``, ``close``, ``key``, ``scalar`` in document order."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        findings.locate = self.locate
        self.value: object = None
        self.place: Place | None = None
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._places: dict[int, dict[str | int, Place]] = {}  # by id: ``value`` keeps them alive

    @property
    def wants_key(self) -> bool:
        """Whether a mapping is open whose next entry must begin."""
        if not self._stack:
            return False
        frame = self._stack[-1]
        return frame.key is None and isinstance(frame.container, dict)

    def open_mapping(self, at: Place) -> None:
        self._open({}, at)

    def open_list(self, at: Place) -> None:
        self._open([], at)

    def _open(self, container: dict[str, object] | list[object], at: Place) -> None:
        if len(self._stack) == DEPTH_MAX:
            self.give_up("too_large", f"more than {DEPTH_MAX} levels inside each other", at)
        self._count(1, at)
        frame = _Frame(container, self._nodes)
        self._places[id(container)] = frame.places
        self._attach(container, at)
        self._stack.append(frame)

    def close(self) -> tuple[object, int]:
        """Ends the innermost container; gives it and the number of its nodes."""
        frame = self._stack.pop()
        return frame.container, self._nodes - frame.nodes_before + 1

    def key(self, key: str, at: Place) -> None:
        frame = self._stack[-1]
        self._count(1, at)
        if key in frame.places:
            line = frame.places[key][0]
            message = f"the key {quoted(key)} stands here again, first in line {line}"
            self.findings.add((*self.path(), key), "duplicate_key", message, at=at)
        else:
            frame.places[key] = at
        frame.key = key

    def scalar(self, value: Scalar, at: Place) -> None:
        self._count(1, at)
        self._attach(value, at)

    def unread(self, rule: str, message: str, at: Place) -> None:
        """A scalar that cannot be taken: reported, and nothing stands in for it."""
        path = self.path_of_next()
        self.findings.add(path, rule, message, at=at)
        self.findings.mark_unread(path)
        self.scalar(None, at)

    def again(self, value: object, nodes: int, at: Place) -> None:
        """A value that stood before (an alias), with as many nodes as it had there."""
        self._count(nodes, at)
        self._attach(value, at)

    def _count(self, nodes: int, at: Place) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            message = f"more than {NODES_MAX:,} values, aliases counted as often as they are used"
            self.give_up("too_large", message, at)

    def _attach(self, value: object, at: Place) -> None:
        if not self._stack:
            self.value, self.place = value, at
            return
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            frame.last = len(frame.container)
            frame.places[frame.last] = at
            frame.container.append(value)
        else:
            assert frame.key is not None
            frame.last = frame.key
            frame.container.setdefault(frame.key, value)  # of a double key the first counts
            frame.key = None

    def path(self) -> Path:
        """Of the innermost open container."""
        return tuple(frame.last for frame in self._stack[:-1])

    def path_of_next(self) -> Path:
        """Of the value that comes next."""
        if not self._stack:
            return ()
        frame = self._stack[-1]
        last = frame.key if isinstance(frame.container, dict) else len(frame.container)
        return (*self.path(), last if last is not None else "")

    def locate(self, path: Path) -> Place | None:
        """Where the key or item ``path`` stands, or else the innermost thing around it."""
        value, place = self.value, self.place
        for part in path:
            places = self._places.get(id(value), {})
            if part not in places:
                break
            place = places[part]
            value = value[part]  # type: ignore[index]  # a container: it has places
        return place

    def give_up(self, rule: str, message: str, at: Place | None) -> NoReturn:
        """Reports what makes the rest unreadable. Raises Unreadable."""
        self.findings.add((), rule, message, at=at)
        raise Unreadable


def integer(text: str, base: int = 10) -> int | str:
    """The integer, or a sentence about why it cannot be taken."""
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > INTEGER_DIGITS_MAX:  # int() refuses some thousand digits with a riddle
        return f"the number {text[:12]}… does not fit into 64 bits"
    return -int(digits, base) if text.startswith("-") else int(digits, base)


def number(text: str) -> float | str:
    """The floating-point number, or a sentence about why it cannot be taken."""
    value = float(text)
    return value if math.isfinite(value) else f"the number {quoted(text)} is not finite"
