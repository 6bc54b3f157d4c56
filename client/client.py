"""`Client`: a cluster as a program sees it. Blocking, no gevent, one thread.

Every request is repeated with the same request id until it is answered, over connection losses and
restarts of the master too (``requester.py``).
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from os import PathLike
from typing import Any

import msgspec

from ..home.logs import gap_line
from ..protocol.codec import digest
from ..protocol.commands import (
    Answer,
    KillTask,
    LetterDrop,
    LetterRetry,
    Shutdown,
    Stop,
    Submit,
    WorkerOrder,
)
from ..protocol.errors import NotFound, WorkflowFailed
from ..workflow import definition as definitions
from ..workflow.definition import Definition
from ..workflow.parameters import start_params
from .loading import load, load_document
from .reads import Reads, new_request_id, succeeded, writes_nothing
from .submission import submit

#: Definitions of which only the digest is sent again.
TAKEN_MAX = 1_000


class Client(Reads):
    """Starts and stops workflows; all that `Reads` says holds here too."""

    @cached_property
    def _taken(self) -> set[str]:
        """Digests of definitions that the master has."""
        return set()

    def submit(
        self,
        definition: "Definition | str | PathLike[str] | dict[str, Any]",
        params: dict[str, Any] | None = None,
        request_id: str | None = None,
        submit_dir: str | PathLike[str] | None = None,
        dry_run: bool = False,
    ) -> "Instance":
        """Start a workflow and return its instance, which is then on the master's disk.

        ``definition``: a file's path, a document as in a YAML file, or a checked `Definition`. With
        the ``request_id`` of an earlier submit the instance of that one is returned.
        ``submit_dir``: the folder of submission, on the worker: where a script runs, and where the
        relative paths of tasks begin; of a file, if not said otherwise, this process's working
        folder. ``dry_run``: every task succeeds at once without being run.
        Raises `DefinitionRefused` or, about ``params``, `Usage`, with all problems; nothing was
        stored then.
        """
        (instance,) = self.submit_many(
            definition, [params or {}], request_id and [request_id], submit_dir, dry_run
        )
        return instance

    def submit_many(
        self,
        definition: "Definition | str | PathLike[str] | dict[str, Any]",
        params: Iterable[dict[str, Any]],
        request_ids: Sequence[str] | None = None,
        submit_dir: str | PathLike[str] | None = None,
        dry_run: bool = False,
    ) -> "list[Instance]":
        """Start a workflow once with each of ``params``; their instances, in that order.

        As `submit`, only sooner: the next ones are sent while the answers to others are awaited,
        and the master writes down together what comes together. ``request_ids``: one of each.
        Raises as `submit`; where that is not about ``definition`` or ``params``, some may have been
        started, and the same request ids get them.
        """
        if submit_dir is None and isinstance(definition, str | PathLike):
            submit_dir = os.curdir
        folder = None if submit_dir is None else os.path.abspath(submit_dir)
        checked = _checked(definition, folder)
        all_given = list(params)
        for given in all_given:
            check_params(checked, given)  # refused here, before anybody is asked
        body = definitions.encode(checked)
        content = hashlib.sha256(body).hexdigest()
        ids = request_ids or [new_request_id() for _ in all_given]
        requests = [
            _submit_of(content, given, request_id, folder, dry_run)
            for given, request_id in zip(all_given, ids, strict=True)
        ]
        numbers: dict[str, int] = {}
        if requests:  # the first one brings the definition
            answer = submit(self._requester, requests[0], body, content in self._taken)
            numbers[answer.request_id] = answer.result["workflow_instance_id"]
            self._remember(content)
        for request_id, answer in self._requester.ask_each(requests[1:], Answer):
            numbers[request_id] = answer.result["workflow_instance_id"]
        return [self.instance(numbers[request.request_id]) for request in requests]

    def wait_many(
        self, instances: "Sequence[Instance]", timeout: float | None = None
    ) -> list[dict[str, Any]]:
        """Their JSON documents, in their order, when all have ended, however they ended.

        As `Instance.wait`, of all at the same time. ``timeout`` in seconds; raises `WaitTimeout`
        after it, and what has not ended goes on.
        """
        ended = self.ends([instance.id for instance in instances], timeout)
        return [ended[instance.id] for instance in instances]

    def _remember(self, content: str) -> None:
        """The master has a definition of that digest."""
        if len(self._taken) >= TAKEN_MAX:
            self._taken.clear()
        self._taken.add(content)

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

    def kill(self, workflow_instance_id: int, task: str) -> dict[str, Any]:
        """End one task, whether it runs, waits or has not had its turn; it is never tried again.

        Returns ``{"workflow_instance_id", "task_instance_id", "task", "state"}`` when that is on
        disk; state is KILL unless a worker has it still to end. Raises `NotFound`, and `Refused`
        if the task has ended.
        """
        request = KillTask(
            request_id=new_request_id(),
            digest=digest(b"KillTask", b"%d" % workflow_instance_id, task.encode()),
            workflow_instance_id=workflow_instance_id,
            task=task,
        )
        return self._requester.ask(request, Answer).result

    def order_worker(self, worker: str, order: str, slots: int = 0) -> dict[str, Any]:
        """``order`` of drain, resume, resize (to ``slots``), restart, forget; holds until undone.

        Returns ``{"worker", "state", "slots"}`` when it is written down; the worker follows within
        a heartbeat. Raises `NotFound`, and `Refused` where its state does not allow it.
        """
        request = WorkerOrder(
            request_id=new_request_id(),
            digest=digest(b"WorkerOrder", worker.encode(), order.encode(), b"%d" % slots),
            worker=worker,
            order=order,
            slots=slots,
        )
        return self._requester.ask(request, Answer).result

    def retry_letter(self, letter: int) -> None:
        """Have a dead letter taken again; an instance that is left alone for it goes on, by a new
        life of the master.

        Raises `NotFound`, and `Refused` for one that is only evidence.
        """
        body = digest(b"LetterRetry", b"%d" % letter)
        self._requester.ask(
            LetterRetry(request_id=new_request_id(), digest=body, letter=letter), Answer
        )

    def drop_letter(self, letter: int) -> None:
        """Forget a dead letter; an instance that is left alone for it goes on without it.

        Raises `NotFound`, and `Refused` for one that stands for an instance itself.
        """
        body = digest(b"LetterDrop", b"%d" % letter)
        self._requester.ask(
            LetterDrop(request_id=new_request_id(), digest=body, letter=letter), Answer
        )

    def shutdown(self, wait_s: float, keep: bool = False) -> None:
        """Take the cluster down: nothing new starts, and after ``wait_s`` what still runs is
        stopped; with ``keep`` it goes on and is taken up at the next start. Returns when nothing
        is left to wait for and the processes leave; `Unreachable` may mean that they have left.
        """
        request = Shutdown(request_id=new_request_id(), wait_ms=round(wait_s * 1000), keep=keep)
        self._requester.ask(request, Answer, answered_after_s=wait_s)

    def instance(self, workflow_instance_id: int) -> "Instance":
        """A handle; asks nobody whether the instance exists."""
        return Instance(self, workflow_instance_id)


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
        return self._client.ends([self.id], timeout)[self.id]

    def explain(self, task: str = "") -> list[dict[str, Any]]:
        """Why it, or its task ``task``, has not ended: the causes of `Client.explain`."""
        causes: list[dict[str, Any]] = self._client.explain(self.id, task)["causes"]
        return causes

    def check(self) -> None:
        """Wait for its end; raises `WorkflowFailed` naming what failed unless it is SUCCESS."""
        document = self.wait()
        if not succeeded(document):
            raise WorkflowFailed(failure(document))

    def logs(self, task: str, attempt: int = 0) -> str:
        """The log of a task so far; attempt 0 is the current one. Bytes that are no UTF-8 are
        replaced. Raises `NotFound` if the task has not begun or its log was removed, `Refused` if
        its worker is away; not if the last lines came with its result, which are all then.
        """
        document = self._client.show(self.id)
        row = next((row for row in document["tasks"] if row["name"] == task), None)
        if row is None or row["task_instance_id"] is None:
            raise NotFound(f"workflow instance {self.id} has no task {task!r} that began")
        if writes_nothing(document, row):
            return ""
        data, offset = bytearray(), 0
        while True:
            page = self._client.log_page(row["task_instance_id"], attempt, offset)
            data += gap_line(page.offset - offset) if page.offset > offset else b""
            data += page.data
            offset = page.offset + len(page.data)
            if not page.data or offset >= page.size:
                return data.decode("utf-8", errors="replace")


def _submit_of(
    content: str, given: dict[str, Any], request_id: str, folder: str | None, dry_run: bool
) -> Submit:
    """It names its definition, of which ``content`` is the digest."""
    parts: tuple[bytes, ...] = (
        content.encode(),
        msgspec.json.encode(given, order="sorted"),
        (folder or "").encode(),
    )
    parts += (b"dry run",) if dry_run else ()
    return Submit(
        request_id=request_id,
        digest=digest(b"Submit", *parts),
        definition_digest=content,
        params=given,
        submit_dir=folder,
        dry_run=dry_run,
    )


def check_params(definition: Definition, given: dict[str, Any]) -> None:
    """Raises `Usage` with all that is wrong with parameters for a start of ``definition``."""
    start_params(definition, given)


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
    if isinstance(source, dict):
        return load_document(source)
    return load(source, submit_dir=submit_dir)
