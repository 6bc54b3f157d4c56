"""The history of a task, folded: what its row's control columns must be after each event."""

from typing import Any, NamedTuple

from stenella.protocol.states import Event, TaskState

E = Event


class Control(NamedTuple):
    """The columns that decide what happens next."""

    state: int
    attempt: int
    try_no: int
    failover_no: int
    worker: str | None = None
    boot: str | None = None
    dispatch_id: int = 0
    seq: int = 0
    eligible_at: int = 0


def control(row: dict[str, Any]) -> Control:
    """The control columns of a stored row."""
    return Control(*(row[name] for name in Control._fields))


def fold(before: Control | None, event: dict[str, Any]) -> Control:
    """The control columns after one more event."""
    match Event(event["event"]):
        case E.SUBMIT:
            tries = event["attempt"], event["try_no"], event["failover_no"]
            return Control(TaskState.SUBMITTED_SUCCESS, *tries, eligible_at=event["eligible_at"])
        case E.SKIP:
            return Control(event["to_state"], 0, 0, 0)
        case E.KILL if before is None:
            return Control(event["to_state"], 0, 0, 0)
    assert before is not None, event
    after = before._replace(state=event["to_state"])
    match Event(event["event"]):
        case E.DISPATCH:
            placed = {name: event[name] for name in ("worker", "boot", "dispatch_id")}
            return after._replace(**placed, seq=0, eligible_at=0)
        case E.DELAY | E.DUE:
            return after._replace(eligible_at=event["eligible_at"])
        case E.KEPT:
            return after._replace(boot=event["boot"])
        case E.RUNNING | E.RESULT | E.LOST:
            return after._replace(seq=event["callback_seq"])
    return after
