"""``stenella debug``: what the actors do, and how one task came to where it is."""

import socket
import time
from pathlib import Path

import click

from ..client.client import Client
from ..client.presence import elsewhere
from ..client.reads import Reads
from ..home.layout import find_home
from ..protocol.errors import NotFound, Usage
from . import doctor, letters, pages, peeked, trace_chart
from . import mailboxes as boxes
from .history import Reader, read, task_of
from .options import instance_or_task, json_option

LETTERS = 50  # shown, if nobody asks for more

letter_argument = click.argument("number", type=click.IntRange(1), metavar="LETTER")


@click.group()
def debug() -> None:
    """Look inside: mailboxes of the actors, history of a task."""


@debug.command()
@click.option("--watch", is_flag=True, help="Look again every second, with rates, until Ctrl-C.")
@json_option
def mailboxes(watch: bool, as_json: bool) -> None:
    """Show what waits in each actor, and how fast each node writes.

    DEPTH messages wait, HIGH at most so far, HELD are kept back by the actor itself; OLDEST is
    the longest wait in ms, P99 the time one message takes. Of a node: how long a commit took,
    FLYING for how many ms the present one has been under way, AHEAD how much is thought and not
    yet on disk, and frames.

    Example: stenella debug mailboxes
    """
    if watch:
        boxes.watch(as_json)
        return
    with Reads() as client:
        rows = client.mailboxes()
    if as_json:
        pages.emit(rows)
    else:
        pages.emit_lines(boxes.lines(boxes.Reading(rows, time.monotonic(), None)))


@debug.command()
@click.argument("node")
@click.argument("actor")
@json_option
def peek(node: str, actor: str, as_json: bool) -> None:
    """Show what waits for an actor, and what it received last.

    NODE and ACTOR as `stenella debug mailboxes` names them. Of what users and tasks wrote only
    the size is shown.

    Example: stenella debug peek master dispatcher
    """
    with Reads() as client:
        rows = client.peek(node, actor)
    if as_json:
        pages.emit(rows)
    else:
        pages.emit_lines(peeked.lines(rows))


@debug.command("bundle")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@json_option
def debug_bundle(file: Path | None, as_json: bool) -> None:
    """Write what a bug report needs into one file.

    Versions, settings, what the cluster and `doctor` say, ends of the nodes' logs, numbers of rows.
    No scripts, parameters, outputs, environments, keys, and no task's log. Works with the cluster
    up or down.

    Example: stenella debug bundle report.tar.gz
    """
    home = find_home()
    if home is None:
        raise NotFound("there is no home to report about yet; begin with `stenella run FILE`")
    from . import bundle  # sqlite3 and tarfile: only for those who ask

    path = file or Path(time.strftime("stenella-bundle-%Y%m%d-%H%M%S.tar.gz"))
    files = bundle.write(path, bundle.collected(home, doctor.patient_of(home)))
    if as_json:
        pages.emit({"file": str(path), "files": files})
        return
    size = path.stat().st_size
    names = ", ".join(file["name"].removesuffix(".json") for file in files)
    click.echo(f"{path}, {max(1, size // 1000)} kB, holds {names}")
    click.echo(f"look before you send it: tar -xzf {path}")


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
    elif as_json:
        command = f"stenella debug dead-letters {ctx.invoked_subcommand}"
        raise Usage(f"--json goes behind the command: {command} … --json")


@dead_letters.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=LETTERS,
    show_default=True,
    help="At most so many.",
)
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
    found = read(lambda reader: reader.dead_letters(1, number))
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
    """Show everything that happened to a task, as a chart.

    Who told whom, when, and how long each step took: the client, the actors of the master, the
    worker and its warden. STEP is the time since the line above; ~ stands before one that lies
    between the clocks of two machines.

    Example: stenella debug trace last/extract
    """
    rows = read(lambda reader: reader.trace(_task_instance_id(reader, task)))
    if as_json:
        pages.emit(rows)
    else:
        local = None if elsewhere() else socket.gethostname()
        pages.emit_lines(trace_chart.lines(rows, local))


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
