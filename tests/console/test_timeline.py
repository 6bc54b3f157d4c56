"""The chart of an instance over time: readable at 80 columns, whatever its size."""

from typing import Any

import click
import pytest

from stenella.client.plan import Shape
from stenella.console.timeline import timeline
from stenella.workflow.definition import Definition, Task

START_S = 1_764_000_000.0


def task(name: str, start: float | None, end: float | None, **fields: Any) -> dict[str, Any]:
    """Times in seconds since the instance's start."""
    return {
        "name": name,
        "state": "SUCCESS" if end is not None else "RUNNING_EXECUTION",
        "attempt": 1,
        "start_time": None if start is None else START_S + start,
        "end_time": None if end is None else START_S + end,
        **fields,
    }


def chart(tasks: list[dict[str, Any]], shape: Shape | None = None, **options: Any) -> list[str]:
    document = {"start_time": START_S, "end_time": None, "tasks": tasks}
    width = options.pop("width", 80)
    return [click.unstyle(row) for row in timeline(document, shape, width, START_S + 10, **options)]


def bar(row: str) -> tuple[int, int]:
    """First and last column of a bar."""
    return row.index("█"), row.rindex("█")


def test_bars_stand_where_their_tasks_ran_in_the_order_they_began() -> None:
    axis, first, second, third = chart(
        [task("b", 2.5, 5.0), task("a", 0.0, 2.5), task("c", 5.0, 10.0)]
    )

    assert [row.split()[0] for row in (first, second, third)] == ["a", "b", "c"]
    assert bar(first)[0] < bar(second)[0] < bar(third)[0]
    assert bar(first)[1] <= bar(second)[0]
    assert bar(third)[1] + 1 == len(axis)
    assert axis.endswith("10.0 s")
    assert second.endswith("2.50 s")


def test_what_is_not_plain_success_is_said_in_words() -> None:
    rows = chart(
        [
            task("failed", 0, 1, state="FAILURE", attempt=3),
            task("runs", 1, None),
            task("below", None, None, state="UPSTREAM_FAILED", attempt=0),
        ]
    )

    assert rows[1].endswith("FAILURE attempt 3")
    assert rows[2].endswith("9.00 s  RUNNING")
    assert rows[3].endswith("UPSTREAM_FAILED")
    assert "█" not in rows[3]


def test_nothing_is_drawn_before_something_has_begun() -> None:
    assert chart([task("a", None, None, state="WAITING")]) == []


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    rows = chart([task("a", 3, 1), task("b", -2, 4)])

    assert all("█" in row for row in rows[1:])
    assert rows[2].endswith("0.00 s")


def large(count: int) -> tuple[list[dict[str, Any]], Shape]:
    """One task, ``count`` after it of which one fails, one after the last of those."""
    middle = [f"middle_{n:05}" for n in range(count)]
    definition = Definition(
        "w",
        (
            Task("start", type="noop"),
            *(Task(name, type="noop", depends_on=("start",)) for name in middle),
            Task("end", type="noop", depends_on=(middle[-1],)),
        ),
    )
    tasks = [task("start", 0, 1)]
    tasks += [task(name, 1 + n / count, 2 + 7 * n / count) for n, name in enumerate(middle)]
    tasks[5]["state"] = "FAILURE"
    return [*tasks, task("end", 9, 10)], Shape(definition)


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("count", [30, 10_000])
def test_a_large_one_has_stages_the_critical_path_and_the_longest(count: int, width: int) -> None:
    tasks, shape = large(count)

    rows = chart(tasks, shape, width=width)

    assert len(rows) < 24
    assert max(map(len, rows)) <= max(width, 54)
    stages = [row for row in rows if row.startswith(("1 ", "2 ", "3 "))]
    assert f"×{count:,}" in stages[1]
    assert stages[1].endswith("1 failed")
    path = rows[rows.index(next(r for r in rows if r.startswith("CRITICAL PATH"))) + 1 :][:3]
    assert [row.split()[0] for row in path] == ["start", f"middle_{count - 1:05}", "end"]
    assert rows[-5].split()[0] == f"middle_{count - 1:05}"


def test_a_long_chain_shows_its_first_and_last_tasks() -> None:
    names = [f"link_{n}" for n in range(300)]
    definition = Definition(
        "w",
        tuple(
            Task(name, type="noop", depends_on=(names[n - 1],) if n else ())
            for n, name in enumerate(names)
        ),
    )
    rows = chart([task(name, n, n + 1) for n, name in enumerate(names)], Shape(definition))

    assert len(rows) < 45
    assert sum("more" in row for row in rows) == 2


def test_a_terminal_without_blocks_gets_ascii() -> None:
    tasks, shape = large(30)

    assert all(
        row.replace("×", "x").replace("…", "").isascii()
        for row in chart(tasks[:3], ascii_only=True)
    )
    assert "█" not in "".join(chart(tasks, shape, ascii_only=True))
