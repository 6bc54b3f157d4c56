"""What one sees while a workflow runs: in a terminal, without one, and for programs."""

import io
import time
from typing import Any

import pytest
from rich.console import Console

from stenella.client.plan import Shape
from stenella.console.live import RUNNING_MAX, LiveView
from stenella.console.progress import Progress
from stenella.console.views import FAILURES_TOLD_MAX, JsonView, PlainView
from stenella.home.layout import Home
from stenella.workflow.definition import Definition, Task


def row(number: int, name: str, state: str, **fields: Any) -> dict[str, Any]:
    now = time.time()
    return {
        "task_instance_id": number,
        "name": name,
        "state": state,
        "attempt": 1,
        "start_time": now - 3,
        "end_time": None if state == "RUNNING_EXECUTION" else now,
        "reason": None,
        "message": None,
        **fields,
    }


def answer(tasks: list[dict[str, Any]], state: str = "RUNNING_EXECUTION", **counts: int) -> Any:
    """A watch's answer; ``counts``: of what is in no row."""
    for one in tasks:
        counts[one["state"]] = counts.get(one["state"], 0) + 1
    instance = {
        "workflow_instance_id": 7,
        "workflow": "nightly",
        "state": state,
        "start_time": time.time() - 5,
        "end_time": None,
    }
    return {"instance": instance, "counts": counts, "tasks": tasks, "last": 1}


def fan(count: int) -> Shape:
    tasks = [Task(f"t{n:05}", type="noop", depends_on=("start",)) for n in range(count)]
    return Shape(Definition("w", (Task("start", type="noop"), *tasks)))


class Screen:
    """A live view drawn into memory."""

    def __init__(self, shape: Shape | None, width: int = 80) -> None:
        self.view = LiveView(shape)
        self.view._console = Console(file=io.StringIO(), width=width, force_terminal=False)

    def lines(self) -> list[str]:
        console = self.view._console
        with console.capture() as captured:
            console.print(self.view._paint())
        return captured.get().splitlines()


def test_stages_are_counted_as_their_tasks_go_on() -> None:
    progress = Progress(fan(4))
    progress.take(answer([row(1, "start", "SUCCESS"), row(2, "t00000", "RUNNING_EXECUTION")]))
    progress.take(answer([row(2, "t00000", "FAILURE"), row(3, "t00001", "SUCCESS")]))
    progress.take({"instance": None, "counts": {}, "tasks": []})

    first, second = progress.stages()
    assert (first.done, first.width) == (1, 1)
    assert (second.done, second.running, second.failed, second.width) == (2, 0, 1, 4)
    assert [task["name"] for task in progress.of_kind("failed")] == ["t00000"]


def test_a_small_workflow_is_shown_task_by_task_with_what_each_said_last(home: Home) -> None:
    log = home.worker(1).logs / "7" / "2.2.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"loaded 1 %\rloaded 99 %\x1b[2J\r\n\n")
    shape = Shape(
        Definition("w", (Task("extract", type="noop"), Task("load", depends_on=("extract",))))
    )
    screen = Screen(shape)
    screen.view.show(
        answer([row(1, "extract", "SUCCESS"), row(2, "load", "RUNNING_EXECUTION", attempt=2)])
    )

    lines = screen.lines()

    assert lines[0].startswith("nightly  instance 7  RUNNING_EXECUTION  5.")
    assert "1/2 done, 1 running" in lines[1]
    assert lines[2].split()[:3] == ["1", "extract", "SUCCESS"]
    assert lines[3].split()[:3] == ["2", "load", "RUNNING"]
    assert "attempt 2  loaded 99 %\\x1b[2J" in lines[3]


@pytest.mark.parametrize("width", [10, 30, 45, 80, 200])
def test_ten_thousand_tasks_are_counts_and_a_few_lines(home: Home, width: int) -> None:
    screen = Screen(fan(10_000), width)
    running = [row(n, f"t{n:05}", "RUNNING_EXECUTION") for n in range(200)]
    failed = [row(n, f"t{n:05}", "FAILURE", message="exit 1") for n in range(200, 260)]
    screen.view.show(answer([*running, *failed], WAITING=9_741))

    lines = screen.lines()

    assert len(lines) <= 20
    assert max(map(len, lines)) <= width
    if width >= 80:
        assert "60/10,001 done, 200 running, 60 failed" in lines[1]
        assert "60/10,000, 200 running, 60 failed" in lines[3]
        assert any("and 192 more" in line for line in lines)


def test_a_task_keeps_its_line_while_others_end(home: Home) -> None:
    screen = Screen(fan(100))
    names = [f"t{n:05}" for n in range(RUNNING_MAX + 4)]
    tasks = {name: row(n, name, "RUNNING_EXECUTION") for n, name in enumerate(names)}
    screen.view.show(answer(list(tasks.values())))
    before = [line.split()[0] for line in screen.lines() if line.startswith("  t")]

    screen.view.show(answer([{**tasks[before[2]], "state": "SUCCESS"}]))
    after = [line.split()[0] for line in screen.lines() if line.startswith("  t")]

    assert len(before) == len(after) == RUNNING_MAX
    assert [a for a, b in zip(after, before, strict=True) if a != b] == [after[2]]


def test_a_short_task_of_a_large_workflow_has_no_line(home: Home) -> None:
    screen = Screen(fan(100))
    screen.view.show(answer([row(1, "t00001", "RUNNING_EXECUTION", start_time=time.time())]))

    assert not any("t00001" in line for line in screen.lines()[4:])


def test_a_long_chain_shows_where_it_is(home: Home) -> None:
    tasks = tuple(
        Task(f"t{n}", type="noop", depends_on=(f"t{n - 1}",) if n else ()) for n in range(1_000)
    )
    screen = Screen(Shape(Definition("w", tasks)))
    screen.view.show(answer([row(n, f"t{n}", "SUCCESS") for n in range(500)], WAITING=500))

    lines = screen.lines()

    assert len(lines) <= 16
    assert "499 earlier stages done" in lines[2]
    assert any("later stages" in line for line in lines)


def test_the_masters_silence_is_told(home: Home) -> None:
    screen = Screen(None)
    screen.view.show(answer([]))
    screen.view._heard_at -= 60

    assert "no word from the master for 1 min" in screen.lines()[-1]


def test_a_worker_that_is_away_is_told_until_it_is_back(home: Home) -> None:
    tasks = (Task("load", type="noop"),)
    screen = Screen(Shape(Definition("w", tasks)), 120)
    message = "worker far unreachable since 05:00:00 UTC, kept"
    screen.view.show(answer([row(1, "load", "RUNNING_EXECUTION", message=message)]))
    screen.view.warn("a worker is not heard")

    assert message in screen.lines()[2]
    assert screen.lines()[-1] == "a worker is not heard"
    screen.view.warn("")
    assert len(screen.lines()) == 3


def test_without_a_terminal_lines_are_few_and_failures_told_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 1_000.0
    view = PlainView(lambda: now)
    for step in range(3_600):  # an hour, an answer a second
        now += 1
        state = "FAILURE" if step % 100 == 0 else "SUCCESS"
        view.show(answer([row(step, f"t{step}", state, message="exit 1")], SUCCESS=step))
    view.show(answer([], "SUCCESS", SUCCESS=9))

    lines = capsys.readouterr().err.splitlines()

    assert len([line for line in lines if "exit 1" in line]) == FAILURES_TOLD_MAX
    assert len(lines) < 100
    assert lines[-1] == "9/9 done, 0 running"


def test_for_programs_each_change_is_a_document_on_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = JsonView()
    view.show(answer([row(1, "a", "SUCCESS")]))
    view.show({"instance": None, "counts": {}, "tasks": [], "last": 1})

    (line,) = capsys.readouterr().out.splitlines()
    assert '"counts": {"SUCCESS": 1}' in line
