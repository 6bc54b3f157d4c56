"""``stenella logs``: what tasks wrote, whole or as it comes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from ..client.presence import elsewhere, is_held
from ..client.reads import Reads, is_final, writes_nothing
from ..protocol.errors import NotFound, RefusedInState
from . import pages
from .following import Follower
from .history import logs_home, read, task_of
from .log_file import TAIL_BYTES_MAX, open_log, pieces, tail_offset
from .log_output import JsonOutput, NamedOutput, Output, PlainOutput
from .options import Address, instance_or_task, json_option
from .progress import FINAL

Document = dict[str, Any]


@click.command()
@click.argument("address", type=instance_or_task, metavar="ID[/TASK]")
@click.option("--attempt", type=click.IntRange(min=1), help="That try; else the current one.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the end, across attempts.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@json_option
def logs(
    address: Address, attempt: int | None, follow: bool, tail: int | None, as_json: bool
) -> int:
    """Print the log of a task, or of all tasks.

    Of a whole instance each line stands behind its task's name, NAME#2 in its second attempt; with
    -f lines of all tasks come as they are written. --tail is of each log. To a terminal control
    codes are shown, not sent; to a file or pipe go the very bytes. With --json one document: a list
    of {"task_instance_id", "name", "attempt", "text"}; with -f one such object a line.

    Where a log is on a worker that is away, and no result has brought its last lines, that is said
    and the exit code is 6; with -f it is waited for.

    Example: stenella logs last/extract -f --tail 20
    """
    if attempt is not None and address.task is None:
        raise click.BadParameter("--attempt is about one task: write ID/TASK")
    document = read(lambda reader: reader.show(address.workflow_instance_id))
    home = logs_home()
    with ExitStack() as stack:
        client = None
        if elsewhere():
            client = stack.enter_context(Reads())
        elif home is not None and is_held(home):
            client = stack.enter_context(Reads(home.root))  # connects when it is first asked
        if follow and client is not None and not is_final(document):
            names = _names(document, address)
            output = _output(names, address, as_json)
            follower = Follower(home, client, output, tail, attempt)
            is_whole = follower.follow(document["workflow_instance_id"], frozenset(names))
            return 0 if is_whole else RefusedInState.exit_code
        tasks = _begun(document, address)
        texts = _Texts(document, client, attempt, tail, of_one=address.task is not None)
        if as_json and not follow:
            pages.emit([texts.document_of(task) for task in tasks])
        else:
            output = _output([task["name"] for task in tasks], address, as_json)
            for task in tasks:
                with texts.had():
                    for chunk in texts.pieces_of(task):
                        output.write(task, attempt or task["attempt"], chunk)
            output.end()
        for text in texts.away:
            click.echo(text, err=True)
        return RefusedInState.exit_code if texts.away else 0


def _names(document: Document, address: Address) -> list[str]:
    if address.task is not None:
        return [task_of(document, address)["name"]]
    return [task["name"] for task in document["tasks"]]


def _output(names: list[str], address: Address, as_json: bool) -> Output:
    if as_json:
        return JsonOutput()
    return PlainOutput() if address.task is not None else NamedOutput(names)


def _begun(document: Document, address: Address) -> list[Document]:
    """The one that is named, else all that have begun, in the order they did."""
    if address.task is not None:
        return [task_of(document, address)]
    begun = [task for task in document["tasks"] if task["start_time"] is not None]
    if not begun:
        number = document["workflow_instance_id"]
        raise NotFound(f"no task of workflow instance {number} has begun, so there is no log")
    return sorted(begun, key=lambda task: float(task["start_time"]))


class _Texts:
    """Logs as they are now: of the current attempt, or of one that is asked for.

    ``of_one``: of one task, so that what cannot be had is an error; else the others are shown.
    """

    def __init__(
        self,
        document: Document,
        client: Reads | None,
        attempt: int | None,
        tail: int | None,
        *,
        of_one: bool,
    ) -> None:
        self._document, self._client = document, client
        self._attempt, self._tail, self._of_one = attempt, tail, of_one
        self._home = logs_home()
        self.away: dict[str, None] = {}  # why logs cannot be had, each reason once

    def document_of(self, task: Document) -> Document:
        """``text`` is null where there is no log, or it cannot be had."""
        text = None
        with self.had():
            text = b"".join(self.pieces_of(task)).decode("utf-8", errors="replace")
        return {
            "task_instance_id": task["task_instance_id"],
            "name": task["name"],
            "attempt": self._attempt or task["attempt"],
            "text": text,
        }

    @contextmanager
    def had(self) -> Iterator[None]:
        """Of many logs, go on where one cannot be had; `away` says why."""
        try:
            yield
        except (NotFound, RefusedInState) as error:
            if self._of_one:
                raise
            if isinstance(error, RefusedInState):
                self.away[error.message] = None

    def pieces_of(self, task: Document) -> Iterator[bytes]:
        """Raises `NotFound` for what has no log, `RefusedInState` where its worker is away."""
        number, attempt = task["task_instance_id"], self._attempt or task["attempt"]
        if number is None:
            raise self._nothing_yet(task)
        instance, log = self._document, None
        is_empty = writes_nothing(instance, task)
        if not is_empty:
            workflow_instance_id = instance["workflow_instance_id"]
            log = open_log(self._home, self._client, workflow_instance_id, task, attempt)
        if log is not None:
            offset = 0 if self._tail is None else tail_offset(log, self._tail)
            for _behind, piece in pieces(log, offset):
                yield piece
        elif attempt == task["attempt"] and task["start_time"] is None:
            raise self._nothing_yet(task)
        elif is_empty:
            return
        elif self._client is None and attempt <= task["attempt"]:  # no cluster is up
            yield read(lambda reader: reader.log_end(number, attempt, TAIL_BYTES_MAX))[0]
        else:
            raise NotFound(f"{self._named(task)} has no log of attempt {attempt}")

    def _nothing_yet(self, task: Document) -> NotFound:
        text = f"{self._named(task)} is {task['state']}: it has not begun, so there is no log"
        waits = "" if task["state"] in FINAL else "; `stenella logs -f` waits for it"
        return NotFound(text + waits)

    def _named(self, task: Document) -> str:
        return (
            f"task {task['name']!r} of workflow instance {self._document['workflow_instance_id']}"
        )
