"""A cluster that is played behind a real door, for commands that talk to one."""

from typing import Any

from stenella.client.loading import load_bytes
from stenella.home import locks
from stenella.home.layout import Home
from stenella.protocol.commands import (
    Command,
    DebugReply,
    DebugRequest,
    DefinitionRead,
    ExplainRead,
    FromClient,
    InstanceChanged,
    InstanceList,
    InstanceRead,
    InstanceWatch,
    KillTask,
    Refused,
    StatusRead,
    Stop,
    Submit,
)
from stenella.storage.documents import Node, waiting_document
from stenella.workflow.definition import encode

from ..client.door import Door, page, result

START_S = 1_764_000_000.0
WORKFLOW = """\
name: nightly
params: {day: {type: string}}
tasks:
  - {name: extract, script: ls}
  - {name: load, script: ls, depends_on: [extract]}
"""


DEFINITION = {
    "workflow": "nightly",
    "version": 1,
    "digest": "d",
    "part": encode(load_bytes(WORKFLOW.encode(), "w.yaml")),
    "next_offset": None,
}


STATUS = {
    "problem": None,
    "time": START_S,
    "masters": [],
    "workers": [{"id": "worker-1", "state": "alive", "groups": ["default"], "slots": 2, "free": 1}],
}


def task(number: int, name: str, state: str) -> dict[str, Any]:
    ran = state in ("SUCCESS", "FAILURE")
    return {
        **waiting_document(Node(name)),  # with whatever fields documents have by now
        "task_instance_id": number,
        "state": state,
        "attempt": 1,
        "host": "h",
        "worker": "worker-1",
        "pid": 9,
        "start_time": START_S if state != "SUBMITTED_SUCCESS" else None,
        "end_time": START_S + 0.5 if ran else None,
        "exit_code": None,
        "outputs": {"rows": 5} if state == "SUCCESS" else {},
        "reason": "exit_nonzero" if state == "FAILURE" else None,
        "message": "it ended with 3" if state == "FAILURE" else None,
    }


class Cluster:
    """One instance that ends as ``end`` says: at its third watch, or when it is stopped."""

    def __init__(self, end: str) -> None:
        self.end = end
        self.watches = 0
        self.stopped = False
        self.submits: list[Submit] = []
        self.killed: list[str] = []
        self.causes: list[dict[str, Any]] = []
        self.listed = True  # whether its instance is there already
        self.letters: list[dict[str, Any]] = []

    def answer(self, request: FromClient, _copy: int) -> list[Command]:
        match request:
            case Submit():
                self.submits.append(request)
                return [result(request, workflow_instance_id=7)]
            case Stop():
                self.stopped = True
                return [result(request)]
            case KillTask():
                self.killed.append(request.task)
                state = "KILL" if request.task == "load" else "RUNNING_EXECUTION"
                ids = {"workflow_instance_id": request.workflow_instance_id}
                return [result(request, **ids, task_instance_id=2, task=request.task, state=state)]
            case InstanceWatch():
                self.watches += 1
                return [InstanceChanged(request_id=request.request_id, page=self.changes())]
            case DefinitionRead():
                return [page(request, DEFINITION)]
            case ExplainRead():
                return [page(request, {"causes": self.causes})]
            case StatusRead():
                return [page(request, STATUS)]
            case InstanceList():
                return [page(request, [self.instance()] if self.listed else [])]
            case DebugRequest(kind="dead-letters"):
                return [DebugReply(request_id=request.request_id, rows=self.letters)]
            case InstanceRead():
                return [page(request, {**self.instance(), "tasks": self.tasks()})]
            case _:
                text = f"this cluster plays no {type(request).__name__}"
                refusal = Refused(
                    request_id=request.request_id, exit_code=6, code="refused", message=text
                )
                return [refusal]

    def state(self) -> str:
        if self.stopped:
            return "STOP"
        return self.end if self.watches > 2 else "RUNNING_EXECUTION"

    def instance(self) -> dict[str, Any]:
        return {
            "workflow_instance_id": 7,
            "workflow": "nightly",
            "version": 1,
            "state": self.state(),
            "params": {},
            "dry_run": False,
            "warned_at": None,
            "attention": None,
            "start_time": START_S,
            "end_time": None if self.state() == "RUNNING_EXECUTION" else START_S + 1,
        }

    def tasks(self) -> list[dict[str, Any]]:
        if self.state() == "RUNNING_EXECUTION":
            return [task(1, "extract", "SUCCESS"), task(2, "load", "RUNNING_EXECUTION")]
        last = {"SUCCESS": "SUCCESS", "FAILURE": "FAILURE"}.get(self.state(), "KILL")
        return [task(1, "extract", "SUCCESS"), task(2, "load", last)]

    def changes(self) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for one in self.tasks():
            counts[one["state"]] = counts.get(one["state"], 0) + 1
        tasks = self.tasks()
        return {"instance": self.instance(), "counts": counts, "tasks": tasks, "last": 5}


class Playing:
    """A cluster behind a real door, in a home that looks as if it were up."""

    def __init__(self, home: Home, end: str) -> None:
        self.cluster = Cluster(end)
        self.lock = locks.hold(home.master_lock, "the master")
        self.door = Door(home, self.cluster.answer)

    def close(self) -> None:
        self.door.close()
        self.lock.release()
