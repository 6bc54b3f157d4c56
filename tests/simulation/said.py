"""What workers have said of their attempts, by whom: only that may change a row."""

from typing import Any

from stenella.protocol.commands import Command, TaskExecuteResponse, TaskExecuteRunning
from stenella.protocol.states import TaskState

from .story import Violation

Fields = dict[str, Any]
FAILOVER_MAX = 3


class Said:
    """Callbacks that have reached the master."""

    def __init__(self) -> None:
        self.states: dict[tuple[int, int, str], str] = {}  # dispatch, seq, sender → status

    def arrived(self, sender: str, commands: list[Command]) -> None:
        """A frame has come."""
        for command in commands:
            if isinstance(command, TaskExecuteRunning):
                status = TaskState.RUNNING_EXECUTION.name
            elif isinstance(command, TaskExecuteResponse):
                status = command.status
            else:
                continue
            self.states[command.dispatch_id, command.seq, sender] = status

    def hold_true(self, event: Fields) -> None:
        """An event that a worker caused is on disk. Raises `Violation`."""
        number, worker = event["task_instance_id"], event["worker"]
        place = event["dispatch_id"], event["callback_seq"]
        status = self.states.get((*place, worker))
        if status is None:
            others = [s for d, n, s in self.states if (d, n) == place]
            if others:
                raise Violation("I33 only its worker", f"{event}, said by {others}", number)
            raise Violation("I13 a former dispatch changes nothing", f"{event}", number)
        if status == "NEED_FAULT_TOLERANCE" and event["to_state"] == TaskState.KILL:
            return  # lost after a person had asked for its end: that wish decides
        became = TaskState(event["to_state"])
        bounded = event["failover_no"] >= FAILOVER_MAX and became is TaskState.FAILURE
        if status != became.name and not (bounded and status == "NEED_FAULT_TOLERANCE"):
            raise Violation("I5 as it was said", f"{event}, said {status}", number)
