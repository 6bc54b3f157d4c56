"""The end of a workflow as people want it: what ran, what failed and its last words, the result."""

from collections.abc import Sequence
from typing import Any

from ..client.reads import succeeded
from ..home.layout import Home
from .history import log_tail
from .pages import tasks, title, value_of, warnings
from .text import printable

ROWS_MAX = 20  # tasks in the table; what did not succeed comes first when there are more
TOLD_MAX = 3  # tasks whose last words are shown; more pushes the table off the screen
FAILED_LINES = 10  # of a failed task's log: a traceback's end, a compiler's last complaint
RESULT_LINES = 30  # of a last task's log: a report that fits a screen
FAILED = ("FAILURE", "KILL", "NEED_FAULT_TOLERANCE")

Document = dict[str, Any]


def result(home: Home | None, document: Document, last_tasks: Sequence[str]) -> list[str]:
    """Lines; ``last_tasks``: those on which no other depends, as far as one knows."""
    all_tasks = document["tasks"]
    shown = sorted(all_tasks, key=lambda task: task["state"] == "SUCCESS")[:ROWS_MAX]
    lines = [title(document), "", *tasks(all_tasks if len(all_tasks) <= ROWS_MAX else shown)]
    if len(all_tasks) > ROWS_MAX:
        lines.append(f"and {len(all_tasks) - ROWS_MAX} more")
    if late := warnings(document):
        lines += ["", *late]
    if succeeded(document):
        told = [task for task in all_tasks if task["name"] in last_tasks or task["outputs"]]
        told = [task for task in told if not last_tasks or task["name"] in last_tasks]
        for task in told[:TOLD_MAX]:
            lines += _told(task, log_tail(home, document, task, RESULT_LINES))
    else:
        failed = [task for task in all_tasks if task["state"] in FAILED]
        for task in failed[:TOLD_MAX]:
            lines += _told(task, log_tail(home, document, task, FAILED_LINES))
    number = document["workflow_instance_id"]
    return [*lines, "", f"more: stenella show {number} · stenella logs {number}/TASK"]


def _told(task: Document, log_lines: Sequence[str]) -> list[str]:
    """A heading, the end of the log, and what the task handed on."""
    why = printable(task["message"] or task["reason"] or "")
    lines = ["", f"{task['name']} {task['state']}: {why}" if why else task["name"]]
    lines += [f"  │ {printable(line)}" for line in log_lines]
    lines += [f"  {name} = {value_of(value)}" for name, value in task["outputs"].items()]
    return lines if len(lines) > 2 or why else []
