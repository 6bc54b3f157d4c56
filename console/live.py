"""The live view of a workflow in a terminal: tasks of a small one, stages of a large one.

It is calm: a task keeps its line as long as it is shown, counts stand where a list would jump, and
nothing is repainted more than four times a second.
"""

import threading
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..client.plan import Shape
from ..protocol.states import WAITING, TaskState
from .history import last_line, logs_home
from .pages import COLOURS, short_state
from .progress import FINAL, RUNNING, Progress, Stage, count_line
from .text import printable, span

REFRESHES_PER_S = 4  # repaints; elapsed times run on between two answers of the master
ROWS_MAX = 20  # tasks of a workflow that are listed one by one; a larger one has stages
STAGES_MAX = 10  # lines of stages; those before and after are one line each
RUNNING_MAX = 8  # running tasks of a large workflow that have a line
FAILED_MAX = 4
#: A task of a large workflow gets a line when it has run so long: shorter ones would flicker.
LONG_S = 1.0
SILENCE_S = 3.0  # three ticks without an answer: the master is away, and one should know
LINE_S = 1.0  # between two looks at the log of a task
BAR_WIDTH = 40
STAGE_BAR_WIDTH = 20
#: What has a message in these states waits, or its worker or its processes are out of reach.
HELD_UP = (TaskState.SUBMITTED_SUCCESS.name, TaskState.RUNNING_EXECUTION.name)
NARROW = 60  # columns below which the last lines of logs are left out


class LiveView:
    """Painted by rich's thread while the main thread waits for the master; a lock keeps the painter
    from seeing half of an answer.
    """

    draws_tasks = True

    def __init__(self, shape: Shape | None = None) -> None:
        self._progress = Progress(shape)
        self._lock = threading.Lock()
        self._status = "starting"
        self._heard_at = time.monotonic()
        self._warning = ""
        self._lines: dict[tuple[int, int], tuple[float, str]] = {}  # (task, attempt) → at, line
        self._rows: list[str] = []  # running tasks of a large workflow, each in its place
        self._home = logs_home()
        self._console = Console(stderr=True)
        self._live = Live(
            console=self._console,
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
        with self._lock:
            self._progress.take(page)

    def warn(self, text: str) -> None:
        self._warning = text

    # --- painting -------------------------------------------------------------------------------

    def _paint(self) -> RenderableType:
        with self._lock:
            return self._painted(self._progress)

    def _painted(self, progress: Progress) -> RenderableType:
        if progress.instance is None:
            return Text(f"{self._status} …", style="dim")
        parts: list[RenderableType] = [self._head(progress.instance)]
        line = count_line(progress.counts)
        width = self._width(min(BAR_WIDTH, self._console.width - len(line) - 3))
        bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=width)
        counts = Table.grid(padding=(0, 2))
        counts.add_row(bar, Text(line, no_wrap=True, overflow="ellipsis"))
        parts.append(counts)
        names = progress.shape.names if progress.shape is not None else ()
        if 0 < len(names) <= ROWS_MAX:
            parts.append(self._small(progress, names))
        else:
            parts += self._large(progress)
        if self._warning:
            parts.append(Text(self._warning, style="yellow"))
        silent_s = time.monotonic() - self._heard_at
        if silent_s > SILENCE_S:
            note = f"no word from the master for {span(silent_s)}; tasks go on, waiting for it"
            parts.append(Text(note, style="yellow"))
        return Group(*parts)

    def _head(self, instance: dict[str, Any]) -> Text:
        state, start = instance["state"], instance["start_time"]
        return Text.assemble(
            (printable(instance["workflow"]), "bold"),
            f"  instance {instance['workflow_instance_id']}  ",
            (state, COLOURS.get(state, "")),
            "" if start is None else f"  {span(time.time() - start)}",
            no_wrap=True,
            overflow="ellipsis",
        )

    def _small(self, progress: Progress, names: tuple[str, ...]) -> RenderableType:
        """Every task, by stages."""
        assert progress.shape is not None
        stage_of = progress.shape.stage_of
        grid = self._grid()
        before = -1
        for name in sorted(names, key=lambda name: stage_of[name]):
            stage = stage_of[name]
            number = str(stage + 1) if stage != before else ""
            before = stage
            grid.add_row(Text(number, style="dim"), *self._row(name, progress.tasks.get(name)))
        return grid

    def _large(self, progress: Progress) -> list[RenderableType]:
        """Stages in numbers, and what has run for long or failed by name."""
        parts: list[RenderableType] = []
        if stages := progress.stages():
            parts.append(_stage_table(stages))
        running = {
            task["name"]: task
            for task in progress.of_kind("running")
            if task["start_time"] is not None and time.time() - task["start_time"] >= LONG_S
        }
        self._keep_places(running)
        grid = self._grid()
        for name in self._rows:
            grid.add_row(Text(""), *self._row(name, running[name]))
        if (more := len(running) - len(self._rows)) > 0:
            grid.add_row(Text(""), Text(f"and {more:,} more for longer than 1 s", style="dim"))
        failed = progress.of_kind("failed")
        for task in failed[-FAILED_MAX:]:
            grid.add_row(Text(""), *self._row(task["name"], task))
        return [*parts, grid]

    def _keep_places(self, running: dict[str, Any]) -> None:
        """Who runs on stays in its line; the next takes the line of one that has ended."""
        waiting = [name for name in running if name not in self._rows]
        rows = []
        for name in self._rows:
            if name in running:
                rows.append(name)
            elif waiting:
                rows.append(waiting.pop(0))
        self._rows = (rows + waiting)[:RUNNING_MAX]

    def _grid(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", max_width=self._width(32))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        return grid

    def _row(self, name: str, task: dict[str, Any] | None) -> tuple[Text, ...]:
        """Name, state, how long, and which attempt and what it said last."""
        state = WAITING if task is None else task["state"]
        took, words = "", Text(no_wrap=True, overflow="ellipsis")
        if task is not None and task["start_time"] is not None:
            took = span((task["end_time"] or time.time()) - task["start_time"])
        if task is not None and (task["attempt"] or 0) > 1:
            words.append(f"attempt {task['attempt']}  ", style="yellow")
        if task is not None and self._console.width >= NARROW:
            holds_up = state in HELD_UP and task["message"]  # says why
            said = task["message"] if holds_up or state in FINAL else self._last_line(task)
            words.append(printable(said or "").strip(), style="dim")
        return (
            Text(printable(name), no_wrap=True, overflow="ellipsis"),
            Text(short_state(state), style=COLOURS.get(state, "dim")),
            Text(took),
            words,
        )

    def _last_line(self, task: dict[str, Any]) -> str:
        """What a running task printed last, if its log is in this home."""
        instance = self._progress.instance
        if task["state"] not in RUNNING or instance is None:
            return ""
        key, now = (task["task_instance_id"], task["attempt"]), time.monotonic()
        at, line = self._lines.get(key, (0.0, ""))
        if now >= at + LINE_S:
            line = last_line(self._home, instance["workflow_instance_id"], *key)
            self._lines[key] = now, line
        return line

    def _width(self, wanted: int) -> int:
        return max(1, min(wanted, self._console.width - 1))


def _stage_table(stages: list[Stage]) -> RenderableType:
    """The stages where something happens; what is before and after them is one line each."""
    first = next((n for n, stage in enumerate(stages) if not stage.is_done), len(stages))
    start = max(0, min(first - 1, len(stages) - STAGES_MAX))
    shown = stages[start : start + STAGES_MAX]
    grid = Table.grid(padding=(0, 2))
    for overflow in ("fold", "ellipsis", "fold", "ellipsis"):
        grid.add_column(no_wrap=True, overflow=overflow)
    if start:
        failed = sum(stage.failed for stage in stages[:start])
        note = f"{start:,} earlier stages{f', {failed:,} failed' if failed else ' done'}"
        grid.add_row("", Text(note, style="dim"))
    for stage in shown:
        name = printable(stage.name) + (f" ×{stage.width:,}" if stage.width > 1 else "")
        style = "dim" if stage.is_waiting else ""
        counts = f"{stage.done:,}/{stage.width:,}"
        counts += f", {stage.running:,} running" if stage.running else ""
        words = Text(counts, style=style)
        if stage.failed:
            words.append(f", {stage.failed:,} failed", style="red")
        bar = ProgressBar(total=stage.width, completed=stage.done, width=STAGE_BAR_WIDTH)
        grid.add_row(Text(str(stage.number), style="dim"), Text(name, style=style), bar, words)
    if (after := len(stages) - start - len(shown)) > 0:
        grid.add_row("", Text(f"{after:,} later stages", style="dim"))
    return grid
