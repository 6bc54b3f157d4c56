"""What one can ask a cluster without changing it: the JSON documents of the command line.

Apart from `Client` so that a command that only reads loads no loader of definitions.
"""

import math
import secrets
import time
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..protocol.commands import (
    DebugReply,
    DebugRequest,
    DefinitionRead,
    ExplainRead,
    InstanceChanged,
    InstanceList,
    InstancePage,
    InstanceRead,
    InstanceWatch,
    LogChunk,
    LogRead,
    StatusRead,
)
from ..protocol.errors import WaitTimeout
from ..protocol.launch import INSTANT_TYPES
from ..protocol.states import WORKFLOW_FINAL, WorkflowState
from .presence import elsewhere
from .requester import LIMIT_S, WINDOW, Requester

#: One long poll; the gateway holds a watch no longer than this.
WATCH_S_MAX = 10.0
#: The same of each of more instances than can be watched at the same time.
CROWDED_S = 1.0
#: Between two watches that were answered at once; people see ten changes a second at best.
WATCH_PAUSE_S = 0.1
#: The node from which an instance is read by who wants none of its tasks.
BEYOND_THE_LAST = 2**31
#: A page with so many tasks is one of many: the next is asked for at once.
PAGE_TASKS_MAX = 500
#: Instances asked for at a time: with kilobytes of parameters each they still fit the wire.
PAGE_INSTANCES_MAX = 500
#: One page of a log: some ten thousand lines, far below a command's limit.
LOG_PAGE_BYTES = 1024 * 1024

FINAL_STATES = frozenset(state.name for state in WORKFLOW_FINAL)


def is_final(document: dict[str, Any]) -> bool:
    """Whether the instance of this JSON document has ended."""
    return document["state"] in FINAL_STATES


def writes_nothing(instance: dict[str, Any], task: dict[str, Any]) -> bool:
    """Whether this task of the instance has no process, and so no log; both JSON documents."""
    return instance["dry_run"] or task["type"] in INSTANT_TYPES


def succeeded(document: dict[str, Any]) -> bool:
    """Whether it ended well."""
    return bool(document["state"] == WorkflowState.SUCCESS.name)


def new_request_id() -> str:
    """An id that no other request has: the time in ms, and 80 bits by chance.

    Ids that begin with the time stand side by side in the table of intents. By chance alone, each
    is a page of its own to be read and written: 254 instead of 188 us for a commit of four.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Reads:
    """Questions to the cluster of a home, or to the master at ``endpoint``.

    ``home``: a folder, else $STENELLA_HOME, else ~/.stenella. ``endpoint``: tcp://HOST:PORT of a
    master, asked with the keys of ``home``, or with ``key``, a file that `key new client` made
    where the master is and which knows the endpoint, too. Where nothing is given, $STENELLA_MASTER
    and $STENELLA_KEY count before the home. ``limit_s``: how long one request is
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
        key: str | PathLike[str] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        if home is None and endpoint is None and key is None and (named := elsewhere()):
            endpoint, key = named
        folder, key_file = (None if path is None else Path(path) for path in (home, key))
        self._requester = Requester(folder, endpoint, key_file, limit_s)

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

    def instances(self, limit: int = 50, before: int = 0) -> list[dict[str, Any]]:
        """Newest first, without tasks; ``before`` an id: only older ones."""
        found: list[dict[str, Any]] = []
        while (wanted := min(limit - len(found), PAGE_INSTANCES_MAX)) > 0:
            request = InstanceList(request_id=new_request_id(), limit=wanted, before=before)
            page: list[dict[str, Any]] = self._requester.ask(request, InstancePage).page
            found += page
            if len(page) < wanted:
                break
            before = page[-1]["workflow_instance_id"]
        return found

    def show(self, workflow_instance_id: int) -> dict[str, Any]:
        """One instance with its tasks; 0 is the newest. Raises `NotFound`."""
        return self._whole({}, [], workflow_instance_id, 0)

    def head(self, workflow_instance_id: int) -> dict[str, Any]:
        """One instance without its tasks; 0 is the newest. Raises `NotFound`."""
        return self._page(workflow_instance_id, BEYOND_THE_LAST)["instance"]  # type: ignore[no-any-return]

    def _page(self, workflow_instance_id: int, from_node: int) -> dict[str, Any]:
        request = InstanceRead(
            request_id=new_request_id(),
            workflow_instance_id=workflow_instance_id,
            from_node=from_node,
        )
        page: dict[str, Any] = self._requester.ask(request, InstancePage).page
        return page

    def _whole(
        self,
        document: dict[str, Any],
        tasks: list[dict[str, Any]],
        workflow_instance_id: int,
        from_node: int | None,
    ) -> dict[str, Any]:
        """The instance's document with ``tasks`` and those from ``from_node`` on."""
        while from_node is not None:
            page = self._page(workflow_instance_id, from_node)
            document, from_node = page["instance"], page["next_node"]
            workflow_instance_id = document["workflow_instance_id"]
            tasks += page["tasks"]
        return {**document, "tasks": tasks}

    def definition(self, workflow: str, workflow_instance_id: int = 0) -> dict[str, Any]:
        """``{"workflow", "version", "definition": its canonical JSON}``: the newest version of that
        name; of '', the one of an instance (0: the newest). Raises `NotFound`.
        """
        text, digest, offset = bytearray(), "", 0
        while True:
            request = DefinitionRead(
                request_id=new_request_id(),
                workflow=workflow,
                workflow_instance_id=workflow_instance_id,
                digest=digest,
                offset=offset,
            )
            page: dict[str, Any] = self._requester.ask(request, InstancePage).page
            text += page["part"]
            if page["next_offset"] is None:
                names = "workflow", "version"
                return {name: page[name] for name in names} | {"definition": text.decode()}
            digest, offset = page["digest"], page["next_offset"]

    def watch(
        self, workflow_instance_id: int, after: int, wait_s: float, *, counts: bool = False
    ) -> dict[str, Any]:
        """What changed after event ``after``: at once, or when something does, or when ``wait_s``
        (10 s at most) is over.

        ``{"instance": …, "counts": {state: n}, "tasks": […], "last": event}``; ``instance`` is
        None where nothing has changed. ``counts``: when it has ended or ``wait_s`` is over, and of
        the tasks the first that failed.
        Raises `NotFound`.
        """
        wait_s = min(wait_s, WATCH_S_MAX)
        request = _watch(workflow_instance_id, after, wait_s, until_end=counts, counts=counts)
        return self._requester.ask(request, InstanceChanged, answered_after_s=wait_s).page

    def changes(
        self,
        workflow_instance_id: int,
        timeout_s: float | None,
        tick_s: float = WATCH_S_MAX,
        *,
        counts: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Answers of `watch`, one at least every ``tick_s``, until the instance has ended; the last
        one is of its end. Raises `WaitTimeout` after ``timeout_s``; the instance goes on.

        Asks at most ten times a second, more often only in an instance's first second: the end of
        a short one is seen at once, and a long one costs the master little.
        """
        started = time.monotonic()
        deadline = math.inf if timeout_s is None else started + timeout_s
        after = 0
        while True:
            asked = time.monotonic()
            wait_s = min(tick_s, max(0.0, deadline - asked))
            page = self.watch(workflow_instance_id, after, wait_s, counts=counts)
            yield page
            if page["instance"] is not None and is_final(page["instance"]):
                return
            after, now = page["last"], time.monotonic()
            if now >= deadline:
                raise _not_ended([workflow_instance_id], timeout_s)
            if len(page["tasks"]) < PAGE_TASKS_MAX:
                pause_s = min(WATCH_PAUSE_S, WATCH_PAUSE_S * (now - started))
                time.sleep(max(0.0, min(asked + pause_s, deadline) - now))

    def ends(
        self, workflow_instance_ids: Sequence[int], timeout_s: float | None
    ) -> dict[int, dict[str, Any]]:
        """The documents of instances that have ended, by id, when all of them have.

        Raises `NotFound`, or `WaitTimeout` after ``timeout_s``; what has not ended goes on.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        live = list(dict.fromkeys(workflow_instance_ids))
        pages: dict[int, dict[str, Any]] = {}
        while live:
            # Of more than can be watched at the same time none is to keep the others from it.
            wait_s = WATCH_S_MAX if len(live) <= WINDOW else CROWDED_S
            began = time.monotonic()
            asked: dict[str, int] = {}
            for request_id, reply in self._requester.ask_each(
                _watches(live, asked, deadline, wait_s), InstanceChanged, wait_s
            ):
                if reply.page["instance"] is not None and is_final(reply.page["instance"]):
                    pages[asked[request_id]] = reply.page
            live = [number for number in live if number not in pages]
            now = time.monotonic()
            if live and now >= deadline:
                raise _not_ended(live, timeout_s)
            if live:
                time.sleep(max(0.0, min(began + WATCH_PAUSE_S, deadline) - now))
        return {
            number: self._whole(page["instance"], page["tasks"], number, page["next_node"])
            for number, page in pages.items()
        }

    def explain(self, workflow_instance_id: int, task: str = "") -> dict[str, Any]:
        """Why an instance, or its task ``task``, has not ended.

        ``{"workflow_instance_id", "workflow", "state", "causes": [{"task", "task_instance_id",
        "state", "owner", "cause", "sentence", "since", "until", "next"}]}``; times are seconds,
        unknown is None, ``task`` is None for the instance itself. No causes: it has ended. At most
        200 tasks are told. Raises `NotFound`.
        """
        request = ExplainRead(
            request_id=new_request_id(), workflow_instance_id=workflow_instance_id, task=task
        )
        page: dict[str, Any] = self._requester.ask(request, InstancePage).page
        return page

    def log_page(
        self,
        task_instance_id: int,
        attempt: int = 0,
        offset: int = 0,
        *,
        limit: int = LOG_PAGE_BYTES,
    ) -> LogChunk:
        """At most ``limit`` raw bytes of a log from ``offset``; attempt 0 is the current one.

        Raises `NotFound`, `RefusedInState` as `log_end`.
        """
        request = LogRead(
            request_id=new_request_id(),
            task_instance_id=task_instance_id,
            attempt=attempt,
            offset=offset,
            limit=limit,
        )
        return self._requester.ask(request, LogChunk)

    def log_end(self, task_instance_id: int, attempt: int, bytes_max: int) -> tuple[bytes, bool]:
        """The end of a log, and whether there is more before it. Raises `NotFound`,
        `RefusedInState` (its worker is away, and nothing of it came with the result).
        """
        size = self.log_page(task_instance_id, attempt, limit=1).size
        page = self.log_page(task_instance_id, attempt, max(0, size - bytes_max), limit=bytes_max)
        return page.data, page.offset > 0

    def status(self, *, all_workers: bool = False) -> dict[str, Any]:
        """Masters and workers; ``all_workers``: those that have left, too."""
        request = StatusRead(request_id=new_request_id(), all=all_workers)
        page: dict[str, Any] = self._requester.ask(request, InstancePage).page
        return page

    def mailboxes(self) -> list[dict[str, Any]]:
        """What the actors of all nodes do."""
        request = DebugRequest(request_id=new_request_id(), kind="mailboxes")
        return self._requester.ask(request, DebugReply).rows

    def peek(self, node: str, actor: str) -> list[dict[str, Any]]:
        """What waits for one actor and what it received last, secrets redacted.

        Raises `NotFound` for an actor that the node does not have, `RefusedInState` for a node that
        does not answer.
        """
        request = DebugRequest(request_id=new_request_id(), kind="peek", node=node, actor=actor)
        return self._requester.ask(request, DebugReply).rows

    def stuck(self) -> list[dict[str, Any]]:
        """What has not ended and has nobody who acts next: causes as of `explain`, 100 at most."""
        request = DebugRequest(request_id=new_request_id(), kind="stuck")
        return self._requester.ask(request, DebugReply).rows

    def dead_letters(self, limit: int = 100, number: int = 0) -> list[dict[str, Any]]:
        """Messages that nobody could take, newest first; or the one of that number.

        At most the newest 1,000, and of large ones no more than fit the wire (4 MiB).
        """
        request = DebugRequest(
            request_id=new_request_id(), kind="dead-letters", limit=limit, letter=number
        )
        return self._requester.ask(request, DebugReply).rows

    def trace(self, task_instance_id: int) -> list[dict[str, Any]]:
        """Everything that happened to a task, oldest first. Raises `NotFound`."""
        request = DebugRequest(
            request_id=new_request_id(), kind="trace", task_instance_id=task_instance_id
        )
        return self._requester.ask(request, DebugReply).rows


def _watch(
    workflow_instance_id: int, after: int, wait_s: float, *, until_end: bool, counts: bool = False
) -> InstanceWatch:
    return InstanceWatch(
        request_id=new_request_id(),
        workflow_instance_id=workflow_instance_id,
        after=after,
        wait_ms=round(wait_s * 1000),
        until_end=until_end,
        counts=counts,
    )


def _watches(
    live: Sequence[int], asked: dict[str, int], deadline: float, wait_s: float
) -> Iterator[InstanceWatch]:
    """One of each end; ``asked``: which request is about which instance."""
    for number in live:
        left_s = max(0.0, min(wait_s, deadline - time.monotonic()))
        request = _watch(number, 0, left_s, until_end=True)
        asked[request.request_id] = number
        yield request


def _not_ended(live: Sequence[int], timeout_s: float | None) -> WaitTimeout:
    what = f"workflow instance {live[0]} has" if len(live) == 1 else f"{len(live):,} instances have"
    return WaitTimeout(
        f"{what} not ended after {timeout_s:g} s; it goes on: `stenella wait {live[0]}`"
    )
