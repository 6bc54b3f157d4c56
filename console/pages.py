"""JSON documents as lines for people, at home in 80 columns. Nothing here asks anybody."""

import json
from collections.abc import Sequence
from typing import Any

import click

from .text import moment, printable, span, table, terminal_width

Document = dict[str, Any]

#: State → colour; a state without one is shown plainly. click drops colours outside a terminal.
COLOURS = {
    "SUCCESS": "green",
    "FORCED_SUCCESS": "green",
    "RUNNING_EXECUTION": "cyan",
    "DISPATCH": "cyan",
    "FAILURE": "red",
    "KILL": "red",
    "STOP": "red",
    "READY_STOP": "yellow",
    "NEED_FAULT_TOLERANCE": "yellow",
    "UPSTREAM_FAILED": "yellow",
    "late": "yellow",
    "NEEDS_ATTENTION": "red",
}
NEEDS_ATTENTION = "NEEDS_ATTENTION"
#: Events whose circumstance people need; what a late callback said is for `--json`.
TOLD_EVENTS = ("KILL_FAILED", "KEPT")
VALUE_LENGTH_MAX = 200  # of an output or parameter shown to people; `--json` has it whole


def emit(document: object) -> None:
    """One JSON document on stdout."""
    click.echo(encoded(json.dumps(document, ensure_ascii=False)))


def encoded(text: str) -> bytes:
    """JSON is UTF-8 whatever the terminal has; what is none in the name of a file is escaped."""
    return text.encode("utf-8", "backslashreplace")


def emit_lines(lines: Sequence[str]) -> None:
    """Lines for people on stdout."""
    click.echo("\n".join(lines))


def coloured(state: str) -> str:
    """The state in its colour; padding around it does not matter."""
    return click.style(state, fg=COLOURS.get(state.strip()))


def _styled(column: str, text: str) -> str:
    return coloured(text) if column == "STATE" else text


def columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table for this terminal, states in their colours."""
    return table(head, rows, terminal_width(), _styled)


def duration_of(document: Document) -> float | None:
    """Seconds from start to end of an instance or a task that has ended."""
    start, end = document["start_time"], document["end_time"]
    return None if start is None or end is None else end - start


def instances(documents: Sequence[Document]) -> list[str]:
    """`ls`."""
    if not documents:
        return ["no workflow has run in this home yet; begin with `stenella run FILE`"]
    head = ("ID", "WORKFLOW", "STATE", "STARTED", "TOOK")
    return columns(
        head,
        [
            (
                document["workflow_instance_id"],
                named(document),
                state_of(document),
                moment(document["start_time"]),
                span(duration_of(document)),
            )
            for document in documents
        ],
    )


def state_of(document: Document) -> str:
    """An instance's state for people: one that is left alone says so first."""
    return NEEDS_ATTENTION if document["attention"] else str(document["state"])


def title(document: Document) -> str:
    """One line about an instance: what, which, how, how long."""
    took = duration_of(document)
    return (
        f"{printable(named(document))}  instance {document['workflow_instance_id']}  "
        f"{coloured(state_of(document))}{'' if took is None else f' in {span(took)}'}"
    )


def named(document: Document) -> str:
    """The workflow, and that nothing of it was run if so."""
    return f"{document['workflow']}{' (dry run)' if document['dry_run'] else ''}"


def show(document: Document) -> list[str]:
    """`show`."""
    lines = [title(document), f"version {document['version']}"]
    lines.append(
        f"started {moment(document['start_time']) or 'not yet'}"
        f"{', ended ' + moment(document['end_time']) if document['end_time'] else ''}"
    )
    if document["attention"]:
        lines.append(f"left alone in {document['state']}: {printable(document['attention'])}")
        lines.append("see `stenella debug dead-letters`")
    if document["params"]:
        lines.append(f"params {values(document['params'])}")
    if document["message"]:
        lines.append(printable(document["message"]))
    lines += [*warnings(document), "", *tasks(document["tasks"])]
    outputs = [task for task in document["tasks"] if task["outputs"]]
    if outputs:
        lines += ["", *(f"{task['name']}: {values(task['outputs'])}" for task in outputs)]
    messages = _messages(document["tasks"])
    return [*lines, "", *messages] if messages else lines


def _messages(tasks: Sequence[Document]) -> list[str]:
    """What is said of tasks; of many that wait for the same, once."""
    names: dict[str, list[str]] = {}
    for task in tasks:
        if task["message"]:
            names.setdefault(task["message"], []).append(task["name"])
    return [
        f"{name}{f' and {len(others)} more' if others else ''}: {printable(message)}"
        for message, (name, *others) in names.items()
    ]


def warnings(document: Document) -> list[str]:
    """What has taken longer than its timeout and went on."""
    warned = [task for task in document["tasks"] if task["warned_at"]]
    lines = [f"{task['name']} took longer than its timeout" for task in warned]
    if document["warned_at"]:
        lines.append("the workflow took longer than its timeout")
    return [f"warning: {printable(line)}" for line in lines]


def tasks(documents: Sequence[Document]) -> list[str]:
    """The tasks of an instance, one a line."""
    head = ("ID", "TASK", "STATE", "ATTEMPT", "SECONDS", "WORKER", "REASON")
    return columns(
        head,
        [
            (
                task["task_instance_id"],
                task["name"],
                task["state"],
                task["attempt"] or None,  # 0: there was none
                _seconds(duration_of(task)),
                task["worker"],
                task["reason"],
            )
            for task in documents
        ],
    )


def _seconds(took: float | None) -> str | None:
    return None if took is None else f"{took:.2f}"


def values(named: Document) -> str:
    """``name=value`` of params or outputs."""
    return " ".join(f"{name}={value_of(value)}" for name, value in named.items())


def value_of(value: object) -> str:
    """A value on one line, long ones shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(printable(text).split("\n"))
    return text if len(text) <= VALUE_LENGTH_MAX else text[: VALUE_LENGTH_MAX - 1] + "…"


def status(document: Document) -> list[str]:
    """`status`."""
    masters = columns(
        ("MASTER", "PID", "ENDPOINT"),
        [(m["id"], m["pid"], m["endpoint"]) for m in document["masters"]],
    )
    if document["problem"]:
        masters += ["", printable(document["problem"])]
    if not document["workers"]:
        return [*masters, "", "no worker has registered yet"]
    head = ("WORKER", "PID", "STATE", "FREE", "SLOTS", "GROUPS")
    workers = columns(
        head,
        [
            (w["id"], w["pid"], w["state"], w["free"], w["slots"], ",".join(w["groups"]))
            for w in document["workers"]
        ],
    )
    return [*masters, "", *workers]


def short_state(state: str) -> str:
    """The long names without what they share, so that the columns fit."""
    return state.removesuffix("_EXECUTION").removesuffix("_SUCCESS")
