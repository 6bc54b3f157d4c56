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
        #: (dispatch, seq, sender) → each status: after a power cut another may have the number of
        #: one that was told before and waits among the dead letters.
        self.states: dict[tuple[int, int, str], list[str]] = {}

    def arrived(self, sender: str, commands: list[Command]) -> None:
        """A frame has come."""
        for command in commands:
            if isinstance(command, TaskExecuteRunning):
                status = TaskState.RUNNING_EXECUTION.name
            elif isinstance(command, TaskExecuteResponse):
                status = command.status
            else:
                continue
            said = self.states.setdefault((command.dispatch_id, command.seq, sender), [])
            if status not in said:
                said.append(status)

    def hold_true(self, event: Fields) -> None:
        """An event that a worker caused is on disk. Raises `Violation`."""
        number, worker = event["task_instance_id"], event["worker"]
        place = event["dispatch_id"], event["callback_seq"]
        said = self.states.get((*place, worker))
        if said is None:
            others = [s for d, n, s in self.states if (d, n) == place]
            if others:
                raise Violation("I33 only its worker", f"{event}, said by {others}", number)
            raise Violation("I13 a former dispatch changes nothing", f"{event}", number)
        became = TaskState(event["to_state"])
        if became.name in said:
            return
        # Lost after a person had asked for its end: that wish decides. Lost too often: a failure.
        bounded = event["failover_no"] >= FAILOVER_MAX and became is TaskState.FAILURE
        if "NEED_FAULT_TOLERANCE" not in said or not (bounded or became is TaskState.KILL):
            raise Violation("I5 as it was said", f"{event}, said {said}", number)
