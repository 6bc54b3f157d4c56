"""``explain``: why something has not ended, who acts next, and until when."""

import time
from collections.abc import Sequence
from typing import Any

import click

from . import pages
from .history import Reader, no_instance, read, task_of
from .options import Address, instance_or_task, json_option
from .text import printable, span

Document = dict[str, Any]
NAMES_MAX = 4  # of tasks with the same cause, named


@click.command()
@click.argument("address", type=instance_or_task, metavar="ID[/TASK]")
@json_option
def explain(address: Address, as_json: bool) -> None:
    """Say why a workflow instance, or a task of it, has not ended.

    For each cause: what is waited for, since when, until when, what happens next, and which part
    of the cluster does it. Of what has ended it says so.

    Example: stenella explain last
    """
    document = read(lambda history: _explained(history, address))
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(lines(document, time.time()))


def _explained(history: Reader, address: Address) -> Document:
    """Raises `NotFound`."""
    number = address.workflow_instance_id
    if number == 0:
        newest = history.instances(1)
        if not newest:
            raise no_instance(0)
        number = newest[0]["workflow_instance_id"]
    document = history.explain(number, address.task or "")
    if address.task is not None and not document["causes"]:
        task = task_of(history.show(number), address)
        document["task"] = {name: task[name] for name in ("name", "state", "reason", "message")}
    return document


def lines(document: Document, now: float) -> Sequence[str]:
    """For people; tasks with the same sentence stand together."""
    number, state = document["workflow_instance_id"], document["state"]
    found = [f"{document['workflow']}  instance {number}  {pages.coloured(state)}"]
    if task := document.get("task"):
        why = f": {task['message'] or task['reason']}" if task["message"] or task["reason"] else ""
        return [*found, printable(f"{task['name']} has ended with {task['state']}{why}")]
    if not document["causes"]:
        return [*found, f"it has ended; see `stenella show {number}`"]
    groups: dict[tuple[str, ...], list[Document]] = {}
    for cause in document["causes"]:
        key = (cause["state"], cause["sentence"], cause["next"] or "", cause["owner"] or "")
        groups.setdefault(key, []).append(cause)
    for (task_state, sentence, next_, owner), causes in groups.items():
        first = causes[0]
        if first["task"] is not None:
            found.append(f"{_names(causes)}  {pages.coloured(task_state)}")
        found.append(printable(f"  {sentence}{_times(causes, now)}"))
        tail = " · ".join(part for part in (f"next: {next_}" if next_ else "", owner) if part)
        if tail:
            found.append(printable(f"  {tail}"))
    return found


def _names(causes: Sequence[Document]) -> str:
    names = ", ".join(cause["task"] for cause in causes[:NAMES_MAX])
    more = len(causes) - NAMES_MAX
    return f"{names} and {more} more" if more > 0 else names


def _times(causes: Sequence[Document], now: float) -> str:
    since = [cause["since"] for cause in causes if cause["since"] is not None]
    until = [cause["until"] for cause in causes if cause["until"] is not None]
    parts = [f"since {span(max(0.0, now - min(since)))}"] if since else []
    parts += [f"for {span(max(0.0, max(until) - now))} more"] if until else []
    return f" ({', '.join(parts)})" if parts else ""
