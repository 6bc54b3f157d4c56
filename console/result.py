"""The end of a workflow as people want it: what ran, what failed and its last words, the result."""

import time
from collections.abc import Sequence
from typing import Any

from ..client.plan import Shape
from ..client.reads import succeeded
from ..home.layout import Home
from .history import log_tail
from .pages import title, value_of, warnings
from .progress import FAILED
from .text import chart_width, is_ascii_only, printable
from .timeline import timeline

TOLD_MAX = 3  # tasks whose last words are shown; more pushes the chart off the screen
NAMED_MAX = 10  # more that failed are named only
FAILED_LINES = 10  # of a failed task's log: a traceback's end, a compiler's last complaint
RESULT_LINES = 30  # of a last task's log: a report that fits a screen

Document = dict[str, Any]


def result(home: Home | None, document: Document, shape: Shape | None) -> list[str]:
    """Lines; ``shape``: the graph, if one knows it."""
    all_tasks, number = document["tasks"], document["workflow_instance_id"]
    last_tasks = frozenset(() if shape is None else shape.last_tasks())
    chart = timeline(document, shape, chart_width(), time.time(), ascii_only=is_ascii_only())
    lines = [title(document), *([""] if chart else []), *chart]
    further = f"stenella logs {number}/TASK"
    if late := warnings(document):
        lines += ["", *late]
    if succeeded(document):
        told = [task for task in all_tasks if task["name"] in last_tasks or task["outputs"]]
        told = [task for task in told if not last_tasks or task["name"] in last_tasks]
        told = [task for task in told if task["outputs"] or task["type"] != "noop"]
        for task in told[:TOLD_MAX]:
            lines += _told(task, log_tail(home, document, task, RESULT_LINES))
    else:
        failed = [task for task in all_tasks if task["state"] in FAILED]
        for task in failed[:TOLD_MAX]:
            lines += _told(task, log_tail(home, document, task, FAILED_LINES))
        if more := failed[TOLD_MAX:]:
            lines += ["", f"{len(more):,} more failed: {_names(more)}"]
        if failed and failed[0]["task_instance_id"] is not None:
            further = f"stenella logs {number}/{failed[0]['name']}"
    return [*lines, "", f"more: stenella show {number} · {further}"]


def _names(tasks: Sequence[Document]) -> str:
    names = ", ".join(task["name"] for task in tasks[:NAMED_MAX])
    return names if len(tasks) <= NAMED_MAX else f"{names} …"


def _told(task: Document, log_lines: Sequence[str]) -> list[str]:
    """A heading, the end of the log, and what the task handed on."""
    why = printable(task["message"] or task["reason"] or "")
    lines = ["", f"{task['name']} {task['state']}: {why}" if why else task["name"]]
    lines += [f"  │ {printable(line)}" for line in log_lines]
    lines += [f"  {name} = {value_of(value)}" for name, value in task["outputs"].items()]
    return lines if len(lines) > 2 or why else []
