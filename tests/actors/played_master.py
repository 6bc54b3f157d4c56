"""All actors of a master, their real turn and a real journal in memory; workers are played by hand.

Nothing is lost and nothing waits: each `give` runs turns until the master has nothing more to do.
"""

from typing import Any

import msgspec

from stenella.actors.base import Loaded, Queried
from stenella.actors.master.role import master_actors
from stenella.actors.turn import Limits, Load, Perform, Query, Released, Send, Turn
from stenella.protocol.commands import (
    AttemptReport,
    Command,
    Refused,
    Stop,
    Submit,
    TaskExecuteRequest,
    TaskExecuteResponse,
    TaskExecuteRunning,
    TaskKillRequest,
    WorkerWelcome,
)
from stenella.protocol.rows import Batch, TaskInstanceRow, WorkflowInstanceRow
from stenella.protocol.states import TaskState, WorkflowState
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries
from stenella.workflow.definition import Definition, encode

from .builders import FAILOVER_MAX, GRACE_MS, TERMS, heartbeat, register, result, running
from .recorder import WALL_MS

CLIENT = b"client"
BEAT_MS = TERMS.heartbeat_ms


class PlayedMaster:
    """Every life of one master over one database."""

    def __init__(self) -> None:
        self.journal = Journal.open(None)
        self.queries = Queries(self.journal.connection)
        self.now_ms = 50_000
        self.wall_ms = WALL_MS
        self.batches: list[Batch] = []
        self.sent: list[Command] = []
        self.performed: list[Any] = []
        self.requests_made = 0
        self.restart()

    def restart(self) -> None:
        """A crash between two turns, and the next life."""
        started = self.journal.start("mb", 42, self.wall_ms, "c1")
        self.epoch = started.epoch
        actors = master_actors(
            master=started.master,
            epoch=started.epoch,
            endpoint="",
            pid=42,
            terms=TERMS,
            kill_grace_ms=GRACE_MS,
            failover_max=FAILOVER_MAX,
        )
        self.turn = Turn(
            "master",
            actors,
            Limits(),
            commit_no=started.commit_no,
            counters=msgspec.structs.replace(started.counters),
            recovering=True,
        )
        self.sent, self.welcomed, self.beats = [], False, 0
        self.run()

    # --- turns -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Think, commit and act until nothing is left to do now."""
        while self.turn.has_work(self.now_ms) or not self.turn.is_settled:
            self._act(self.turn.think(self.now_ms, self.wall_ms))
            if (batch := self.turn.form()) is not None:
                self.journal.commit(batch)
                self.batches.append(batch)
                self.turn.committed()
            self._act(self.turn.release())

    def _act(self, released: list[Released]) -> None:
        for effect in released:
            match effect:
                case Send():
                    self.sent.append(effect.command)
                case Load():
                    rows = self.journal.load(effect.name, effect.key)
                    self.turn.offer(effect.actor, Loaded(effect.name, effect.key, rows))
                case Query():
                    document = self.queries.ask(effect.name, effect.key)
                    self.turn.offer(effect.actor, Queried(effect.name, effect.token, document))
                case Perform():
                    self.performed.append(effect.effect)

    def wait(self, ms: int) -> None:
        """Let time pass; what is due happens, and a worker that is welcomed beats."""
        self.sent = []
        while ms > 0:
            step_ms = min(ms, BEAT_MS)
            ms -= step_ms
            self.now_ms += step_ms
            self.wall_ms += step_ms
            self.run()
            if self.welcomed:
                self.beats += 1
                beat = heartbeat(number=self.beats, free_slots=9)
                self.turn.offer("registry", beat, b"w1-link", "w1")
                self.run()

    def give(
        self, actor: str, message: Any, peer: bytes = b"w1-link", sender: str = "w1"
    ) -> list[Command]:
        """A command from outside; returns all that was sent until the master came to rest."""
        self.sent, self.batches = [], []
        assert self.turn.offer(actor, message, peer, sender) == ""
        self.run()
        return self.sent

    # --- clients ---------------------------------------------------------------------------------

    def ask(self, kind: Any, **fields: Any) -> Any:
        """A client's intent; returns its answer or refusal."""
        self.requests_made += 1
        request_id = f"r{self.requests_made}"
        intent = kind(request_id=request_id, digest="d", **fields)
        [answer] = [
            command
            for command in self.give("gateway", intent, CLIENT, "")
            if getattr(command, "request_id", None) == request_id
        ]
        return answer

    def submit(self, definition: Definition, **params: Any) -> int:
        """Start an instance; returns its id."""
        answer = self.ask(Submit, definition=encode(definition), params=params)
        assert not isinstance(answer, Refused), answer
        number: int = answer.result["workflow_instance_id"]
        return number

    def stop(self, number: int) -> Any:
        """Ask for the instance's stop."""
        return self.ask(Stop, workflow_instance_id=number)

    # --- workers ---------------------------------------------------------------------------------

    def worker(self, *attempts: AttemptReport, slots: int = 9, **fields: Any) -> WorkerWelcome:
        """Worker w1 registers with these attempts."""
        said = register(*attempts, slots=slots, epoch=self.epoch, **fields)
        [welcome] = [c for c in self.give("registry", said) if isinstance(c, WorkerWelcome)]
        self.welcomed = True
        return welcome

    def requests(self) -> list[TaskExecuteRequest]:
        """What was sent to be run, by the last `give` or `wait`."""
        return [command for command in self.sent if isinstance(command, TaskExecuteRequest)]

    def begin(self, request: TaskExecuteRequest) -> list[Command]:
        """The worker says RUNNING."""
        return self.give("event_persister", running(**ids(request)))

    def end(
        self, request: TaskExecuteRequest, status: str = "SUCCESS", **fields: Any
    ) -> list[Command]:
        """The worker says RESULT."""
        said: TaskExecuteResponse = result(status, **ids(request) | fields)
        return self.give("event_persister", said)

    # --- what is on disk -------------------------------------------------------------------------

    def instance(self, number: int = 1) -> WorkflowInstanceRow:
        [row] = self.journal.load("instance", (number,))
        assert isinstance(row, WorkflowInstanceRow)
        return row

    def end_state(self, number: int = 1) -> WorkflowState:
        return WorkflowState(self.instance(number).state)

    def rows(self, number: int = 1) -> dict[str, TaskInstanceRow]:
        """The tasks that have a row, by name."""
        return {row.name: row for row in self.journal.load("tasks_of", (number, 0, 10_000))}

    def states(self, number: int = 1) -> dict[str, str]:
        return {name: TaskState(row.state).name for name, row in self.rows(number).items()}

    def history(self, task_instance_id: int) -> list[str]:
        """The events of a task."""
        return [event["event"] for event in self.queries.trace(task_instance_id) or []]


def ids(request: TaskExecuteRequest | TaskExecuteRunning | TaskKillRequest) -> dict[str, Any]:
    """The five ids of the attempt."""
    names = ("task_instance_id", "workflow_instance_id", "attempt", "dispatch_id", "epoch")
    return {name: getattr(request, name) for name in names}


def written(batch: Batch) -> list[tuple[str, str]]:
    """Names and states of the tasks that the batch writes."""
    fields = TaskInstanceRow.__struct_fields__
    images: list[dict[str, Any]] = [
        dict(zip(fields, image, strict=True)) for image in batch.versioned[TaskInstanceRow]
    ]
    return [(image["name"], TaskState(image["state"]).name) for image in images]
