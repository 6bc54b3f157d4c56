"""I29: of what waits for the same slot, or for none, nothing goes before what is more urgent.

Knows the events, the definitions and the master's clock; computes the order by itself.
"""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from stenella.protocol.launch import INSTANT_TYPES
from stenella.protocol.states import PRIORITIES, Event, TaskState, WorkflowState

from .story import Violation

if TYPE_CHECKING:
    from .rows import Rows

Fields = dict[str, Any]
E, T, W = Event, TaskState, WorkflowState


class Waiting(NamedTuple):
    """A task that is ready for a slot. ``known_ms``: since when the master knows (world)."""

    rank_ms: int
    known_ms: int
    group: str
    instant: bool  # it needs no slot
    life: int


class QueueOrder:
    """What waits for a slot, in the order in which it must go."""

    def __init__(self, rows: "Rows") -> None:
        self.rows = rows
        self.world = rows.world
        self.waiting: dict[int, Waiting] = {}  # by task
        self.placed: dict[int, Waiting] = {}  # what it was before it was placed

    def look(self, kind: Event, event: Fields) -> None:
        """An event is on disk. Raises `Violation`."""
        number, life = event["task_instance_id"], self.world.master.life
        now_ms = self.rows.waits.thought_ms[event["at"]]
        match kind:
            case E.SUBMIT | E.DUE if event["eligible_at"] == 0:
                rank_ms = self.rows.waits.clock_ms[event["at"]] + self._level_ms(number)
                instant = self.rows.tasks[number]["type"] in INSTANT_TYPES
                self.waiting[number] = Waiting(rank_ms, now_ms, self._group(number), instant, life)
            case E.RETURNED if number in self.placed:
                self.waiting[number] = self.placed[number]._replace(known_ms=now_ms)
            case E.DISPATCH:
                present = self.waiting.pop(number, None)
                self.placed.pop(number, None)
                if present is not None and present.life == life:
                    self.placed[number] = present
                    self._is_first(present, now_ms, event)
            case _:
                self.waiting.pop(number, None)

    def _level_ms(self, number: int) -> int:
        row = self.rows.tasks[number]
        definition, _ = self.rows.definition(self.rows.instances_now[row["workflow_instance_id"]])
        words = definition.priority, definition.tasks[row["node"]].priority
        of_workflow, of_task = (PRIORITIES.index(word) for word in words)
        return (len(PRIORITIES) * of_workflow + of_task) * self.world.options.age_ms

    def _group(self, number: int) -> str:
        row = self.rows.tasks[number]
        definition, _ = self.rows.definition(self.rows.instances_now[row["workflow_instance_id"]])
        return definition.tasks[row["node"]].worker_group

    def _is_first(self, present: Waiting, now_ms: int, event: Fields) -> None:
        worker = self.rows.read("SELECT groups FROM worker WHERE id = ?", event["worker"])
        groups = json.loads(worker[0]["groups"])
        for other, waiting in self.waiting.items():
            same_room = waiting.group in groups and waiting.instant == present.instant
            comparable = waiting.life == present.life and same_room
            known = waiting.known_ms < now_ms  # in an earlier turn
            if comparable and known and waiting.rank_ms < present.rank_ms and self._may_run(other):
                text = f"{event} ({present}) before task {other} ({waiting})"
                raise Violation("I29 what is more urgent goes first", text, other)

    def _may_run(self, number: int) -> bool:
        """Nobody has asked for its end."""
        row = self.rows.read("SELECT * FROM task_instance WHERE id = ?", number)[0]
        instance = self.rows.instances_now[row["workflow_instance_id"]]
        waits = row["state"] in (T.SUBMITTED_SUCCESS, T.DISPATCH, T.RUNNING_EXECUTION)
        return waits and instance["state"] == W.RUNNING_EXECUTION
