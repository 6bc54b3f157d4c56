"""The simulator's checkers over a real history, and the tasks' own ledger against it."""

import sqlite3
from pathlib import Path
from typing import Any

from stenella.protocol.states import WORKFLOW_FINAL, TaskState

from ..simulation.options import Options
from ..simulation.rows import Rows
from ..simulation.story import Trace, Violation

Fields = dict[str, Any]


class Unseen:
    """A checker that must witness each commit, where only the record is there to be read."""

    before: dict[str, Fields] = {}  # noqa: RUF012 - read, never written

    def __getattr__(self, name: str) -> Any:
        return lambda *things: None


class Opened:
    """The database as a world's master has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.journal = self


class Record:
    """A world of which nothing is left but its database; may be read while it is written."""

    def __init__(self, database: Path) -> None:
        uri = f"{database.absolute().as_uri()}?mode=ro"
        self.connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)
        self.master = Opened(self.connection)
        self.options = Options(seed=0)
        self.trace = Trace()
        self.now_ms = 0
        self.rows = Rows(self)  # type: ignore[arg-type]
        for name in ("staff", "waits", "limits", "order", "said"):
            setattr(self.rows, name, Unseen())

    def look(self) -> None:
        """At the state and at what has happened since the last look. Raises `Violation`."""
        self.connection.execute("BEGIN")
        try:
            self.rows.look()
        finally:
            self.connection.execute("COMMIT")

    def live(self) -> list[int]:
        """Instances that have not ended."""
        rows = self.rows.instances.values()
        return [row["id"] for row in rows if row["state"] not in WORKFLOW_FINAL]

    def close(self) -> None:
        """Read no more."""
        self.connection.close()


def judge_ledger(lines: list[str], rows: Rows) -> None:
    """What really ran is what the history says. Raises `Violation`."""
    begun: dict[tuple[int, int], list[str]] = {}
    ended: dict[tuple[int, int], None] = {}
    for line in lines:
        word, number, attempt, *rest = line.split()
        place = int(number), int(attempt)
        if word == "overlap":
            raise Violation("I12 one attempt at a time", line, place[0])
        if word == "end":
            ended[place] = None
            continue
        if place in begun:
            raise Violation("I11 one run per attempt", f"{line}, before {begun[place]}", place[0])
        begun[place] = rest
    placed = {(e["task_instance_id"], e["attempt"]) for e in rows.dispatches.values()}
    for place, (_, *given) in begun.items():
        if place not in placed:
            raise Violation("I6 placed before sent", f"attempt {place} ran", place[0])
        judge_given(place[0], given, rows)
    for place, event in rows.ends.items():
        if event["to_state"] == TaskState.SUCCESS and (place not in begun or place not in ended):
            raise Violation("no result is invented", f"attempt {place}: {event}", place[0])


def judge_given(number: int, given: list[str], rows: Rows) -> None:
    """I21: what a task got is what its parent's committed outputs are. Raises `Violation`."""
    row = rows.tasks[number]
    _, graph = rows.definition(rows.instances[row["workflow_instance_id"]])
    parents = graph.parents[row["node"]]
    siblings = rows.tasks_of[row["workflow_instance_id"]]
    wanted = [f"{siblings[p]['id']}.{siblings[p]['attempt']}" for p in parents]
    if given != wanted:
        raise Violation("I21 outputs", f"{row['name']} got {given}, not {wanted}", number)
