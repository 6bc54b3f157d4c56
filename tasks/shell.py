"""The task type ``shell``: a script, run by the interpreter its first line names, else by bash.

Or a command: a program and its arguments, started as they are without any shell.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..protocol.commands import TaskExecuteRequest
from ..protocol.launch import CannotPrepare, Collection, Launch
from . import traces
from .environment import environment, inherited
from .first_line import interpreter_of, require_executable

SCRIPT_FILE = "script"
#: Not O_TRUNC: what was there is overwritten, then cut. A file that was cut to nothing is written
#: out as soon as it is closed (ext4(5), auto_da_alloc): 0.6–1.4 ms.
WRITE_OVER = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
#: Tried in this order for a script without a ``#!`` line; the last is on every POSIX system.
SHELLS = ("/bin/bash", "/usr/local/bin/bash", "/bin/sh")


class Shell:
    """Writes the script as it is, byte by byte, into the attempt's folder and has it run."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._inherited = inherited(environ)
        self._shell = next((path for path in SHELLS if os.access(path, os.X_OK)), SHELLS[-1])

    def rewritten(self, request: TaskExecuteRequest) -> tuple[str, ...]:
        """See `types.TaskType`."""
        return () if request.command else (SCRIPT_FILE,)

    def prepare(self, request: TaskExecuteRequest, folder: Path) -> Launch | None:
        """The script's process; raises `CannotPrepare` where the system could not start it."""
        env = environment(request, folder, self._inherited)
        written = [env["STENELLA_OUTPUT"]]
        if request.command:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            cwd = working_folder(request, folder)
            require_program(request.command[0], env["PATH"], cwd)
            return Launch(request.command, env, cwd, written)
        if request.script is None:
            raise CannotPrepare(f"the shell task {request.task} has neither script nor command")
        file = folder / SCRIPT_FILE
        write_script(file, request.script)
        cwd = working_folder(request, folder)
        if interpreter_of(request.script, cwd, env["PATH"]) is None:
            return Launch([self._shell, str(file)], env, cwd, written)
        require_executable(file)
        return Launch([str(file)], env, cwd, written)

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


def write_script(file: Path, script: str) -> None:
    """Not synced: a power cut that loses the file also ends the attempt.

    Makes the folder if it is not there. Raises `CannotPrepare`.
    """
    try:
        try:
            opened = os.open(file, WRITE_OVER, 0o700)
        except (FileNotFoundError, NotADirectoryError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(file, WRITE_OVER, 0o700)
        with open(opened, "wb", buffering=0) as raw:
            rest = memoryview(script.encode())
            while rest:
                rest = rest[raw.write(rest) :]
            if os.fstat(opened).st_size > raw.tell():
                raw.truncate()
    except OSError as error:
        raise CannotPrepare(f"{file} cannot be written: {error.strerror}") from error


def require_program(name: str, search_path: str, cwd: str) -> None:
    """Raises `CannotPrepare` unless ``name`` is a program: a path, or found in ``search_path``."""
    if "/" not in name:
        if shutil.which(name, path=search_path) is None:
            raise CannotPrepare(f"there is no program {name!r} in the worker's PATH {search_path}")
        return
    path = os.path.join(cwd, name)
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        why = "is no program: chmod +x it" if os.path.exists(path) else "does not exist"
        raise CannotPrepare(f"{path} {why} on this worker")


def working_folder(request: TaskExecuteRequest, folder: Path) -> str:
    """The attempt's own, or ``working_dir``; a relative one starts where it was submitted.

    (A submitted script's loader sets ``working_dir`` to the folder of submission.)
    """
    cwd = str(folder)
    if request.working_dir:
        cwd = os.path.join(request.submit_dir or cwd, request.working_dir)
    if not os.path.isdir(cwd):
        raise CannotPrepare(f"the working folder {cwd} does not exist on this worker")
    if not os.access(cwd, os.X_OK):
        raise CannotPrepare(f"the working folder {cwd} cannot be entered by this worker's user")
    return cwd
