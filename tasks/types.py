"""The task types a worker offers: classes found by the entry point group ``stenella.tasks``.

A type says what process an attempt is to be, and reads what the process left behind. It neither
starts nor kills anything: the warden does. Our own types come by the same door as anyone's.
"""

import logging
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..home.installed import TaskEntry, task_entries
from ..protocol.commands import TaskExecuteRequest
from ..protocol.launch import Collection, Launch

log = logging.getLogger(__name__)

#: What importing a stranger's module and making its class may raise: such a type is not offered,
#: and the worker goes on with the others. MemoryError and the like are no type's fault.
BROKEN = (
    ImportError,
    AttributeError,
    NameError,
    SyntaxError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AssertionError,
    OSError,
    RuntimeError,
)


@runtime_checkable
class TaskType(Protocol):
    """One task type; made once per worker without arguments, then called by file threads.

    Both methods may be called again with the same arguments after a crash and must then come to
    the same end; several attempts are prepared at the same time.

    A type may also have ``rewritten(request) -> tuple[str, ...]``: names of files of mode 0700 that
    its ``prepare`` writes anew, whatever they hold. The folder may then have them already.
    """

    def prepare(self, request: TaskExecuteRequest, folder: Path) -> Launch | None:
        """Make the attempt's files; say what process it is to be, None if it needs none.

        ``folder`` is absolute, the attempt's alone, and empty, or may not exist yet. Raises
        `CannotPrepare` with a text for people: the attempt then fails with reason ``preflight``.
        """

    def collect(
        self,
        folder: Path,
        log: Path,
        exit_code: int,
        declared: dict[str, Any],
        required: list[str],
    ) -> Collection:
        """Read the traces of the ended process; its group is gone, nothing writes any more.

        Not called where `Launch.traces` says that there is nothing to read.

        ``declared`` are the outputs and their defaults, ``required`` those that have none.
        ``exit_code`` is 0–255, 128+n after signal n.
        """


def offered() -> dict[str, TaskType]:
    """Every installed type by its name. Call it once.

    A type that cannot be loaded, or whose name is taken, is logged and left out.
    """
    types: dict[str, TaskType] = {}
    for entry in sorted(task_entries(), key=_rank):
        if entry.name in types:
            log.warning("a task type of that name is there already type=%s", _story(entry))
            continue
        try:
            made = entry.load()()
        except BROKEN as error:
            log.error("task type cannot be loaded type=%s error=%r", _story(entry), error)
            continue
        if not isinstance(made, TaskType):
            log.error("task type lacks prepare or collect type=%s", _story(entry))
            continue
        types[entry.name] = made
    return types


def _rank(entry: TaskEntry) -> tuple[bool, str, str]:
    """Ours first, so that no package can take their names; then always the same order."""
    return not entry.value.startswith("stenella.tasks."), entry.name, entry.value


def _story(entry: TaskEntry) -> str:
    return f"{entry.name} ({entry.value} of {entry.package})"
