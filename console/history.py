"""Who answers a reading command: the cluster if one is up, else the files of the home.

A log that lies in this home is read from its file in both cases: that costs nobody a turn.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from ..client.presence import elsewhere, is_held
from ..home.layout import Home, find_home
from ..protocol.errors import NotFound, RefusedInState, Unreachable, WaitTimeout
from .options import Address

Document = dict[str, Any]
Result = TypeVar("Result")

GOES_ON = "no cluster is up; what has not ended goes on at the next `stenella up`"
#: How long a cluster may take to answer a reading before the home's files do.
LIMIT_S = 5.0
NEWEST = 50  # instances that are looked at for one that waits for a cluster
#: The end of a log that people are shown without asking for it.
TAIL_BYTES = 16 * 1024
LINE_BYTES = 4 * 1024  # the end that is looked at for one line


class Reader(Protocol):
    """What a `Client` and the files of a home both answer."""

    def instances(self, limit: int) -> list[Document]: ...

    def show(self, workflow_instance_id: int) -> Document: ...

    def head(self, workflow_instance_id: int) -> Document: ...

    def trace(self, task_instance_id: int) -> list[Document]: ...

    def definition(self, workflow: str, workflow_instance_id: int) -> Document: ...

    def dead_letters(self, limit: int, number: int = 0) -> list[Document]: ...

    def log_end(
        self, task_instance_id: int, attempt: int, bytes_max: int
    ) -> tuple[bytes, bool]: ...

    def explain(self, workflow_instance_id: int, task: str) -> Document: ...


class NoHistory:
    """A home in which nothing has run."""

    def instances(self, limit: int) -> list[Document]:
        return []

    def show(self, workflow_instance_id: int) -> Document:
        raise no_instance(workflow_instance_id)

    def head(self, workflow_instance_id: int) -> Document:
        raise no_instance(workflow_instance_id)

    def trace(self, task_instance_id: int) -> list[Document]:
        raise no_task_instance(task_instance_id)

    def definition(self, workflow: str, workflow_instance_id: int) -> Document:
        raise no_definition(workflow, workflow_instance_id)

    def dead_letters(self, limit: int, number: int = 0) -> list[Document]:
        return []

    def log_end(self, task_instance_id: int, attempt: int, bytes_max: int) -> tuple[bytes, bool]:
        raise no_task_instance(task_instance_id)

    def explain(self, workflow_instance_id: int, task: str) -> Document:
        raise no_instance(workflow_instance_id)


def logs_home() -> Home | None:
    """Where logs may lie beside us; not those of a cluster elsewhere, whose numbers are its own."""
    return None if elsewhere() else find_home()


def read(question: Callable[[Reader], Result]) -> Result:
    """The answer to ``question``. Raises `NotFound` for what is not there."""
    if elsewhere():
        from ..client.reads import Reads

        with Reads(limit_s=LIMIT_S) as client:
            return question(client)
    home = find_home()
    return question(NoHistory()) if home is None else read_of(home, question)


def read_of(home: Home, question: Callable[[Reader], Result]) -> Result:
    """As `read`, of that home whatever the environment names."""
    if is_held(home):
        from ..client.reads import Reads  # zmq: loaded only where there is a cluster

        with Reads(home.root, limit_s=LIMIT_S) as client:
            try:
                return question(client)
            except (Unreachable, WaitTimeout):
                pass  # it is starting, leaving or stalled; what is committed is in the file
    with closing(StoredHistory(home)) as stored:
        answer = question(stored)
        if stored.has_live_instances():
            text = GOES_ON
            if is_held(home):
                text = "the cluster does not answer; this is what it had written last"
            click.echo(text, err=True)
        return answer


def newest_instances(limit: int) -> list[Document]:
    """The newest first, as committed: from the home's file, also while its cluster is up."""
    if elsewhere():
        return read(lambda reader: reader.instances(limit))
    home = find_home()
    if home is None:
        return []
    from ..storage import listing  # no peewee, no zmq: it is asked for all the time

    documents = listing.newest(home.database, limit)
    if documents is None:
        with closing(StoredHistory(home)) as stored:
            documents = stored.instances(limit)
    if any(document["end_time"] is None for document in documents) and not is_held(home):
        click.echo(GOES_ON, err=True)
    return documents


class StoredHistory:
    """What is committed in the database of a home."""

    def __init__(self, home: Home) -> None:
        from ..storage.queries import Queries  # peewee: loaded only where there is no cluster

        self._queries = Queries.open(home.database)

    def close(self) -> None:
        self._queries.close()

    def has_live_instances(self) -> bool:
        """Whether some of the newest instances have not ended."""
        newest = self._queries.instances(NEWEST)
        return any(document["end_time"] is None for document in newest)

    def instances(self, limit: int) -> list[Document]:
        return self._queries.instances(limit)

    def show(self, workflow_instance_id: int) -> Document:
        """Page by page, so that no reading takes longer than one may."""
        tasks: list[Document] = []
        node: int | None = 0
        while node is not None:
            page = self._queries.instance_page(workflow_instance_id, node)
            if page is None:
                raise no_instance(workflow_instance_id)
            whole, node = page["instance"], page["next_node"]
            workflow_instance_id = whole["workflow_instance_id"]
            tasks += page["tasks"]
        return {**whole, "tasks": tasks}

    def head(self, workflow_instance_id: int) -> Document:
        page = self._queries.ended(workflow_instance_id, 0)
        if page is None:
            raise no_instance(workflow_instance_id)
        head: Document = page["instance"]
        return head

    def trace(self, task_instance_id: int) -> list[Document]:
        rows = self._queries.trace(task_instance_id)
        if rows is None:
            raise no_task_instance(task_instance_id)
        return rows

    def dead_letters(self, limit: int, number: int = 0) -> list[Document]:
        return self._queries.dead_letters(limit, number)

    def log_end(self, task_instance_id: int, attempt: int, bytes_max: int) -> tuple[bytes, bool]:
        """Of a log that is not in this home: what came with the result. Raises `RefusedInState`
        where nothing did.
        """
        place = self._queries.log_place(task_instance_id, attempt)
        if place is None:
            raise no_task_instance(task_instance_id)
        if not place["words"]:
            raise RefusedInState(
                f"the log is not in this home, and no cluster is up to ask {place['worker']} for "
                "it: `stenella up --detach` starts one"
            )
        return place["words"].encode()[-bytes_max:], False

    def definition(self, workflow: str, workflow_instance_id: int) -> Document:
        document = self._queries.definition(workflow, workflow_instance_id)
        if document is None:
            raise no_definition(workflow, workflow_instance_id)
        return document

    def explain(self, workflow_instance_id: int, task: str) -> Document:
        """While no cluster is up, that is the cause of everything."""
        document = self.show(workflow_instance_id)
        names = ("workflow_instance_id", "workflow", "state")
        causes = [
            {
                "task": found["name"],
                "task_instance_id": found["task_instance_id"],
                "state": found["state"],
                "owner": None,
                "cause": "no_cluster",
                "sentence": "no cluster is up in this home, or it does not answer",
                "since": None,
                "until": None,
                "next": "it goes on at the next `stenella up`",
            }
            for found in document["tasks"]
            if found["end_time"] is None and task in ("", found["name"])
        ]
        if task:
            task_of(document, Address(workflow_instance_id, task))
        live = document["end_time"] is None
        return {name: document[name] for name in names} | {"causes": causes if live else []}

    def workflow_names(self, limit: int) -> list[str]:
        """Names of registered workflows, sorted."""
        return self._queries.workflow_names(limit)


def workflow_names(limit: int) -> list[str]:
    """Names of the workflows of the home; read from its file, also while a cluster is up."""
    home = None if elsewhere() else find_home()
    if home is None:
        return []
    with closing(StoredHistory(home)) as stored:
        return stored.workflow_names(limit)


def no_definition(workflow: str, workflow_instance_id: int) -> NotFound:
    """No such workflow, or no such instance."""
    if workflow:
        return NotFound(f"no workflow {workflow!r} is registered in this home")
    return no_instance(workflow_instance_id)


def no_instance(workflow_instance_id: int) -> NotFound:
    """No such instance; 0 is the newest."""
    if workflow_instance_id == 0:
        return NotFound("no workflow has run in this home yet; begin with `stenella run FILE`")
    return NotFound(
        f"no workflow instance {workflow_instance_id}; `stenella ls` shows those there are"
    )


def no_task_instance(task_instance_id: int) -> NotFound:
    """No such task instance."""
    return NotFound(f"there is no task instance {task_instance_id}; see `stenella show ID`")


def task_of(document: Document, address: Address) -> Document:
    """The task that ``address`` names. Raises `NotFound`."""
    for task in document["tasks"]:
        if task["name"] == address.task:
            found: Document = task
            return found
    instance = document["workflow_instance_id"]
    raise NotFound(
        f"workflow instance {instance} has no task {address.task!r}; see `stenella show {instance}`"
    )


def find_log(
    home: Home | None, workflow_instance_id: int, task_instance_id: int, attempt: int
) -> Path | None:
    """The file of an attempt's log, if it ran on a worker of this home."""
    if home is None:
        return None
    name = f"*/logs/{workflow_instance_id}/{task_instance_id}.{attempt}.log"
    # Two only if a worker left after its last word; the newer one is of who ran it.
    found = sorted(home.workers.glob(name), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def log_tail(home: Home | None, document: Document, task: Document, lines_max: int) -> list[str]:
    """The last lines of a task's current attempt, from its worker if that is elsewhere."""
    if task["task_instance_id"] is None or task["start_time"] is None:
        return []
    instance, number = document["workflow_instance_id"], task["task_instance_id"]
    path = find_log(home, instance, number, task["attempt"])
    if path is not None:
        text, is_cut = _end_of(path, TAIL_BYTES)
    else:
        try:
            end, is_cut = read(lambda reader: reader.log_end(number, task["attempt"], TAIL_BYTES))
        except (NotFound, RefusedInState, Unreachable, WaitTimeout):
            return []  # an embellishment: it is not worth an error
        text = end.decode("utf-8", errors="replace")
    lines = text.splitlines()
    return lines[1:][-lines_max:] if is_cut else lines[-lines_max:]


def last_line(
    home: Home | None, workflow_instance_id: int, task_instance_id: int, attempt: int
) -> str:
    """What an attempt printed last; '' if that is nothing, or not in this home."""
    path = find_log(home, workflow_instance_id, task_instance_id, attempt)
    if path is None:
        return ""
    text, _is_cut = _end_of(path, LINE_BYTES)
    # A carriage return begins the line anew, as bars of progress do.
    return next(
        (line for line in reversed(text.replace("\r", "\n").split("\n")) if line.strip()), ""
    )


def _end_of(path: Path, bytes_max: int) -> tuple[str, bool]:
    """The end of a file as text, and whether there is more before it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - bytes_max))
            return file.read().decode("utf-8", errors="replace"), size > bytes_max
    except OSError:  # removed a moment ago
        return "", False
