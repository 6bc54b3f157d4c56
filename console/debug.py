"""``stenella debug``: what the actors do, and how one task came to where it is."""

import click

from ..client.reads import Reads
from . import pages
from .history import Reader, read, task_of
from .options import instance_or_task, json_option


@click.group()
def debug() -> None:
    """Look inside: mailboxes of the actors, history of a task."""


@debug.command()
@json_option
def mailboxes(as_json: bool) -> None:
    """Show what waits in each actor.

    DEPTH messages wait, HIGH at most so far, HELD are kept back by the actor itself; OLDEST is
    the longest wait in ms, P99 the time one message takes.

    Example: stenella debug mailboxes
    """
    with Reads() as client:
        rows = client.mailboxes()
    if as_json:
        pages.emit(rows)
    else:
        pages.emit_lines(pages.mailboxes(rows))


@debug.command()
@click.argument("task", metavar="TASK_INSTANCE_ID|ID/TASK")
@json_option
def trace(task: str, as_json: bool) -> None:
    """Show everything that happened to a task.

    Example: stenella debug trace last/extract
    """
    rows = read(lambda reader: reader.trace(_task_instance_id(reader, task)))
    if as_json:
        pages.emit(rows)
    else:
        pages.emit_lines(pages.trace(rows))


def _task_instance_id(reader: Reader, text: str) -> int:
    address = instance_or_task(text)
    if address.task is None:
        if not address.workflow_instance_id:
            raise click.BadParameter("`last` is a workflow instance: write last/TASK")
        return address.workflow_instance_id  # a lone number is the task's own
    found = task_of(reader.show(address.workflow_instance_id), address)["task_instance_id"]
    if found is None:
        raise click.BadParameter(f"{text} is WAITING: nothing has happened to it yet")
    number: int = found
    return number
