"""What one sees while a workflow runs, on stderr: a live table in a terminal, calm lines elsewhere.

A view is a context: it takes the terminal when it begins and leaves it clean when it ends.
"""

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..client.reads import Reads, is_final
from ..protocol.states import TASK_COUNTS_AS_RUNNING, TASK_FINAL, WAITING
from .pages import COLOURS
from .text import printable, span

TICK_S = 1.0  # longest poll: what has no change to wake it (elapsed times, silence) is this old
REFRESHES_PER_S = 4  # repaints; elapsed times run on between two answers of the master
ROWS_MAX = 20  # tasks listed; above it the counts say more than a list that jumps
LINE_PAUSE_S = 1.0  # between two lines of the plain view
SILENCE_S = 3.0  # three ticks without an answer: the master is away, and one should know
BAR_WIDTH = 40

FINAL = frozenset(state.name for state in TASK_FINAL)
RUNNING = frozenset(state.name for state in TASK_COUNTS_AS_RUNNING)


class View(Protocol):
    """What `watch_until_end` needs of a view."""

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


def make_view(task_names: tuple[str, ...] = ()) -> View:
    """The view for where stderr goes; ``task_names`` in the order to list them, if known."""
    return LiveView(task_names) if sys.stderr.isatty() else PlainView()


def watch_until_end(
    client: Reads, workflow_instance_id: int, view: View, timeout_s: float | None = None
) -> dict[str, Any]:
    """Show every change until the instance has ended; its JSON document then.

    Raises `WaitTimeout` after ``timeout_s``; the instance goes on.
    """
    for page in client.changes(workflow_instance_id, timeout_s, TICK_S):
        view.show(page)
    return client.show(workflow_instance_id)


def _has_ended(page: dict[str, Any]) -> bool:
    """A page without an instance says that nothing has changed."""
    return page["instance"] is not None and is_final(page["instance"])


def count_line(counts: dict[str, int]) -> str:
    """``12/40 done, 3 running, 1 failed``."""
    done = sum(number for state, number in counts.items() if state in FINAL)
    running = sum(number for state, number in counts.items() if state in RUNNING)
    failed = counts.get("FAILURE", 0)
    line = f"{done}/{sum(counts.values())} done, {running} running"
    return f"{line}, {failed} failed" if failed else line


class PlainView:
    """A line when something has changed, at most one a second, and always the last one."""

    def __init__(self) -> None:
        self._line = ""
        self._said = ""
        self._said_at = 0.0

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
            self._line = count_line(page["counts"])
        due = time.monotonic() >= self._said_at + LINE_PAUSE_S or _has_ended(page)
        if self._line != self._said and due:
            click.echo(self._line, err=True)
            self._said, self._said_at = self._line, time.monotonic()


class LiveView:
    """Counts, a bar, and the tasks: all of a small workflow, those that run of a large one.

    Painted by rich's thread while the main thread waits for the master; `show` only replaces
    attributes, so the painter never sees half a change of one of them.
    """

    def __init__(self, task_names: tuple[str, ...] = ()) -> None:
        self._task_names = task_names if len(task_names) <= ROWS_MAX else ()
        self._status = "starting"
        self._page: dict[str, Any] | None = None
        self._heard_at = time.monotonic()
        self._tasks: dict[str, dict[str, Any]] = {}  # by name: what is listed
        self._live = Live(
            console=Console(stderr=True),
            get_renderable=self._paint,
            refresh_per_second=REFRESHES_PER_S,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._status = text
        self._live.refresh()

    def show(self, page: dict[str, Any]) -> None:
        self._heard_at = time.monotonic()
        if page["instance"] is None:
            return
        listed = dict(self._tasks)
        for task in page["tasks"]:
            if self._task_names or task["state"] not in FINAL or task["state"] == "FAILURE":
                listed[task["name"]] = task
            else:
                listed.pop(task["name"], None)
        self._tasks, self._page = listed, page

    def _paint(self) -> RenderableType:
        page = self._page
        if page is None:
            return Text(f"{self._status} …", style="dim")
        instance, counts = page["instance"], page["counts"]
        state = instance["state"]
        took = "" if instance["start_time"] is None else span(time.time() - instance["start_time"])
        head = Text.assemble(
            (printable(instance["workflow"]), "bold"),
            f"  instance {instance['workflow_instance_id']}  ",
            (state, COLOURS.get(state, "")),
            f"  {took}",
        )
        done = sum(number for name, number in counts.items() if name in FINAL)
        bar = ProgressBar(total=max(1, sum(counts.values())), completed=done, width=BAR_WIDTH)
        parts: list[RenderableType] = [head, bar, Text(count_line(counts)), self._task_table()]
        silent_s = time.monotonic() - self._heard_at
        if silent_s > SILENCE_S:
            note = f"no word from the master for {span(silent_s)}; tasks go on, waiting for it"
            parts.append(Text(note, style="yellow"))
        return Group(*parts)

    def _task_table(self) -> RenderableType:
        tasks = self._tasks
        names = self._task_names or tuple(name for name, task in tasks.items() if _runs(task))
        grid = Table.grid(padding=(0, 2))
        for name in names[:ROWS_MAX]:
            grid.add_row(*_row(name, tasks.get(name)))
        if len(names) > ROWS_MAX:
            grid.add_row(Text(f"and {len(names) - ROWS_MAX} more", style="dim"))
        return grid


def _runs(task: dict[str, Any]) -> bool:
    return task["state"] in RUNNING or (task["attempt"] or 0) > 1


def _row(name: str, task: dict[str, Any] | None) -> tuple[Text, ...]:
    """Name, state, how long, and which attempt if it is not the first."""
    state = WAITING if task is None else task["state"]
    took, attempt = "", ""
    if task is not None and task["start_time"] is not None:
        took = span((task["end_time"] or time.time()) - task["start_time"])
    if task is not None and (task["attempt"] or 0) > 1:
        attempt = f"attempt {task['attempt']}"
    return (
        Text(printable(name), no_wrap=True, overflow="ellipsis"),
        Text(state, style=COLOURS.get(state, "dim")),
        Text(took, justify="right"),
        Text(attempt, style="yellow"),
    )
