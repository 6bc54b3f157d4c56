"""Persisters of one live instance, and what they wrote."""

from typing import Any

from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.messages import AdmitInstance, RecoverTasks, TaskEnded
from stenella.protocol.rows import DeadLetter, TaskEvent, TaskInstanceRow
from stenella.protocol.states import Event, TaskState

from .builders import EPOCH, FAILOVER_MAX, GRACE_MS, PEER, instance_row, task, version
from .recorder import Asked, Recorder, of

WAITS = {"state": TaskState.SUBMITTED_SUCCESS}
RUNS = {"state": TaskState.RUNNING_EXECUTION, "seq": 1}


def persister(ctx: Recorder, *rows: TaskInstanceRow, params: Any = None) -> EventPersister:
    """A persister of one live instance with these rows."""
    made = EventPersister(1, EPOCH, GRACE_MS, FAILOVER_MAX)
    of_two = version(task("a", params=params or {}), task("b"))
    ctx.give(made, AdmitInstance(instance_row(), of_two))
    ctx.give(made, RecoverTasks(list(rows)))
    return made


def hear(ctx: Recorder, made: EventPersister, callback: Any, sender: str = "w1") -> list[Asked]:
    return ctx.give(made, callback, PEER, sender)


def events(asked: list[Asked]) -> list[tuple[Event, TaskState | None, TaskState | None]]:
    found = [row for row in of(asked, "append") if isinstance(row, TaskEvent)]
    return [(Event(row.event), row.from_state, row.to_state) for row in found]  # type: ignore[misc]


def letters(asked: list[Asked]) -> list[str]:
    return [row.reason for row in of(asked, "append") if isinstance(row, DeadLetter)]


def ended(state: TaskState, reason: str = "", is_to_end: bool = False) -> TaskEnded:
    return TaskEnded(1, 10, 0, state, reason, 1, 0, is_to_end)
