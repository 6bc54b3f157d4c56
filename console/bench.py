"""``bench``: how fast it is here, beside what the machine itself can do."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ..protocol.errors import NotFound, Usage
from . import pages
from .options import json_option

Document = dict[str, Any]


@click.group()
def bench() -> None:
    """Measure tasks a second, and the like, on a cluster of its own.

    Each benchmark starts a cluster in a temporary home, with the default, durable settings: every
    change of state is synced to disk before it is visible. What else runs on the machine changes
    the figures.
    """


runs_option = click.option(
    "--runs",
    type=click.IntRange(1, 1_000),
    help="Samples; else 5, of latency 51. There is one more before, to warm up.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(1, 100), default=2, show_default=True, help="Workers."
)
slots_option = click.option(
    "--slots", type=click.IntRange(1, 10_000), default=16, show_default=True, help="Of each worker."
)


def sized(default: int, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option for how large the load is."""
    return click.option(
        "--tasks", type=click.IntRange(1, 100_000), default=default, show_default=True, help=what
    )


type_option = click.option(
    "--type",
    "task_type",
    type=click.Choice(("noop", "shell")),
    default="noop",
    show_default=True,
    help="noop: no process, the scheduler alone; shell: the command true.",
)


@bench.command()
@sized(5_000, "Tasks of the workflow, all independent.")
@type_option
@runs_option
@workers_option
@slots_option
@json_option
def fanout(tasks: int, task_type: str, **common: Any) -> None:
    """Independent tasks of one workflow a second.

    Example: stenella bench fanout --tasks 1000 --runs 2
    """
    _measure("fanout", {"tasks": tasks, "type": task_type}, **common)


@bench.command()
@sized(1_000, "Tasks of the workflow, all independent.")
@runs_option
@workers_option
@slots_option
@json_option
def spawn(tasks: int, **common: Any) -> None:
    """Tasks a second that are a process each.

    Example: stenella bench spawn --tasks 100 --runs 2
    """
    _measure("spawn", {"tasks": tasks}, **common)


@bench.command()
@sized(200, "Tasks of the workflow, one after the other.")
@type_option
@runs_option
@workers_option
@slots_option
@json_option
def chain(tasks: int, task_type: str, **common: Any) -> None:
    """Milliseconds from one task's end to the next one's.

    Example: stenella bench chain --tasks 50 --runs 2
    """
    _measure("chain", {"tasks": tasks, "type": task_type}, **common)


@bench.command()
@type_option
@runs_option
@workers_option
@slots_option
@json_option
def latency(task_type: str, **common: Any) -> None:
    """Milliseconds from a submit to the begin of its first task.

    Example: stenella bench latency --runs 5
    """
    _measure("latency", {"type": task_type}, **common)


@bench.command()
@click.option(
    "--side",
    type=click.IntRange(1, 300),
    default=50,
    show_default=True,
    help="The lattice has as many tasks as its square.",
)
@type_option
@runs_option
@workers_option
@slots_option
@json_option
def lattice(side: int, task_type: str, **common: Any) -> None:
    """Tasks a second where each waits for two others.

    For its upper and its left neighbour in a lattice.

    Example: stenella bench lattice --side 10 --runs 2
    """
    _measure("lattice", {"side": side, "type": task_type}, **common)


@bench.command()
@click.option(
    "--workflows",
    "count",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="Submitted one after the other.",
)
@sized(10, "Tasks of each.")
@type_option
@runs_option
@workers_option
@slots_option
@json_option
def workflows(count: int, tasks: int, task_type: str, **common: Any) -> None:
    """Tasks a second in many small workflows.

    Example: stenella bench workflows --workflows 20 --runs 2
    """
    _measure("workflows", {"workflows": count, "tasks": tasks, "type": task_type}, **common)


@bench.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@json_option
def compare(before: Path, after: Path, as_json: bool) -> None:
    """Divide a result by an earlier one.

    AFTER divided by BEFORE: files of what `stenella bench … --json` printed, of the same benchmark.

    Example: stenella bench compare before.json after.json
    """
    from ..bench import report

    result = report.compare(_read(before), _read(after))
    if as_json:
        pages.emit(result)
    else:
        spread = f"[{result['ratio_min']:.2f}-{result['ratio_max']:.2f}]"
        pages.emit_lines([f"{result['bench']}  × {result['ratio']:.2f}  {spread}"])


def _read(path: Path) -> Document:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Document)
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        text = f"{path} is not what `stenella bench … --json` prints: {error}"
        raise Usage(text) from error


def _measure(
    name: str,
    parameters: Document,
    *,
    runs: int | None,
    workers: int,
    slots: int,
    as_json: bool,
) -> None:
    from ..bench import report
    from ..bench.figures import BENCHES

    document = report.measure(
        BENCHES[name],
        parameters,
        workers=workers,
        slots=slots,
        runs=runs,
        progress=lambda text: click.echo(text, err=True),
    )
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(_lines(document))


def _lines(document: Document) -> Sequence[str]:
    chosen = " ".join(f"{name}={value}" for name, value in document["parameters"].items())
    limits = document["limits"]
    return [
        f"{document['bench']}  {document['median']:,g} {document['unit']}"
        f"  [{document['min']:,g}-{document['max']:,g}]  {chosen}",
        f"this machine by itself: {limits['spawns_per_s']:,.0f} shells spawned and awaited a second"
        f" · fdatasync {limits['fdatasync_us']:,.0f} µs"
        f" · ROUTER/DEALER round trip {limits['round_trip_us']:,.0f} µs",
    ]
