"""How far a workflow instance is, kept from the answers of a watch; what views draw. No I/O."""

from collections import Counter
from typing import Any, NamedTuple

from ..client.plan import Shape
from ..client.reads import is_final
from ..protocol.states import TASK_COUNTS_AS_RUNNING, TASK_FINAL

Document = dict[str, Any]

FINAL = frozenset(state.name for state in TASK_FINAL)
RUNNING = frozenset(state.name for state in TASK_COUNTS_AS_RUNNING)
FAILED = frozenset(("FAILURE", "KILL", "NEED_FAULT_TOLERANCE"))


class Stage(NamedTuple):
    """A stage in numbers."""

    number: int  # from 1
    name: str  # of its first task
    width: int
    done: int
    running: int
    failed: int

    @property
    def is_done(self) -> bool:
        return self.done == self.width

    @property
    def is_waiting(self) -> bool:
        return self.done == self.running == 0


class Progress:
    """The newest of everything; ``shape``: the graph, if it is known."""

    def __init__(self, shape: Shape | None = None) -> None:
        self.shape = shape
        self.instance: Document | None = None
        self.counts: dict[str, int] = {}
        self.tasks: dict[str, Document] = {}  # by name: those that have a row
        self._kinds: dict[str, str] = {}  # name → done, failed, running or ""
        stages = shape.stages if shape is not None else ()
        self._of_stage: list[Counter[str]] = [Counter() for _ in stages]

    def take(self, page: Document) -> None:
        """The answer to a watch; one without an instance says that nothing has changed."""
        if page["instance"] is None:
            return
        for task in page["tasks"]:
            name, kind = task["name"], _kind(task["state"])
            self.tasks[name] = task
            if self.shape is not None and name in self.shape.stage_of:
                counts = self._of_stage[self.shape.stage_of[name]]
                counts[self._kinds.get(name, "")] -= 1
                counts[kind] += 1
            self._kinds[name] = kind
        self.instance, self.counts = page["instance"], page["counts"]

    @property
    def has_ended(self) -> bool:
        return self.instance is not None and is_final(self.instance)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return sum(number for state, number in self.counts.items() if state in FINAL)

    def stages(self) -> list[Stage]:
        """All of them in their order; none where the graph is not known."""
        if self.shape is None:
            return []
        return [
            Stage(
                number,
                names[0],
                len(names),
                counts["done"] + counts["failed"],
                counts["running"],
                counts["failed"],
            )
            for number, (names, counts) in enumerate(
                zip(self.shape.stages, self._of_stage, strict=True), start=1
            )
        ]

    def of_kind(self, kind: str) -> list[Document]:
        """Tasks that are ``running`` or ``failed``, those first that began first."""
        found = [self.tasks[name] for name, its in self._kinds.items() if its == kind]
        return sorted(found, key=lambda task: task["start_time"] or float("inf"))


def _kind(state: str) -> str:
    if state in FAILED:
        return "failed"
    if state in FINAL:
        return "done"
    return "running" if state in RUNNING else ""


def count_line(counts: dict[str, int]) -> str:
    """``12/40 done, 3 running, 1 failed``."""
    done = sum(number for state, number in counts.items() if state in FINAL)
    running = sum(number for state, number in counts.items() if state in RUNNING)
    failed = sum(number for state, number in counts.items() if state in FAILED)
    line = f"{done:,}/{sum(counts.values()):,} done, {running:,} running"
    return f"{line}, {failed:,} failed" if failed else line
