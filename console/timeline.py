"""A workflow instance over time, as a Gantt chart of characters.

Each task of a small one has a bar. A large one has a bar for each stage, shaded by how many tasks
ran, then the chain of tasks that decided its length, and those that took longest.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import click

from ..client.plan import Shape
from .pages import COLOURS, short_state
from .progress import FAILED
from .text import printable, span

ROWS_MAX = 25  # tasks with a bar of their own: what fits on a screen
STAGES_MAX = 12
CHAIN_MAX = 12
LONGEST_MAX = 5
NAME_WIDTH_MAX = 24
STAGE_WIDTH = 18  # of a stage's number, first task and count
BAR_WIDTH_MIN = 10
SHORT_S = 10.0
WORDS_WIDTH_MAX = 26  # UPSTREAM_FAILED attempt 12
SPAN_WIDTH = 9  # of `span`, right-aligned: 3 min 05 s
BLOCK, ASCII_BLOCK = "█", "#"
#: From a task that ran there now and then to as many as ever at once.
SHADES, ASCII_SHADES = "░▒▓█", ".:*#"

Document = dict[str, Any]


def timeline(
    document: Document, shape: Shape | None, width: int, now_s: float, *, ascii_only: bool = False
) -> list[str]:
    """Lines of at most ``width`` columns; none if nothing has begun.

    ``now_s``: the end of what runs, in epoch seconds.
    """
    begun = [task for task in document["tasks"] if task["start_time"] is not None]
    if not begun:
        return []
    chart = _Chart(document, begun, width, now_s, ascii_only)
    if len(document["tasks"]) <= ROWS_MAX:
        never = [task for task in document["tasks"] if task["start_time"] is None]
        begun.sort(key=chart.start_of)
        return [chart.axis("TASK"), *map(chart.row, begun), *map(chart.row, never)]
    lines = []
    if shape is not None:
        lines += chart.stages(shape)
        by_name = {task["name"]: task for task in begun}
        chain = shape.critical_path({name: chart.end_of(task) for name, task in by_name.items()})
        if len(chain) > 1:
            lines += ["", chart.axis("CRITICAL PATH"), *_ends(chain, CHAIN_MAX, chart, by_name)]
    longest = sorted(begun, key=lambda task: chart.start_of(task) - chart.end_of(task))
    lines += [
        *([""] if lines else []),
        chart.axis("LONGEST"),
        *map(chart.row, longest[:LONGEST_MAX]),
    ]
    return lines


def _ends(
    names: Sequence[str], rows_max: int, chart: "_Chart", tasks: dict[str, Document]
) -> list[str]:
    """Rows of the first and the last of a long chain."""
    if len(names) <= rows_max:
        return [chart.row(tasks[name]) for name in names]
    half = rows_max // 2
    middle = f"  … {len(names) - 2 * half:,} more"
    first, last = names[:half], names[-half:]
    return [*(chart.row(tasks[n]) for n in first), middle, *(chart.row(tasks[n]) for n in last)]


class _Chart:
    """One scale for all rows: name, bar, how long, and the state unless it is SUCCESS."""

    def __init__(
        self, document: Document, begun: list[Document], width: int, now_s: float, ascii_only: bool
    ) -> None:
        self.now_s = now_s
        self.begun = begun
        self.block = ASCII_BLOCK if ascii_only else BLOCK
        self.shades = ASCII_SHADES if ascii_only else SHADES
        self.start = min(document["start_time"] or now_s, min(map(self.start_of, begun)))
        self.end = max(max(map(self.end_of, begun)), document["end_time"] or 0)
        longest = max(len(printable(task["name"])) for task in document["tasks"])
        if len(document["tasks"]) > ROWS_MAX:
            longest = max(longest, STAGE_WIDTH)
        self.name_width = min(max(longest, len("TASK")), NAME_WIDTH_MAX)
        words = min(max(len(_words(task)) for task in document["tasks"]), WORDS_WIDTH_MAX)
        if words:  # of stages: 9,999 failed
            words = max(words, len(_failed(len(begun))))
        room = width - self.name_width - SPAN_WIDTH - 4 - (words + 2 if words else 0)
        self.bar_width = max(BAR_WIDTH_MIN, min(room, 100))
        self.width = width

    def start_of(self, task: Document) -> float:
        return float(task["start_time"])

    def end_of(self, task: Document) -> float:
        """A clock that was set back makes no negative time."""
        end = task["end_time"] if task["end_time"] is not None else self.now_s
        return max(float(end), float(task["start_time"]))

    def axis(self, head: str) -> str:
        end = span(self.end - self.start)
        return f"{self._name(head)}  0{end.rjust(self.bar_width - 1)}"

    def row(self, task: Document) -> str:
        words = _words(task)
        colour = COLOURS.get(task["state"])
        if task["start_time"] is None:
            bar, took = "", ""
        else:
            first = self._column(self.start_of(task))
            last = max(self._column(self.end_of(task)), first)
            bar = " " * first + self.block * (last - first + 1)
            took = _took(self.end_of(task) - self.start_of(task))
        return self._line(task["name"], bar.ljust(self.bar_width), took, words, colour)

    def stages(self, shape: Shape) -> list[str]:
        """A row for each stage, or for the first and last of many."""
        of_stage: list[list[Document]] = [[] for _ in shape.stages]
        for task in self.begun:
            if task["name"] in shape.stage_of:
                of_stage[shape.stage_of[task["name"]]].append(task)
        loads = [self._load(tasks) for tasks in of_stage]
        most = max((max(load) for load in loads), default=1)
        rows = [
            self._stage(number, names, tasks, load, most)
            for number, (names, tasks, load) in enumerate(
                zip(shape.stages, of_stage, loads, strict=True), start=1
            )
        ]
        if (more := len(rows) - STAGES_MAX) > 0:
            half = STAGES_MAX // 2
            rows = [*rows[:half], f"  … {more:,} more stages", *rows[-half:]]
        return [self.axis("STAGE"), *rows]

    def _load(self, tasks: Sequence[Document]) -> list[int]:
        """How many of ``tasks`` ran in each column."""
        steps = [0] * (self.bar_width + 1)
        for task in tasks:
            steps[self._column(self.start_of(task))] += 1
            steps[self._column(self.end_of(task)) + 1] -= 1
        return list(accumulate(steps[:-1]))

    def _stage(
        self,
        number: int,
        names: Sequence[str],
        tasks: Sequence[Document],
        load: Sequence[int],
        most: int,
    ) -> str:
        times = "" if len(names) == 1 else f" ×{len(names):,}"
        room = self.name_width - len(f"{number} {times}")
        first = _clipped(printable(names[0]), max(room, 1)) + times
        bar = "".join(self._shade(count, most) for count in load)
        took = ""
        if tasks:
            took = _took(max(map(self.end_of, tasks)) - min(map(self.start_of, tasks)))
        failed = sum(task["state"] in FAILED for task in tasks)
        words = _failed(failed) if failed else ""
        return self._line(f"{number} {first}", bar, took, words, "red" if failed else "cyan")

    def _shade(self, count: int, most: int) -> str:
        if count == 0:
            return " "
        return self.shades[(count * len(self.shades) - 1) // most]

    def _column(self, at_s: float) -> int:
        length = max(self.end - self.start, 1e-9)
        return min(self.bar_width - 1, int((at_s - self.start) / length * self.bar_width))

    def _name(self, name: str) -> str:
        return _clipped(printable(name), self.name_width).ljust(self.name_width)

    def _line(self, name: str, bar: str, took: str, words: str, colour: str | None) -> str:
        line = f"{self._name(name)}  {click.style(bar, fg=colour)}  {took.rjust(SPAN_WIDTH)}"
        return f"{line}  {click.style(words, fg=colour)}" if words else line


def _clipped(text: str, width: int) -> str:
    """Long names of one workflow begin alike, so more is kept of the end."""
    if len(text) <= width:
        return text
    first = (width - 1) // 3
    return f"{text[:first]}…{text[len(text) - (width - 1 - first) :]}"


def _took(seconds: float) -> str:
    """Short tasks are told apart by hundredths."""
    return f"{seconds:.2f} s" if seconds < SHORT_S else span(seconds)


def _failed(count: int) -> str:
    return f"{count:,} failed"


def _words(task: Document) -> str:
    """What the bar does not say: a state other than SUCCESS, and how often it was tried."""
    state = "" if task["state"] == "SUCCESS" else short_state(task["state"])
    tried = f"attempt {task['attempt']}" if (task["attempt"] or 0) > 1 else ""
    return " ".join(word for word in (state, tried) if word)
