"""What the event persister holds of an instance, and the request it composes for an attempt."""

import hashlib
import json
from typing import Any

import msgspec

from ...protocol.commands import TaskExecuteRequest
from ...protocol.rows import TaskInstanceRow, WorkflowInstanceRow
from ...protocol.states import PRIORITIES, TaskState
from ...workflow.definition import Task
from ...workflow.parameters import as_text, task_parameters, upstream
from .messages import NotDone
from .version import Version

#: A priority's code: its place in `PRIORITIES`, found without a search.
PLACES = {priority: place for place, priority in enumerate(PRIORITIES)}
#: No wait between two tries is longer, whatever the backoff: a week.
WAIT_MS_MAX = 7 * 86_400_000
#: After so many tries the backoff no longer grows: 100 to the 60th is still a float.
DOUBLINGS_MAX = 60
#: So many requests of an instance are kept as patterns for others of their kind: who has more kinds
#: of tasks than that has few of each.
PATTERNS_MAX = 64
#: Of all parameters of an attempt together: they become its environment, and Linux takes 2 MiB of
#: environment and arguments (execve(2)). It also keeps the request within one command.
PARAMETERS_BYTES_MAX = 1024 * 1024


class Instance:
    """A live instance's frozen parts, and the rows of its tasks by node."""

    def __init__(self, row: WorkflowInstanceRow, version: Version) -> None:
        self.row = row
        self.version = version
        self.params: dict[str, Any] = json.loads(row.params)
        self.startup: list[str] = json.loads(row.startup)
        self.rows: dict[int, TaskInstanceRow] = {}
        self.patterns: dict[int, TaskExecuteRequest] = {}  # by kind of task, see `compose`
        self.stopping = False  # nothing of it is placed any more

    def task(self, row: TaskInstanceRow) -> Task:
        """What the definition says of it."""
        return self.version.task(row.node)

    def longest_wait_ms(self, row: TaskInstanceRow) -> int:
        """The full length of the wait before this try, whatever the clock has done since."""
        return retry_wait_ms(self.version, row.node, row.try_no - 1, row.id)

    def level_of(self, row: TaskInstanceRow) -> int:
        """What goes first, by priority alone: 0 to 24, the workflow's before the task's."""
        return len(PRIORITIES) * self.row.priority + PLACES[self.task(row).priority]


def retry_wait_ms(version: Version, node: int, try_no: int, task_instance_id: int) -> int:
    """How long to wait after the ``try_no``-th try failed: interval · backoff^(try_no − 1), and up
    to ``jitter`` of that again: how much follows from task and try, so a restart finds the same.
    """
    retry = version.task(node).retry
    growth = retry.backoff ** min(max(0, try_no - 1), DOUBLINGS_MAX)
    seed = hashlib.sha256(f"{task_instance_id}.{try_no}".encode()).digest()
    part = int.from_bytes(seed[:4], "big") / 2**32
    return int(min(retry.interval_ms * growth * (1 + retry.jitter * part), WAIT_MS_MAX))


def already_ended(request_id: str, row: TaskInstanceRow) -> NotDone:
    """The refusal of a kill that came too late."""
    state = TaskState(row.state).name
    text = (
        f"task {row.name} of workflow instance {row.workflow_instance_id} "
        f"has already ended with {state}"
    )
    return NotDone(request_id, 6, "refused", text)


def compose(
    instance: Instance, row: TaskInstanceRow, epoch: int, kill_grace_ms: int
) -> tuple[TaskExecuteRequest | None, str]:
    """The request for the row's present dispatch, or why its parameters cannot be resolved.

    Tasks of a kind differ in their ids only, unless they take what others have given.
    """
    assert row.boot is not None
    kind = instance.version.kind(row.node)
    pattern = instance.patterns.get(kind)
    if pattern is not None:
        request = msgspec.structs.replace(
            pattern,
            task_instance_id=row.id,
            attempt=row.attempt,
            dispatch_id=row.dispatch_id,
            to_boot=row.boot,
            task=row.name,
        )
        return request, ""
    task = instance.version.task(row.node)
    sources = upstream(task)
    outputs = {name: _outputs_of(instance, name) for name in sources}
    given = instance.params, instance.startup
    params, problem = task_parameters(instance.version.declared, task, *given, outputs)
    if problem is not None:
        return None, problem.message
    size = sum(len(as_text(value).encode()) for value, _ in params.values())
    if size > PARAMETERS_BYTES_MAX:
        return None, f"its parameters take {size:,} bytes, at most {PARAMETERS_BYTES_MAX:,} fit"
    request = TaskExecuteRequest(
        task_instance_id=row.id,
        workflow_instance_id=row.workflow_instance_id,
        attempt=row.attempt,
        dispatch_id=row.dispatch_id,
        epoch=epoch,
        to_boot=row.boot,
        workflow=instance.version.definition.name,
        task=row.name,
        task_type=task.type,
        script=task.script,
        params={name: value for name, (value, _) in params.items()},
        origins={name: origin for name, (_, origin) in params.items()},
        env=task.env,
        outputs={o.name: o.default for o in task.outputs if o.default is not None},
        required=[o.name for o in task.outputs if o.default is None],
        working_dir=task.working_dir,
        submit_dir=instance.row.submit_dir,
        base_time=instance.row.base_time,
        kill_grace_ms=kill_grace_ms,
        dry_run=bool(instance.row.dry_run),
        limit_ms=task.timeout.after_ms if task.timeout and task.timeout.fails else 0,
        command=list(task.command),
        file=task.file,
        python=task.python,
        run_as=task.run_as,
        keep=task.on_isolation == "keep",
    )
    if not sources and len(instance.patterns) < PATTERNS_MAX:
        instance.patterns[kind] = request
    return request, ""


def _outputs_of(instance: Instance, name: str) -> dict[str, Any]:
    row = instance.rows.get(instance.version.graph.index[name])
    return json.loads(row.outputs) if row is not None else {}
