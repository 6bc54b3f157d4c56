"""The environment of a task's process; for any task type that has one.

Order, the later wins: a few variables of the worker, ``env:``, parameters, ``STENELLA_*``. Values
travel as environment and are never spliced into a script, so no value can become code.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..protocol.commands import TaskExecuteRequest
from ..protocol.launch import CannotPrepare
from ..workflow.parameters import as_text, unfit_text
from .traces import OUTPUT_FILE

#: What a task sees of the worker's own environment, and every LC_*. An allow-list: a worker is
#: often started with credentials in its environment.
INHERITED = ("PATH", "HOME", "USER", "LANG", "TZ")
#: For a worker that was started without one, as by some init systems.
PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Linux gives arguments and environment a quarter of the stack limit, as a rule 2 MiB (execve(2));
#: 16 KiB of it are left for arguments, the warden's marker and the kernel's own entries. Where
#: the limit is lower, the warden's spawn fails and says so.
ENVIRONMENT_BYTES_MAX = (2 * 1024 - 16) * 1024
VARIABLE_EXTRA_BYTES = 10  # of each variable: the =, the closing NUL and a pointer


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What tasks get of a worker's environment; values that are not UTF-8 stay behind."""
    names = [name for name in environ if name in INHERITED or name.startswith("LC_")]
    return {"PATH": PATH_DEFAULT} | {
        name: environ[name]
        for name in names
        if not any("\udc80" <= letter <= "\udcff" for letter in environ[name])
    }


def environment(
    request: TaskExecuteRequest, folder: Path, base: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of an attempt (the warden adds its marker).

    Raises `CannotPrepare` naming the variable that no process can be given.
    """
    env = {**base, **request.env}
    for name, value in request.params.items():
        env[name] = as_text(value)
    env["STENELLA_OUTPUT"] = str(folder / OUTPUT_FILE)
    env["STENELLA_WORKFLOW"] = request.workflow
    env["STENELLA_TASK"] = request.task
    env["STENELLA_WORKFLOW_INSTANCE_ID"] = str(request.workflow_instance_id)
    env["STENELLA_TASK_INSTANCE_ID"] = str(request.task_instance_id)
    env["STENELLA_ATTEMPT_NUMBER"] = str(request.attempt)
    env["STENELLA_BASE_TIME"] = f"{datetime.fromtimestamp(request.base_time // 1000, UTC):%FT%TZ}"
    if request.submit_dir is not None:
        env["STENELLA_SUBMIT_DIR"] = request.submit_dir
    _require_fit(env)
    return env


def _require_fit(env: Mapping[str, str]) -> None:
    """Errors name the variable, never its value: it may be a secret."""
    total = 0
    for name, value in env.items():
        if unfit := unfit_text(name, value):
            raise CannotPrepare(f"{name} cannot be in the environment: {unfit[1]}")
        total += len(name) + len(value.encode()) + VARIABLE_EXTRA_BYTES
    if total > ENVIRONMENT_BYTES_MAX:
        largest = max(env, key=lambda name: len(env[name]))
        raise CannotPrepare(
            f"parameters and env take {total} bytes together, the system allows"
            f" {ENVIRONMENT_BYTES_MAX}; the largest is {largest}"
        )
