"""The task type ``python``: a script or a file, run by the worker's own Python or another.

The default is the worker's own interpreter, so what is installed beside Stenella can be imported.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..protocol.commands import TaskExecuteRequest
from ..protocol.launch import CannotPrepare, Collection, Launch
from . import traces
from .environment import environment, inherited
from .shell import require_program, working_folder, write_script

SCRIPT_FILE = "script.py"
#: What is printed is in the log at once; ``env:`` may say otherwise.
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


class Python:
    """Starts the interpreter on the script, which is put into the attempt's folder, or the file."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._inherited = inherited(environ) | UNBUFFERED

    def rewritten(self, request: TaskExecuteRequest) -> tuple[str, ...]:
        """See `types.TaskType`."""
        return () if request.file is not None else (SCRIPT_FILE,)

    def prepare(self, request: TaskExecuteRequest, folder: Path) -> Launch | None:
        """The interpreter's process; raises `CannotPrepare` where it could not be started."""
        env = environment(request, folder, self._inherited)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if request.file is not None:
            file = from_submission(request, request.file, "file")
            if not os.path.isfile(file) or not os.access(file, os.R_OK):
                why = "cannot be read" if os.path.isfile(file) else "does not exist"
                raise CannotPrepare(f"the file {file} {why} on this worker")
        elif request.script is not None:
            file = str(folder / SCRIPT_FILE)
            write_script(Path(file), request.script)
        else:
            raise CannotPrepare(f"the python task {request.task} has neither script nor file")
        cwd = working_folder(request, folder)
        interpreter = request.python or sys.executable
        if "/" in interpreter:
            interpreter = from_submission(request, interpreter, "python")
        require_program(interpreter, env["PATH"], cwd)
        return Launch([interpreter, file], env, cwd, [env["STENELLA_OUTPUT"]])

    def collect(
        self,
        folder: Path,
        log: Path,
        exit_code: int,
        declared: dict[str, Any],
        required: list[str],
    ) -> Collection:
        """Outputs by file and by ``setValue``, and the log's end: `traces.collect`."""
        return traces.collect(folder, log, exit_code, declared, required)


def from_submission(request: TaskExecuteRequest, path: str, field: str) -> str:
    """``path``; a relative one starts where the workflow was submitted. Raises `CannotPrepare`."""
    if os.path.isabs(path):
        return path
    if request.submit_dir is None:
        raise CannotPrepare(
            f"{field}: {path} is relative, and nobody said to which folder: write it from / on,"
            " or give submit_dir at the submission"
        )
    return os.path.join(request.submit_dir, path)
