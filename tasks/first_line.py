"""Whether a script can be started at all: what its first line asks for, told before the system
refuses it with a bare "No such file or directory" (B34).

The rules are the kernel's (execve(2)): it takes the first word after ``#!`` as a path and hands on
the rest as one argument.
"""

import os
import shutil
from pathlib import Path

from ..protocol.launch import CannotPrepare

BOM = "\ufeff"
CRLF_MEND = "store it with Unix line ends: sed -i 's/\\r$//' FILE"


def interpreter_of(script: str, cwd: str, search_path: str) -> str | None:
    """What the system would start for the ``#!`` line; None: there is none, or it is empty.

    Raises `CannotPrepare` naming cause and mend where it could not.
    """
    if script.startswith(BOM):
        raise CannotPrepare(
            "the script begins with a byte order mark (BOM), which hides its first line from the"
            " system: store it as UTF-8 without BOM"
        )
    first, _, rest = script.partition("\n")
    has_line = first.startswith("#!")
    if first.endswith("\r") and (has_line or rest.count("\n") == rest.count("\r\n")):
        raise CannotPrepare(
            "the script's lines end in carriage return and line feed, as Windows writes them:"
            f" {CRLF_MEND}"
        )
    if not has_line:
        return None
    name, _, argument = first[2:].strip(" \t\0").partition(" ")
    if not name:
        return None
    _require_program(name, cwd)
    if os.path.basename(name) == "env":
        _require_found(argument.strip(), search_path)
    return name


def require_executable(file: Path) -> None:
    """Raises `CannotPrepare` where the written script may not be executed, whatever its mode."""
    if not os.access(file, os.X_OK):
        raise CannotPrepare(
            f"{file} may not be executed: its file system is mounted with noexec; mount it with"
            " exec, or put the home (STENELLA_HOME) elsewhere"
        )


def _require_program(name: str, cwd: str) -> None:
    path = os.path.join(cwd, name)
    asks = f"the script's first line names the interpreter {name!r}, which"
    if not os.path.exists(path):
        mend = "install it there, or correct the line"
        if "/" not in name:
            mend = f"it has to be a whole path: #!/usr/bin/env {name}"
        raise CannotPrepare(f"{asks} does not exist on this worker: {mend}")
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise CannotPrepare(f"{asks} may not be executed on this worker: chmod +x it")


def _require_found(argument: str, search_path: str) -> None:
    """That env will find its program; with ``-S`` it splits the line itself."""
    words = argument.split()
    if words and not words[0].startswith("-") and len(words) > 1 and "=" not in words[0]:
        raise CannotPrepare(
            f"the system hands {argument!r} to env as one word: write #!/usr/bin/env -S {argument}"
        )
    programs = [word for word in words if not word.startswith("-") and "=" not in word]
    if programs and "/" not in programs[0] and shutil.which(programs[0], path=search_path) is None:
        raise CannotPrepare(
            f"the script's first line asks env for {programs[0]!r}, which is not in the PATH of"
            f" this worker, {search_path}: install it there, correct the line, or set PATH in env"
        )
