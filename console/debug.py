"""``stenella debug``: what the actors do, and how one task came to where it is."""

import click

from ..client.client import Client
from ..client.reads import Reads
from ..protocol.errors import NotFound
from . import letters, pages
from .history import Reader, read, task_of
from .options import instance_or_task, json_option

#: Of the newest ones, in which one is looked for by its number.
LETTERS_MAX = 1_000
LETTERS = 50  # shown, if nobody asks for more

letter_argument = click.argument("number", type=click.IntRange(1), metavar="LETTER")


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


@debug.group("dead-letters", invoke_without_command=True)
@json_option
@click.pass_context
def dead_letters(ctx: click.Context, as_json: bool) -> None:
    """List what was put aside, take it again, or drop it.

    A message that crashed the master twice is here, and its workflow instance shows
    NEEDS_ATTENTION and is left alone until the letter is retried or dropped. Without a command,
    the list.

    Example: stenella debug dead-letters
    """
    if ctx.invoked_subcommand is None:
        _tell_letters(LETTERS, as_json)


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 1_000), default=LETTERS, show_default=True)
@json_option
def letter_list(limit: int, as_json: bool) -> None:
    """List dead letters, newest first.

    Example: stenella debug dead-letters list --limit 10
    """
    _tell_letters(limit, as_json)


def _tell_letters(limit: int, as_json: bool) -> None:
    rows = read(lambda reader: reader.dead_letters(limit))
    if as_json:
        pages.emit(rows)
    else:
        pages.emit_lines(letters.table(rows))


@dead_letters.command("show")
@letter_argument
@json_option
def letter_show(number: int, as_json: bool) -> None:
    """Show one dead letter whole.

    Example: stenella debug dead-letters show 3
    """
    rows = read(lambda reader: reader.dead_letters(LETTERS_MAX))
    found = [row for row in rows if row["id"] == number]
    if not found:
        raise NotFound(f"no dead letter {number}; see `stenella debug dead-letters list`")
    if as_json:
        pages.emit(found[0])
    else:
        pages.emit_lines(letters.whole(found[0]))


@dead_letters.command("retry")
@letter_argument
@json_option
def letter_retry(number: int, as_json: bool) -> None:
    """Take a dead letter again, say after an upgrade.

    An instance that was left alone for it goes on; for that the master begins another life, which
    takes a moment and disturbs no task.

    Example: stenella debug dead-letters retry 3
    """
    with Client() as client:
        client.retry_letter(number)
    _tell_letter(number, "is taken again", as_json)


@dead_letters.command("drop")
@letter_argument
@json_option
def letter_drop(number: int, as_json: bool) -> None:
    """Forget a dead letter.

    An instance that was left alone for it goes on without it: an attempt whose result is dropped is
    lost and runs again.

    Example: stenella debug dead-letters drop 3
    """
    with Client() as client:
        client.drop_letter(number)
    _tell_letter(number, "is forgotten", as_json)


def _tell_letter(number: int, what: str, as_json: bool) -> None:
    if as_json:
        pages.emit({"letter": number})
    else:
        click.echo(f"dead letter {number} {what}")


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
