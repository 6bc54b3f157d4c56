"""What happened in a world, in order: the trace, its digest, and the story of one task."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

NAMES = ("task_instance_id", "dispatch_id", "workflow_instance_id", "request_id")
LINE_CHARS_MAX = 400
LINES_MAX = 250


class Violation(AssertionError):
    """An invariant of reliability.md section 3 does not hold."""

    def __init__(self, rule: str, what: str, task_instance_id: int = 0) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule
        self.task_instance_id = task_instance_id


class Trace:
    """Entries (virtual ms, node, kind, things). Things are immutable: text, numbers, commands."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str, str, tuple[Any, ...]]] = []

    def add(self, now_ms: int, node: str, kind: str, *things: Any) -> None:
        """One more entry."""
        self.entries.append((now_ms, node, kind, things))

    def digest(self) -> str:
        """Equal for two runs that did the same."""
        total = hashlib.sha256()
        for entry in self.entries:
            total.update(repr(entry).encode())
        return total.hexdigest()

    def story(self, task_instance_id: int) -> str:
        """All that concerns one task: its events, frames, commits and spawns; and all crashes."""
        dispatches = {
            found["dispatch_id"]
            for *_, things in self.entries
            for thing in things
            for found in facts_of(thing)
            if found.get("task_instance_id") == task_instance_id and found.get("dispatch_id")
        }
        lines = [
            f"{now_ms:>9} {node:<9} {kind:<8} {' '.join(map(brief, things))}"
            for now_ms, node, kind, things in self.entries
            if kind in ("starts", "crashes", "leaves", "heals")
            or any(concerns(thing, task_instance_id, dispatches) for thing in things)
        ]
        return "\n".join(lines[-LINES_MAX:])


def facts_of(thing: Any) -> Iterator[dict[str, Any]]:
    """The ids that a thing speaks of."""
    if isinstance(thing, dict):
        yield thing
    elif isinstance(thing, msgspec.Struct):
        yield {name: getattr(thing, name) for name in NAMES if hasattr(thing, name)}
        for parts in ("attempts", "verdicts"):
            yield from (fact for part in getattr(thing, parts, ()) for fact in facts_of(part))


def concerns(thing: Any, task_instance_id: int, dispatches: set[int]) -> bool:
    """Whether a thing is about that task."""
    return any(
        found.get("task_instance_id") == task_instance_id or found.get("dispatch_id") in dispatches
        for found in facts_of(thing)
    )


def brief(thing: Any) -> str:
    """A thing in one short line."""
    if isinstance(thing, dict):
        thing = {name: value for name, value in thing.items() if value not in (None, "", "{}")}
    text = str(thing)
    return text if len(text) <= LINE_CHARS_MAX else text[:LINE_CHARS_MAX] + "…"
