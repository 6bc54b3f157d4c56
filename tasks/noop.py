"""The task type ``noop``: no process; a joint in a graph, and what measures the scheduler alone."""

from pathlib import Path
from typing import Any

from ..protocol.commands import TaskExecuteRequest
from ..protocol.launch import Collection, Launch
from .traces import Outputs


class Noop:
    """Succeeds at once, with the declared defaults as outputs."""

    def prepare(self, request: TaskExecuteRequest, folder: Path) -> Launch | None:
        """No process and no files."""
        return None

    def collect(
        self,
        folder: Path,
        log: Path,
        exit_code: int,
        declared: dict[str, Any],
        required: list[str],
    ) -> Collection:
        """The defaults; an output without one can never be given and is a problem."""
        outputs, problem = Outputs(declared, required).settle()
        return Collection(outputs, tail="", problem=problem)
