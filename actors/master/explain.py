"""Why something has not ended: who acts next, what is waited for, since when, until when. Pure.

An `Explain` travels workflow executor → event persister → dispatcher → registry and back to who
asked; each fills in what it knows of each `Cause`. Invariant: ``owner`` is named only by the actor
that really holds the next step (a key in its queue, a deadline, a request that it repeats, a worker
that it hears), so a cause without owner is something that nobody would ever move.
"""

from ...protocol.commands import clipped
from ...protocol.rows import TaskInstanceRow
from ...protocol.states import TaskState
from ...workflow.durations import written
from .cause import Cause
from .requests import Instance

T = TaskState

#: Named of those that a task waits for.
PARENTS_MAX = 5


def of_row(row: TaskInstanceRow) -> Cause:
    """What is still to be filled."""
    state = TaskState(row.state).name
    return Cause(task=row.name, task_instance_id=row.id, state=state, event_no=row.event_no)


def say_why(cause: Cause, row: TaskInstanceRow, instance: Instance, wall_ms: int) -> None:
    """What the row tells; the rest of the actors knows who holds the next step."""
    cause.state, cause.event_no = TaskState(row.state).name, row.event_no
    match row.state:
        case T.DELAY_EXECUTION:
            cause.cause, cause.since, cause.until = "delay", row.submit_time, row.eligible_at
            cause.sentence = f"its delay of {written(instance.task(row).delay_ms)} is not over"
            cause.next = "then it waits for a worker"
        case T.SUBMITTED_SUCCESS:
            _say_ready(cause, row, instance, wall_ms)
        case T.DISPATCH:
            cause.worker, cause.dispatch_id = row.worker or "", row.dispatch_id
            cause.cause = "dispatched"
            cause.sentence = f"{row.worker} was given it and has not said that it runs"
        case T.RUNNING_EXECUTION:
            _say_running(cause, row, instance)


def _say_ready(cause: Cause, row: TaskInstanceRow, instance: Instance, wall_ms: int) -> None:
    task = instance.task(row)
    cause.queue = task.worker_group, row.type
    cause.since = max(row.submit_time, row.eligible_at)
    if row.eligible_at > wall_ms:
        cause.cause, cause.since, cause.until = "retry", row.submit_time, row.eligible_at
        cause.sentence = (
            f"attempt {row.attempt} waits: try {row.try_no} of {task.retry.times + 1}, "
            "after the one before failed"
        )
        cause.next = "then it waits for a worker"


def _say_running(cause: Cause, row: TaskInstanceRow, instance: Instance) -> None:
    timeout = instance.task(row).timeout
    cause.worker, cause.since = row.worker or "", row.start_time
    cause.cause, cause.next = "running", "its end"
    cause.sentence = f"runs on {row.worker} (host {row.host}, process {row.pid})"
    if timeout is not None and timeout.fails and row.timeout_at:
        cause.until, cause.next = row.timeout_at, "its end; at its time limit it is stopped"
    if row.reason == "preparing":
        cause.cause, cause.sentence = "preparing", preparing(row, instance)
        cause.next = "its process begins"
    if row.kill_reason is not None:
        cause.cause, cause.next = "killing", "its end, when nothing of it is left"
        cause.sentence = f"is being killed on {row.worker} ({row.kill_reason})"
    if row.reason == "kill_failed":
        cause.cause, cause.sentence = "kill_failed", row.message
    if row.unreachable_at is not None:
        cause.cause, cause.since, cause.worker = "unreachable", row.unreachable_at, ""
        cause.sentence = f"{row.worker} is unreachable, and the task is kept (on_isolation: keep)"
        cause.next = "its worker comes back, or its lost_after is over; `stenella kill` gives it up"


def preparing(row: TaskInstanceRow, instance: Instance) -> str:
    """Why it has no process yet. As a rule it is the file system of its folder that takes long."""
    folder, start = instance.task(row).working_dir, instance.row.submit_dir
    sentence = f"is being prepared on {row.worker}"
    if folder is not None:
        from_there = f"{start}/" if start and not folder.startswith("/") else ""
        sentence += f"; its working folder is {from_there}{folder}"
    return clipped(sentence)


def say_parents(cause: Cause, instance: Instance) -> None:
    """Which tasks a node without a row waits for."""
    names = []
    for node in cause.parents or ():
        row = instance.rows.get(node)
        state = "WAITING" if row is None else TaskState(row.state).name
        names.append(f"{instance.version.graph.names[node]} ({state})")
    cause.owner, cause.cause = "workflow_executor", "upstream"
    more = f" and {len(names) - PARENTS_MAX} more" if len(names) > PARENTS_MAX else ""
    cause.sentence = f"waits for {', '.join(names[:PARENTS_MAX])}{more}"
    cause.next = "it becomes ready when they have succeeded"
