"""Messages, rows and definitions for actor tests; what a test does not name does not matter to it.

The attempt is number 1 of task instance 10 of instance 1, dispatched as 100, unless said otherwise.
"""

from typing import Any

from stenella.actors.master.liveness import Terms
from stenella.actors.master.messages import Judge, Ready, WorkerBeat, WorkerUp
from stenella.actors.master.version import Version
from stenella.actors.worker.identity import Identity
from stenella.protocol.commands import (
    AttemptReport,
    Heartbeat,
    TaskExecuteRequest,
    TaskExecuteRequestAck,
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunning,
    TaskExecuteRunningAck,
    TaskKillRequest,
    TaskKillResponse,
    WorkerRegister,
)
from stenella.protocol.rows import (
    JournalAttempt,
    TaskInstanceRow,
    WorkerRow,
    WorkflowInstanceRow,
)
from stenella.protocol.states import TaskState, WorkflowState
from stenella.workflow.definition import Definition, Task, digest

from .recorder import WALL_MS

EPOCH = 3
GRACE_MS = 5_000
PEER = b"w1-link"
MASTER = b"master"
#: A master on machine m1; workers are on another unless said otherwise.
TERMS = Terms(heartbeat_ms=2_000, lease_ms=60_000, fence_grace_ms=10_000, machine="m1")
FAILOVER_MAX = 3
ATTEMPT: dict[str, Any] = {
    "task_instance_id": 10,
    "workflow_instance_id": 1,
    "attempt": 1,
    "dispatch_id": 100,
}
IDS: dict[str, Any] = ATTEMPT | {"epoch": EPOCH}
IDENTITY = Identity(
    worker="w1",
    boot="b1",
    life=2,
    kernel_boot="k1",
    journal="j1",
    cluster="c1",
    groups=["default"],
    slots=2,
    types=["shell", "noop"],
    version="0",
    pid=9,
    host="h1",
)


# --- what a definition says ----------------------------------------------------------------------


def task(name: str, *depends_on: str, **fields: Any) -> Task:
    return Task(name=name, script="true", depends_on=depends_on, **fields)


def definition(*tasks: Task, **fields: Any) -> Definition:
    return Definition(name="sales", tasks=tasks or (task("a"),), **fields)


def version(*tasks: Task, **fields: Any) -> Version:
    meant = definition(*tasks, **fields)
    return Version(digest(meant), meant)


# --- rows ----------------------------------------------------------------------------------------


def instance_row(**fields: Any) -> WorkflowInstanceRow:
    given: dict[str, Any] = {
        "id": 1,
        "name": "sales",
        "version_digest": "d",
        "state": WorkflowState.RUNNING_EXECUTION,
        "params": "{}",
        "startup": "[]",
        "submit_dir": None,
        "base_time": WALL_MS,
        "start_time": WALL_MS,
        "owner": 1,
        "owner_epoch": EPOCH,
    }
    return WorkflowInstanceRow(**given | fields)


def task_row(**fields: Any) -> TaskInstanceRow:
    """A row as it is loaded: placed on w1, boot b1, unless ``state`` says it waits."""
    given: dict[str, Any] = {
        "id": 10,
        "workflow_instance_id": 1,
        "node": 0,
        "name": "a",
        "type": "shell",
        "state": TaskState.DISPATCH,
        "submit_time": WALL_MS,
        "event_no": 2,
        "stored_no": 2,
    }
    if fields.get("state") != TaskState.SUBMITTED_SUCCESS:
        given |= {"worker": "w1", "boot": "b1", "dispatch_id": 100}
    return TaskInstanceRow(**given | fields)


def worker_row(**fields: Any) -> WorkerRow:
    given: dict[str, Any] = {
        "id": "w1",
        "boot": "b1",
        "life": 2,
        "kernel_boot": "k1",
        "journal": "j1",
        "groups": '["default"]',
        "slots": 2,
        "types": '["shell","noop"]',
        "version": "0",
        "pid": 9,
        "host": "h1",
        "registered_at": WALL_MS,
    }
    return WorkerRow(**given | fields)


def journal_attempt(**fields: Any) -> JournalAttempt:
    """An attempt that the former life (1) of the worker accepted."""
    given: dict[str, Any] = {
        **IDS,
        "life": 1,
        "type": "shell",
        "outputs": "{}",
        "required": "[]",
        "phase": "accepted",
        "log": "1/10.1.log",
    }
    return JournalAttempt(**given | fields)


# --- between master and worker -------------------------------------------------------------------


def request(**fields: Any) -> TaskExecuteRequest:
    given: dict[str, Any] = {
        **IDS,
        "to_boot": "b1",
        "workflow": "sales",
        "task": "a",
        "task_type": "shell",
        "script": "true",
        "params": {},
        "origins": {},
        "env": {},
        "outputs": {},
        "required": [],
        "working_dir": None,
        "submit_dir": None,
        "base_time": WALL_MS,
        "kill_grace_ms": GRACE_MS,
    }
    return TaskExecuteRequest(**given | fields)


def accepted(**fields: Any) -> TaskExecuteRequestAck:
    return TaskExecuteRequestAck(**{**IDS, "accepted": True} | fields)


def refused(reason: str, **fields: Any) -> TaskExecuteRequestAck:
    return accepted(accepted=False, reason=reason, **fields)


def kill(**fields: Any) -> TaskKillRequest:
    given = {**IDS, "to_boot": "b1", "reason": "person", "grace_ms": GRACE_MS}
    return TaskKillRequest(**given | fields)


def killed(outcome: str, **fields: Any) -> TaskKillResponse:
    return TaskKillResponse(**{**IDS, "outcome": outcome} | fields)


def running(**fields: Any) -> TaskExecuteRunning:
    given: dict[str, Any] = {
        **IDS,
        "seq": 1,
        "start_time": WALL_MS,
        "host": "h1",
        "pid": 77,
        "log": "1/10.1.log",
    }
    return TaskExecuteRunning(**given | fields)


def result(status: str = "SUCCESS", **fields: Any) -> TaskExecuteResponse:
    given: dict[str, Any] = {
        **IDS,
        "seq": 2,
        "status": status,
        "exit_code": 0,
        "reason": "",
        "message": "",
        "start_time": WALL_MS,
        "end_time": WALL_MS + 60,
        "host": "h1",
        "pid": 77,
        "log": "1/10.1.log",
        "outputs": {},
        "tail": "",
    }
    return TaskExecuteResponse(**given | fields)


def running_ack(outcome: str = "ok", **fields: Any) -> TaskExecuteRunningAck:
    return TaskExecuteRunningAck(**{**IDS, "seq": 1, "outcome": outcome} | fields)


def result_ack(outcome: str = "ok", **fields: Any) -> TaskExecuteResponseAck:
    return TaskExecuteResponseAck(**{**IDS, "seq": 2, "outcome": outcome} | fields)


def report(phase: str, **fields: Any) -> AttemptReport:
    return AttemptReport(**{**ATTEMPT, "phase": phase} | fields)


def register(*attempts: AttemptReport, **fields: Any) -> WorkerRegister:
    given: dict[str, Any] = {
        "worker": "w1",
        "boot": "b1",
        "life": 2,
        "kernel_boot": "k1",
        "journal": "j1",
        "epoch": EPOCH,
        "groups": ["default"],
        "slots": 2,
        "types": ["shell", "noop"],
        "version": "0",
        "pid": 9,
        "host": "h1",
        "attempts": list(attempts),
        "number": 1,
    }
    return WorkerRegister(**given | fields)


def heartbeat(**fields: Any) -> Heartbeat:
    given: dict[str, Any] = {
        "boot": "b1",
        "number": 1,
        "sent_ms": WALL_MS,
        "free_slots": 2,
        "load": 0.0,
        "memory_free_bytes": 0,
        "disk_free_bytes": 0,
        "hub_lag_ms": 0,
    }
    return Heartbeat(**given | fields)


# --- inside the master ---------------------------------------------------------------------------


def judge(*attempts: AttemptReport, **fields: Any) -> Judge:
    """A listing of the known boot b1, the first one under this epoch."""
    given: dict[str, Any] = {
        "worker": "w1",
        "boot": "b1",
        "known_journal": True,
        "judge_missing": True,
        "former_boot": "b1",
        "attempts": list(attempts),
    }
    return Judge(**given | fields)


def worker_up(name: str = "w1", **fields: Any) -> WorkerUp:
    given: dict[str, Any] = {
        "worker": name,
        "boot": "b1",
        "peer": f"{name}-link".encode(),
        "groups": ["default"],
        "slots": 1,
        "types": ["shell", "noop"],
    }
    return WorkerUp(**given | fields)


def beat(name: str = "w1", number: int = 1, **fields: Any) -> WorkerBeat:
    given: dict[str, Any] = {
        "worker": name,
        "boot": "b1",
        "peer": f"{name}-link".encode(),
        "number": number,
        "free_slots": 1,
        "draining": False,
        "slots": 1,
    }
    return WorkerBeat(**given | fields)


def ready(task_instance_id: int = 10, **fields: Any) -> Ready:
    given: dict[str, Any] = {"group": "default", "task_type": "shell"}
    return Ready(task_instance_id, **given | fields)
