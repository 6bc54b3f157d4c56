"""``stenella logs``: what tasks wrote.

To a terminal control codes are shown, not sent; to a file or a pipe go the very bytes of the log.
"""

import codecs
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from ..client.presence import is_held
from ..client.reads import Reads
from ..home.layout import find_home
from ..protocol.errors import NotFound
from . import pages
from .history import chunks_of, find_log, read, task_of
from .options import Address, instance_or_task, json_option
from .text import printable

POLL_S = 0.25  # between two looks for more of a log that is followed

Document = dict[str, Any]


@click.command()
@click.argument("address", type=instance_or_task, metavar="ID[/TASK]")
@click.option("--attempt", type=click.IntRange(min=1), help="That try; else the current one.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the attempt has ended.")
@json_option
def logs(address: Address, attempt: int | None, follow: bool, as_json: bool) -> None:
    """Print the log of a task, or of all tasks.

    To a terminal control codes are shown, not sent; to a file or pipe go the very bytes. With
    --json one document: a list of {"task_instance_id", "name", "attempt", "text"}; with -f
    one such object a line.

    Example: stenella logs last/extract -f
    """
    document = read(lambda reader: reader.show(address.workflow_instance_id))
    tasks = _tasks(document, address, follow)
    if follow:
        if len(tasks) > 1:
            names = ", ".join(task["name"] for task in tasks[:5])
            raise click.BadParameter(f"-f follows one task: write {address}/TASK, one of {names}")
        _follow(document, tasks[0], attempt, as_json)
        return
    if attempt is not None and address.task is None:
        raise click.BadParameter("--attempt is about one task: write ID/TASK")
    if as_json:
        pages.emit([_text_document(document, task, attempt) for task in tasks])
        return
    for task in tasks:
        output = _Output()
        if address.task is None:
            click.echo(f"==> {task['name']} <==")
        for chunk in _chunks(document, task, attempt):
            output.write(chunk)
        output.end()


def _tasks(document: Document, address: Address, follow: bool) -> list[Document]:
    """The one that is named, else all that have begun, in the order they did."""
    if address.task is not None:
        return [task_of(document, address)]
    tasks: list[Document] = document["tasks"]
    if follow:
        return tasks  # of a single one the beginning is waited for
    begun = [task for task in tasks if task["start_time"] is not None]
    if not begun:
        number = document["workflow_instance_id"]
        raise NotFound(f"no task of workflow instance {number} has begun, so there is no log")
    return sorted(begun, key=lambda task: float(task["start_time"]))


def _text_document(document: Document, task: Document, attempt: int | None) -> Document:
    data = b"".join(_chunks(document, task, attempt))
    return {
        "task_instance_id": task["task_instance_id"],
        "name": task["name"],
        "attempt": attempt or task["attempt"],
        "text": data.decode("utf-8", errors="replace"),
    }


def _chunks(document: Document, task: Document, attempt: int | None) -> Iterator[bytes]:
    """A log as it is now: from this home's files, else from the worker through the master."""
    if task["task_instance_id"] is None:
        raise _nothing_yet(document, task)
    home = find_home()
    number = attempt or task["attempt"]
    path = find_log(home, document["workflow_instance_id"], task["task_instance_id"], number)
    if path is not None:
        yield from chunks_of(path)
    elif home is not None and is_held(home) and _may_be_elsewhere(task):
        yield from _fetched(task["task_instance_id"], number)
    elif attempt is not None and attempt != task["attempt"]:
        raise NotFound(f"{_named(document, task)} has no log of an attempt {attempt}")
    elif task["start_time"] is None:
        raise _nothing_yet(document, task)


def _may_be_elsewhere(task: Document) -> bool:
    return task["worker"] is not None


def _fetched(task_instance_id: int, attempt: int) -> Iterator[bytes]:
    offset = 0
    with Reads() as client:
        while True:
            page = client.log_page(task_instance_id, attempt, offset)
            yield page.data
            offset += len(page.data)
            if not page.data or offset >= page.size:
                return


def _follow(document: Document, task: Document, attempt: int | None, as_json: bool) -> None:
    """Print what is there and what comes, until the attempt has ended."""
    home = find_home()
    output = _Lines(task, attempt) if as_json else _Output()
    if home is None or not is_held(home):
        for chunk in _chunks(document, task, attempt):
            output.write(chunk)
        output.end()
        return
    with Reads(home.root) as client:
        for chunk in _coming(client, document, task, attempt):
            output.write(chunk)
    output.end()


def _coming(
    client: Reads, document: Document, task: Document, attempt: int | None
) -> Iterator[bytes]:
    number = _begun(client, document, task)
    current, offset = attempt or 0, 0
    while True:
        try:
            page = client.log_page(number, current, offset)
        except NotFound:
            if current:
                raise
            time.sleep(POLL_S)  # placed, and its worker has not begun it
            continue
        current, offset = page.attempt, offset + len(page.data)
        yield page.data
        if page.complete and offset >= page.size:
            return
        if not page.data:
            time.sleep(POLL_S)


def _begun(client: Reads, document: Document, task: Document) -> int:
    """The number of the task instance, waited for. Raises `NotFound` if it never begins."""
    address = Address(document["workflow_instance_id"], task["name"])
    while task["task_instance_id"] is None:
        time.sleep(POLL_S)
        task = task_of(client.show(address.workflow_instance_id), address)
    number: int = task["task_instance_id"]
    return number


def _nothing_yet(document: Document, task: Document) -> NotFound:
    return NotFound(
        f"{_named(document, task)} is {task['state']}: it has not begun, so there is no log; "
        f"`stenella logs -f` waits for it"
    )


def _named(document: Document, task: Document) -> str:
    return f"task {task['name']!r} of workflow instance {document['workflow_instance_id']}"


class _Output:
    """Bytes to stdout; made harmless where it is a terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._last = b"\n"

    def write(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._last = chunk[-1:]
        if self._is_terminal:
            sys.stdout.write(printable(self._decoder.decode(chunk)))
            sys.stdout.flush()
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()

    def end(self) -> None:
        """On a terminal the prompt begins on a line of its own."""
        if self._is_terminal and self._last != b"\n":
            sys.stdout.write("\n")


class _Lines:
    """A JSON object a line for each piece that comes."""

    def __init__(self, task: Document, attempt: int | None) -> None:
        self._fields = {
            "task_instance_id": task["task_instance_id"],
            "name": task["name"],
            "attempt": attempt or task["attempt"],
        }
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, chunk: bytes) -> None:
        if text := self._decoder.decode(chunk):
            pages.emit({**self._fields, "text": text})

    def end(self) -> None:
        pass
