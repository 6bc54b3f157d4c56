"""What one sees while a workflow runs, on stderr: a live view in a terminal, calm lines elsewhere.

A view is a context: it takes the terminal when it begins and leaves it clean when it ends.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

import click

from ..client.plan import Shape
from ..client.reads import Reads, is_final
from ..protocol.errors import RefusedInState
from . import pages
from .progress import FAILED, Progress, count_line
from .text import printable

TICK_S = 1.0  # longest poll: what has no change to wake it (elapsed times, silence) is this old
LOOK_S = 10.0  # between two looks for workers that are away: watches are not answered for that
#: Causes of `explain` that only a worker ends which is not heard.
AWAY = ("worker_silent", "unreachable")
#: Between two lines of the plain view: (as long as it has run for less than, that pause). Who reads
#: a log of a build wants to see life at first and not ten thousand lines in the end.
PAUSES_S = ((10.0, 1.0), (120.0, 10.0), (float("inf"), 60.0))
FAILURES_TOLD_MAX = 10  # by name, as they happen; the end tells the others


class View(Protocol):
    """What `watch_until_end` needs of a view; ``draws_tasks``: every change of every task."""

    draws_tasks: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def say(self, text: str) -> None:
        """What is being done before there is an instance to look at."""

    def show(self, page: dict[str, Any]) -> None:
        """The answer to a watch."""

    def warn(self, text: str) -> None:
        """What holds it up now; empty: nothing any more."""


def make_view(shape: Shape | None = None) -> View:
    """The view for where stderr goes; ``shape``: of the workflow, if known."""
    if not sys.stderr.isatty():
        return PlainView()
    from .live import LiveView  # rich: loaded only where something is drawn

    return LiveView(shape)


def watch_until_end(
    client: Reads, workflow_instance_id: int, view: View, timeout_s: float | None = None
) -> dict[str, Any]:
    """Show every change until the instance has ended; its JSON document then.

    Raises `WaitTimeout` after ``timeout_s``; the instance goes on.
    """
    counts = not view.draws_tasks
    look_at, warning = time.monotonic() + LOOK_S, ""
    for page in client.changes(workflow_instance_id, timeout_s, TICK_S, counts=counts):
        view.show(page)
        is_over = page["instance"] is not None and is_final(page["instance"])
        if not is_over and time.monotonic() >= look_at:
            before, warning = warning, _away(client, workflow_instance_id)
            if warning != before:
                view.warn(warning)
            look_at = time.monotonic() + LOOK_S
    return client.show(workflow_instance_id)


def _away(client: Reads, workflow_instance_id: int) -> str:
    """A sentence where a worker that is away has tasks of it; else nothing."""
    with suppress(RefusedInState):  # the master has other things to do
        causes = client.explain(workflow_instance_id)["causes"]
        if any(cause["cause"] in AWAY for cause in causes):
            return (
                "a worker that has tasks of it is not heard: "
                f"`stenella explain {workflow_instance_id}` says what becomes of them"
            )
    return ""


class PlainView:
    """A line when something has changed, less often the longer it takes, and always the last one;
    what failed is told within a second.
    """

    draws_tasks = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress = Progress()
        self._said = ""
        self._began = self._said_at = clock() - PAUSES_S[0][1]  # the first line at once
        self._failures: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def show(self, page: dict[str, Any]) -> None:
        progress = self._progress
        progress.take(page)
        if progress.instance is None:
            return
        for task in page["tasks"]:
            if task["state"] in FAILED:
                self._tell_failure(task)
        now = self._clock()
        pause_s = next(pause for until, pause in PAUSES_S if now - self._began < until)
        line = count_line(progress.counts)
        if line != self._said and (progress.has_ended or now >= self._said_at + pause_s):
            click.echo(line, err=True)
            self._said, self._said_at = line, now

    def warn(self, text: str) -> None:
        if text:
            click.echo(text, err=True)

    def _tell_failure(self, task: dict[str, Any]) -> None:
        name = task["name"]
        if name not in self._failures and len(self._failures) < FAILURES_TOLD_MAX:
            self._failures.add(name)
            why = task["message"] or task["reason"]
            click.echo(printable(f"{name}: {task['state']}{f': {why}' if why else ''}"), err=True)


class JsonView:
    """A JSON object a line on stdout for each change: the instance, counts, tasks changed."""

    draws_tasks = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def show(self, page: dict[str, Any]) -> None:
        if page["instance"] is not None:
            changed = {**page["instance"], "counts": page["counts"], "tasks": page["tasks"]}
            pages.emit(changed)

    def warn(self, text: str) -> None:
        if text:
            click.echo(text, err=True)
