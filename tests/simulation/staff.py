"""What people want of workers holds: who is drained, small or of another group is given nothing.

Looks at the workers' rows and the events of each commit; knows nothing of registry or dispatcher.
"""

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from stenella.protocol.launch import INSTANT_TYPES
from stenella.protocol.states import TASK_COUNTS_AS_RUNNING, Event

from .node import HEARTBEAT_MS
from .story import Violation

if TYPE_CHECKING:
    from .rows import Rows

Fields = dict[str, Any]
REFUSALS = ("draining", "no_disk", "no_slot", "unknown_type")
#: A life of a worker that refused is asked again after a heartbeat; one more may have been under
#: way, and one that is told something new beats at once.
REFUSALS_MAX = 3


def slots_of(row: Fields) -> int:
    """How many attempts it may have."""
    number: int = row["slots"] if row["slots_set"] is None else row["slots_set"]
    return number


class Staff:
    """The workers' rows as of the last commit, and how often tasks were refused lately."""

    def __init__(self, rows: "Rows") -> None:
        self.rows = rows
        self.before: dict[str, Fields] = {}
        self.refused: dict[tuple[int, str], deque[int]] = {}  # task, boot → when (wall)

    def look(self, events: list[Fields]) -> None:
        """After a commit with these events. Raises `Violation`."""
        now = {row["id"]: dict(row) for row in self.rows.read("SELECT * FROM worker")}
        placed: dict[str, Fields] = {}
        for event in events:
            if event["event"] == Event.DISPATCH:
                if not self._is_instant(self.rows.tasks[event["task_instance_id"]]):
                    placed[event["worker"]] = event
                self._check_place(event, now[event["worker"]])
            elif event["event"] == Event.RETURNED and event["detail"] in REFUSALS:
                self._count(event)
        twin = self.rows.world.twin
        if twin is not None and any(row["boot"] == twin.boot for row in now.values()):
            twin.is_taken()
        for worker, event in placed.items():
            self._check_slots(worker, now, event)
        for row in now.values():
            self._check_life(row)
        self.before = now

    def _check_life(self, row: Fields) -> None:
        """Of one journal on one kernel a later life is the present one, whatever comes late."""
        before = self.before.get(row["id"], row)
        same = all(before[name] == row[name] for name in ("journal", "kernel_boot"))
        if same and before["boot"] != row["boot"] and before["life"] >= row["life"]:
            raise Violation("§5 no former life comes back", f"{row} after {before}")

    def _check_place(self, event: Fields, row: Fields) -> None:
        number = event["task_instance_id"]
        before = self.before.get(row["id"])
        drained = before and before["draining_since"], row["draining_since"]
        if drained[0] is not None and drained[0] == drained[1]:
            raise Violation("a drained worker is given nothing", f"{event}, {row}", number)
        task = self.rows.tasks[number]
        instance = self.rows.instances[task["workflow_instance_id"]]
        definition, _ = self.rows.definition(instance)
        group = definition.tasks[task["node"]].worker_group
        if group not in json.loads(row["groups"]):
            raise Violation("a task goes to a worker of its group", f"{group}: {row}", number)

    def _check_slots(self, worker: str, now: dict[str, Fields], event: Fields) -> None:
        """I28; what ran when the number fell goes on, and nothing comes to it."""
        rows = self.rows.tasks.values()
        held = [r for r in rows if r["worker"] == worker and r["state"] in TASK_COUNTS_AS_RUNNING]
        parked = self.rows.parked  # their worker refuses by itself
        live = [
            row
            for row in held
            if not self._is_instant(row) and row["workflow_instance_id"] not in parked
        ]
        most = max(slots_of(now[worker]), slots_of(self.before.get(worker, now[worker])))
        if len(live) > most:
            text = f"{worker} has {len(live)} of {most} after {event}"
            raise Violation("I28 slots", text, event["task_instance_id"])

    def _is_instant(self, row: Fields) -> bool:
        """It needs no slot: it ends in the turn in which it comes."""
        dry: bool = self.rows.instances_now[row["workflow_instance_id"]]["dry_run"]
        return dry or row["type"] in INSTANT_TYPES

    def _count(self, event: Fields) -> None:
        """A refusal is an answer to be heeded, not a loop."""
        if self.rows.world.options.clock_jump_ms:
            return
        number, at = event["task_instance_id"], event["at"]
        lately = self.refused.setdefault((number, event["boot"]), deque())
        lately.append(at)
        while lately[0] < at - HEARTBEAT_MS:
            lately.popleft()
        if len(lately) > REFUSALS_MAX:
            text = f"refused {len(lately)} times in {HEARTBEAT_MS} ms"
            raise Violation("a refused task is no hot loop", text, number)
