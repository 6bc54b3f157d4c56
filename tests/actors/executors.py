"""Executors of a worker with two slots, and what their warden says."""

from typing import Any

from stenella.actors.base import Boot, Discard, Loaded, Prepared, Timer, ToWarden, WardenSaid
from stenella.actors.worker.executor import RUNNING_MS, Executor
from stenella.actors.worker.messages import EpochRose, Leased
from stenella.protocol.launch import Launch
from stenella.protocol.rows import JournalAttempt

from .builders import EPOCH, GRACE_MS, IDENTITY, MASTER, request
from .recorder import WALL_MS, Asked, Recorder, told

LAUNCH = Launch(["/bin/true"], {"A": "b"}, "/work")
BEGUN = {"say": "begun", "dispatch_id": 100, "pid": 77, "start_ticks": 5, "start_time": WALL_MS}
ENDED = {
    "say": "ended",
    "dispatch_id": 100,
    "code": 0,
    "signal": None,
    "end_time": WALL_MS + 60,
    "duration_ms": 60,
    "intent": None,
    "problem": None,
}
#: Of master 1, which watches the warden.
UNLEASED = Leased(1, 0, 10_000)
FORGOTTEN: list[Asked] = [
    ("delete", JournalAttempt, 100),
    ("perform", ToWarden({"do": "forget", "dispatch_id": 100})),
    ("perform", Discard(100)),
]


def executor(ctx: Recorder, *messages: Any) -> Executor:
    """An executor of two slots that has recovered with nothing, and received these."""
    return adopting(ctx, [], [], *messages)


def adopting(
    ctx: Recorder, rows: list[JournalAttempt], records: list[dict[str, Any]], *messages: Any
) -> Executor:
    """An executor that has found these in its journal and at its warden."""
    made = Executor(IDENTITY, MASTER, GRACE_MS)
    greeting = records_of(records)
    ctx.asked = []
    met = (Boot(), Loaded("attempts", (), rows), greeting, EpochRose(EPOCH), UNLEASED)
    for message in (*met, *messages):
        if message == LIVED:
            ctx.now_ms += RUNNING_MS
        ctx.give(made, message)
    return made


def facts(asked: list[Asked]) -> list[Any]:
    """What was reported."""
    return [fact for message in told(asked, "callback_sender") for fact in message.facts]


def said(**fact: Any) -> WardenSaid:
    return WardenSaid(fact)


def records_of(records: list[dict[str, Any]]) -> WardenSaid:
    return said(say="records", records=records, pid=55, start_ticks=6)


PREPARED = Prepared(100, LAUNCH)
STARTED = (request(), PREPARED)
#: The process has lived so long that RUNNING is told.
LIVED = Timer("running")
RUNNING = (*STARTED, WardenSaid(BEGUN), LIVED)


def to_warden_kill(intent: str = "person", grace_ms: int = GRACE_MS) -> Asked:
    asked = {"do": "kill", "dispatch_id": 100, "intent": intent, "grace_ms": grace_ms}
    return ("perform_now", ToWarden(asked))  # whatever the disk does
