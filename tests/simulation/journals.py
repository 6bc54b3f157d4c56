"""What the workers' journals say: nothing is told before it is there, nothing leaves too early."""

from typing import TYPE_CHECKING

from stenella.protocol.commands import (
    Command,
    TaskExecuteRequestAck,
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunning,
    TaskExecuteRunningAck,
    WorkerWelcome,
)

from .story import Violation

if TYPE_CHECKING:
    from .worker_node import WorkerNode


class Journals:
    """All that was ever committed there, and what may leave."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[str, int], int] = {}  # (worker, dispatch) → task
        self.epochs: dict[str, int] = {}  # worker → the epoch it knew at its last commit
        self.attempts_of: dict[str, list[int]] = {}  # worker → dispatches there now
        self.killed: dict[int, None] = {}  # dispatches with a kill's intent
        self.callbacks: dict[tuple[int, int], None] = {}  # (dispatch, seq)
        self.present: dict[str, list[tuple[int, int]]] = {}  # worker → callbacks there now
        self.settled: dict[int, None] = {}  # the master wants nothing more of these dispatches
        self.fenced: dict[int, None] = {}  # of these because it has given them up
        self.met_warden: set[str] = set()  # boots; membership only, never iterated

    def look(self, node: "WorkerNode") -> None:
        """I7. Raises `Violation`."""
        connection = node.journal.connection
        ((known_epoch,),) = connection.execute("SELECT epoch FROM node")
        former_epoch = self.epochs.get(node.name, 0)  # it may have learned of another since
        self.epochs[node.name] = known_epoch
        sql = "SELECT dispatch_id, task_instance_id, kill_reason, epoch FROM attempt"
        present = self.attempts_of[node.name] = []
        for dispatch_id, task_instance_id, kill_reason, epoch in connection.execute(sql):
            present.append(dispatch_id)
            is_known = former_epoch <= epoch <= known_epoch
            if (node.name, dispatch_id) not in self.attempts and not is_known:
                what = f"dispatch {dispatch_id} of epoch {epoch}, {node.name} knows {known_epoch}"
                raise Violation("I13 an older epoch is not obeyed", what, task_instance_id)
            self.attempts[node.name, dispatch_id] = task_instance_id
            if kill_reason is not None:
                self.killed[dispatch_id] = None
        sql = "SELECT dispatch_id, seq FROM callback ORDER BY dispatch_id, seq"
        now: list[tuple[int, int]] = connection.execute(sql).fetchall()
        for dispatch_id, seq in self.present.get(node.name, []):
            if (dispatch_id, seq) not in now and dispatch_id not in self.settled:
                what = f"seq {seq} of dispatch {dispatch_id} left the journal of {node.name}"
                task_instance_id = self.attempts.get((node.name, dispatch_id), 0)
                raise Violation("I7 an unacknowledged callback is kept", what, task_instance_id)
        self.present[node.name] = now
        self.callbacks |= dict.fromkeys(now)

    def on_power_cut(self, node: "WorkerNode") -> None:
        """What the master does not know is lost, and what it knows may be there again."""
        sql = "SELECT dispatch_id, seq FROM callback ORDER BY dispatch_id, seq"
        self.present[node.name] = node.journal.connection.execute(sql).fetchall()

    def told(self, worker: str, commands: list[Command]) -> None:
        """What lets a worker forget an attempt."""
        for command in commands:
            match command:
                case TaskExecuteResponseAck():
                    self.settled[command.dispatch_id] = None
                case TaskExecuteRunningAck() if command.outcome != "ok":
                    self.settled[command.dispatch_id] = self.fenced[command.dispatch_id] = None
                case WorkerWelcome():
                    for verdict in command.verdicts:
                        if verdict.verdict != "keep":
                            self.settled[verdict.dispatch_id] = None
                            self.fenced[verdict.dispatch_id] = None

    def journalled(
        self,
        worker: str,
        said: TaskExecuteRequestAck | TaskExecuteRunning | TaskExecuteResponse,
    ) -> None:
        """Said only when it is on disk. Raises `Violation`.

        What was fenced in the commit that would have held it is on no disk, and lost to nobody.
        """
        if isinstance(said, TaskExecuteRequestAck):
            on_disk = not said.accepted or (worker, said.dispatch_id) in self.attempts
        else:
            fenced = said.dispatch_id in self.fenced
            on_disk = fenced or (said.dispatch_id, said.seq) in self.callbacks
        if not on_disk:
            raise Violation("I6 journalled before sent", f"{said}", said.task_instance_id)

    def left(self, workers: "list[WorkerNode]") -> tuple[str, int] | None:
        """What is still in a journal."""
        for node in workers:
            for sql in ("SELECT dispatch_id FROM attempt", "SELECT dispatch_id FROM callback"):
                for (dispatch_id,) in node.journal.connection.execute(sql):
                    task_instance_id = self.attempts.get((node.name, dispatch_id), 0)
                    return f"dispatch {dispatch_id} in the journal of {node.name}", task_instance_id
        return None
