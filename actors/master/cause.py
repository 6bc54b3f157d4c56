"""One sentence about one thing that has not ended, on its way through the actors (`explain.py`)."""

from typing import Any

import msgspec

#: Of one instance, causes told one by one; what is left over is counted.
CAUSES_MAX = 200
#: To count how many go before one means to look at all; done for so few causes at a time.
AHEAD_CAUSES_MAX = 3

BETWEEN = "it is between two steps at this very moment; ask again"


class Cause(msgspec.Struct, kw_only=True):
    """One sentence about one thing that has not ended, filled on its way through the actors."""

    task: str | None = None  # None: the instance itself
    task_instance_id: int | None = None
    state: str = "WAITING"
    owner: str = ""  # who acts next
    cause: str = ""  # a stable word
    sentence: str = ""
    next: str = ""  # what happens next, or what a person can do
    since: int | None = None  # wall
    until: int | None = None  # wall
    event_no: int = 0  # of its row
    queue: tuple[str, str] | None = None  # group and type: it should be there, or in a wait
    worker: str = ""  # it should be there
    dispatch_id: int = 0
    parents: list[int] | None = None  # nodes whose success is missing; to be named

    def document(self) -> dict[str, Any]:
        """As `explain --json` and `Client.explain` have it; times in seconds."""
        return {
            "task": self.task,
            "task_instance_id": self.task_instance_id,
            "state": self.state,
            "owner": self.owner or None,
            "cause": self.cause or "between_steps",
            "sentence": self.sentence or BETWEEN,
            "since": _seconds(self.since),
            "until": _seconds(self.until),
            "next": self.next or None,
        }


def _seconds(wall_ms: int | None) -> float | None:
    return None if wall_ms is None else wall_ms / 1_000


def parked(instance: dict[str, Any]) -> list[dict[str, Any]]:
    """The one cause of an instance that is left alone until a person acts; none if it is not."""
    if not instance["attention"]:
        return []
    cause = Cause(state=instance["state"], owner="a person", cause="needs_attention")
    cause.sentence = instance["attention"]
    cause.next = "see `stenella debug dead-letters`; retry or drop the one that concerns it"
    return [cause.document()]
