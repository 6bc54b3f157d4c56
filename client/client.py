"""`Client`: a cluster as a program sees it. Blocking, no gevent, one thread.

Every request is repeated with the same request id until it is answered, over connection losses and
restarts of the master too (``requester.py``).
"""

import os
import secrets
import time
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from ..protocol.codec import (
    digest,
)
from ..protocol.commands import (
    Answer,
    DebugReply,
    DebugRequest,
    InstanceChanged,
    InstanceList,
    InstancePage,
    InstanceRead,
    InstanceWatch,
    LogChunk,
    LogRead,
    Shutdown,
    StatusRead,
    Stop,
    Submit,
)
from ..protocol.errors import (
    NotFound,
    WaitTimeout,
    WorkflowFailed,
)
from ..protocol.states import WORKFLOW_FINAL, WorkflowState
from ..workflow import definition as definitions
from ..workflow.definition import Definition
from ..workflow.durations import parse_duration
from ..workflow.findings import Findings
from ..workflow.parameters import start_params
from ..workflow.validation import validate
from .loading import installed_types, load
from .requester import LIMIT_S, Requester

#: One long poll; the gateway holds a watch no longer than this.
WATCH_S_MAX = 10.0
#: One page of a log: some ten thousand lines, far below a command's limit.
LOG_PAGE_BYTES = 1024 * 1024

FINAL_STATES = frozenset(state.name for state in WORKFLOW_FINAL)


def is_final(document: dict[str, Any]) -> bool:
    """Whether the instance of this JSON document has ended."""
    return document["state"] in FINAL_STATES


def succeeded(document: dict[str, Any]) -> bool:
    """Whether it ended well."""
    return bool(document["state"] == WorkflowState.SUCCESS.name)


def new_request_id() -> str:
    """An id that no other request has."""
    return secrets.token_hex(16)


class Client:
    """Requests to the cluster of a home, or to the master at ``endpoint`` with that home's keys.

    ``home``: a folder, else $STENELLA_HOME, else ~/.stenella. ``limit_s``: how long one request is
    repeated. Nothing is connected before the first request. Not to be shared between threads.

    Every request may raise `Unreachable` (nobody answers who could), `WaitTimeout` (the cluster is
    there and has not answered within the limit; it may still do what was asked, and the same
    request id gets its answer) and whatever error the master answers with.
    """

    def __init__(
        self,
        home: str | PathLike[str] | None = None,
        endpoint: str | None = None,
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._requester = Requester(None if home is None else Path(home), endpoint, limit_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        self._requester.close()

    # --- intents ---------------------------------------------------------------------------------

    def submit(
        self,
        definition: "Definition | str | PathLike[str] | dict[str, Any]",
        params: dict[str, Any] | None = None,
        request_id: str | None = None,
        submit_dir: str | PathLike[str] | None = None,
    ) -> "Instance":
        """Start a workflow and return its instance, which is then on the master's disk.

        ``definition``: a file's path, a document as in a YAML file, or a checked `Definition`. With
        the ``request_id`` of an earlier submit the instance of that one is returned.
        Raises `DefinitionRefused` or, about ``params``, `Usage`, with all problems; nothing was
        stored then.
        """
        folder = None if submit_dir is None else os.path.abspath(submit_dir)
        checked = _checked(definition, folder)
        given = params or {}
        check_params(checked, given)  # refused here, before anybody is asked
        body = definitions.encode(checked)
        parts = (body, msgspec.json.encode(given, order="sorted"), (folder or "").encode())
        request = Submit(
            request_id=request_id or new_request_id(),
            digest=digest(b"Submit", *parts),
            definition=body,
            params=given,
            submit_dir=folder,
        )
        return self.instance(self._requester.ask(request, Answer).result["workflow_instance_id"])

    def stop(self, workflow_instance_id: int) -> None:
        """Stop an instance: nothing new starts, what runs is killed. Returns before it has ended.

        Raises `NotFound`, and `Refused` if it has ended.
        """
        request = Stop(
            request_id=new_request_id(),
            digest=digest(b"Stop", b"%d" % workflow_instance_id),
            workflow_instance_id=workflow_instance_id,
        )
        self._requester.ask(request, Answer)

    def shutdown(self, wait_s: float, keep: bool = False) -> None:
        """Take the cluster down: nothing new starts, and after ``wait_s`` what still runs is
        stopped; with ``keep`` it goes on and is taken up at the next start. Returns when nothing
        is left to wait for and the processes leave; `Unreachable` may mean that they have left.
        """
        request = Shutdown(request_id=new_request_id(), wait_ms=round(wait_s * 1000), keep=keep)
        self._requester.ask(request, Answer, answered_after_s=wait_s)

    # --- reads: the JSON documents of the command line -------------------------------------------

    def instance(self, workflow_instance_id: int) -> "Instance":
        """A handle; asks nobody whether the instance exists."""
        return Instance(self, workflow_instance_id)

    def instances(self, limit: int = 50, before: int = 0) -> list[dict[str, Any]]:
        """Newest first, without tasks; ``before`` an id: only older ones."""
        request = InstanceList(request_id=new_request_id(), limit=limit, before=before)
        page: list[dict[str, Any]] = self._requester.ask(request, InstancePage).page
        return page

    def show(self, workflow_instance_id: int) -> dict[str, Any]:
        """One instance with its tasks; 0 is the newest. Raises `NotFound`."""
        request = InstanceRead(
            request_id=new_request_id(), workflow_instance_id=workflow_instance_id
        )
        page: dict[str, Any] = self._requester.ask(request, InstancePage).page
        return page

    def watch(self, workflow_instance_id: int, after: int, wait_s: float) -> dict[str, Any]:
        """What changed after event ``after``: at once, or when something does, or when ``wait_s``
        (10 s at most) is over.

        ``{"instance": …, "counts": {state: n}, "tasks": […], "last": event}``; ``instance`` is
        None where nothing has changed. Raises `NotFound`.
        """
        wait_s = min(wait_s, WATCH_S_MAX)
        request = InstanceWatch(
            request_id=new_request_id(),
            workflow_instance_id=workflow_instance_id,
            after=after,
            wait_ms=round(wait_s * 1000),
        )
        return self._requester.ask(request, InstanceChanged, answered_after_s=wait_s).page

    def log_page(self, task_instance_id: int, attempt: int = 0, offset: int = 0) -> LogChunk:
        """Raw bytes of a log from ``offset``; attempt 0 is the current one. Raises `NotFound`."""
        request = LogRead(
            request_id=new_request_id(),
            task_instance_id=task_instance_id,
            attempt=attempt,
            offset=offset,
            limit=LOG_PAGE_BYTES,
        )
        return self._requester.ask(request, LogChunk)

    def status(self) -> dict[str, Any]:
        """Masters and workers."""
        page: dict[str, Any] = self._requester.ask(
            StatusRead(request_id=new_request_id()), InstancePage
        ).page
        return page

    def mailboxes(self) -> list[dict[str, Any]]:
        """What the actors of all nodes do."""
        request = DebugRequest(request_id=new_request_id(), kind="mailboxes")
        return self._requester.ask(request, DebugReply).rows

    def trace(self, task_instance_id: int) -> list[dict[str, Any]]:
        """Everything that happened to a task, oldest first. Raises `NotFound`."""
        request = DebugRequest(
            request_id=new_request_id(), kind="trace", task_instance_id=task_instance_id
        )
        return self._requester.ask(request, DebugReply).rows


class Instance:
    """One run of a workflow."""

    def __init__(self, client: Client, workflow_instance_id: int) -> None:
        self._client = client
        self.id = workflow_instance_id

    def __repr__(self) -> str:
        return f"Instance({self.id})"

    @property
    def state(self) -> str:
        """Its state now: SUBMITTED_SUCCESS, RUNNING_EXECUTION, READY_STOP, STOP, FAILURE …"""
        return str(self._client.show(self.id)["state"])

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What its tasks handed on so far: task name → output name → value."""
        tasks = self._client.show(self.id)["tasks"]
        return {task["name"]: task["outputs"] for task in tasks if task["outputs"]}

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Its JSON document when it has ended, however it ended.

        ``timeout`` in seconds; raises `WaitTimeout` after it, the instance goes on. Outlives
        restarts of the master.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        after = 0
        while True:
            left_s = WATCH_S_MAX if deadline is None else max(0.0, deadline - time.monotonic())
            page = self._client.watch(self.id, after, left_s)
            if page["instance"] is not None and is_final(page["instance"]):
                return self._client.show(self.id)
            after = page["last"]
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"workflow instance {self.id} has not ended after {timeout:g} s; it goes on: "
                    f"`stenella wait {self.id}`"
                )

    def check(self) -> None:
        """Wait for its end; raises `WorkflowFailed` naming what failed unless it is SUCCESS."""
        document = self.wait()
        if not succeeded(document):
            raise WorkflowFailed(failure(document))

    def logs(self, task: str, attempt: int = 0) -> str:
        """The log of a task so far; attempt 0 is the current one. Bytes that are no UTF-8 are
        replaced. Raises `NotFound` if the task has not begun.
        """
        tasks = self._client.show(self.id)["tasks"]
        ids = [row["task_instance_id"] for row in tasks if row["name"] == task]
        if not ids or ids[0] is None:
            raise NotFound(f"workflow instance {self.id} has no task {task!r} that began")
        data = bytearray()
        while True:
            page = self._client.log_page(ids[0], attempt, len(data))
            data += page.data
            if not page.data or len(data) >= page.size:
                return data.decode("utf-8", errors="replace")


def check_params(definition: Definition, given: dict[str, Any]) -> None:
    """Raises `Usage` with all that is wrong with parameters for a start of ``definition``."""
    start_params(definition, given)


def seconds(text: str) -> float:
    """Seconds of a duration as people write it: 200ms 0.2s 5m 1h30m 2d.

    Raises ValueError, its text a sentence for people.
    """
    return parse_duration(text) / 1000


def failure(document: dict[str, Any]) -> str:
    """A sentence about an instance that did not succeed: its state and the tasks that failed."""
    failed = [
        f"{task['name']} ({task['reason'] or task['state']})"
        for task in document["tasks"]
        if task["state"] in ("FAILURE", "KILL", "NEED_FAULT_TOLERANCE")
    ]
    shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
    of_tasks = f": {shown}" if failed else ""
    return f"workflow instance {document['workflow_instance_id']} is {document['state']}{of_tasks}"


def _checked(
    source: "Definition | str | PathLike[str] | dict[str, Any]", submit_dir: str | None
) -> Definition:
    if isinstance(source, Definition):
        return source
    if not isinstance(source, dict):
        return load(source, submit_dir=submit_dir)
    findings = Findings()
    definition = validate(source, findings, installed_types())
    if definition is None:
        raise findings.refusal()
    return definition
