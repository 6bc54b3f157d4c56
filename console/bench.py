"""``bench``: how fast it is here, beside what the machine itself can do.

The commands are made of the table in ``bench/figures.py``, which is imported when one is asked for.
"""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..protocol.errors import NotFound, Usage
from . import pages
from .options import json_option

if TYPE_CHECKING:
    from ..bench.question import Bench, Parameter

Document = dict[str, Any]
Decorator = Callable[[Callable[..., None]], Callable[..., None]]

RUNS_MAX = 1_000


class BenchGroup(click.Group):
    """A command for each question of the table, and those that are written here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from ..bench.figures import BENCHES

        return [*BENCHES, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from ..bench.figures import BENCHES

        if cmd_name in BENCHES:
            return command_of(BENCHES[cmd_name])
        return super().get_command(ctx, cmd_name)


@click.group(cls=BenchGroup)
def bench() -> None:
    """Measure tasks a second, and the like, on a cluster of its own.

    Each benchmark starts a cluster in a temporary home, with the default, durable settings: every
    change of state is synced to disk before it is visible. What else runs on the machine changes
    the figures.
    """
    # Told to end in whatever way, it takes its cluster down; under nohup, HUP tells it nothing.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def command_of(question: "Bench") -> click.Command:
    """The command that measures ``question``."""

    def measured(runs: int | None, as_json: bool, **given: Any) -> None:
        document = _measure(question, given, runs)
        if as_json:
            pages.emit(document)
        else:
            pages.emit_lines(_lines(document))

    paragraphs = (question.question, question.detail, _example(question))
    options: list[Decorator] = [*map(_option, question.parameters)]
    options += [_runs_option(str(question.runs)), json_option]
    command: Callable[..., None] = measured
    for option in reversed(options):
        command = option(command)
    help_text = "\n\n".join(text for text in paragraphs if text)
    return click.command(question.name, help=help_text)(command)


def _example(question: "Bench") -> str:
    return f"Example: stenella bench {question.name} {question.example}"


def _option(parameter: "Parameter") -> Decorator:
    kind = (
        click.Choice(parameter.choices)
        if parameter.choices
        else click.IntRange(parameter.low, parameter.high)
    )
    return click.option(
        f"--{parameter.name.replace('_', '-')}",
        parameter.name,
        type=kind,
        default=parameter.default,
        show_default=True,
        help=parameter.help,
    )


def _runs_option(default: str) -> Decorator:
    return click.option(
        "--runs",
        type=click.IntRange(1, RUNS_MAX),
        help=f"Samples; else {default}. There is one more before, to warm up.",
    )


@bench.command("all")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_runs_option("as many as each takes")
@click.option("--small", is_flag=True, help="With the sizes of the examples: does all work?")
@json_option
def all_of_them(file: Path, runs: int | None, small: bool, as_json: bool) -> None:
    """Measure everything but the soak, one after the other.

    With the default sizes. A line of JSON is appended to FILE as soon as each is measured;
    `stenella bench compare` takes such files.

    Example: stenella bench all today.jsonl --small --runs 1
    """
    from ..bench.figures import TABLE
    from ..bench.report import append_to

    append_to(file)
    documents = []
    for question in TABLE:
        given = _given(question) if small else {}
        documents.append(_measure(question, given, runs))
        with file.open("ab") as lines:
            lines.write(msgspec.json.encode(documents[-1]) + b"\n")
        if not as_json:
            pages.emit_lines(_lines(documents[-1])[:-1])
    if as_json:
        pages.emit(documents)
    else:
        pages.emit_lines([_limits(documents[-1])])


def _given(question: "Bench") -> Document:
    """The parameters of its example."""
    words = question.example.split()
    values = command_of(question).make_context(question.name, words).params
    return {name: value for name, value in values.items() if name not in ("runs", "as_json")}


@bench.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@json_option
def compare(before: Path, after: Path, as_json: bool) -> None:
    """Divide results by earlier ones.

    AFTER divided by BEFORE: files of what `stenella bench … --json` printed, or `stenella bench
    all` wrote. Compared is what both have of the same benchmark with the same parameters, the
    newest of each.

    Example: stenella bench compare before.json after.json
    """
    from ..bench import report

    results = report.compare(_read(before), _read(after))
    if as_json:
        pages.emit(results)
    else:
        pages.emit_lines([line for result in results for line in _compared(result)])


@bench.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--minutes",
    type=click.FloatRange(0.1, 100_000),
    default=60,
    show_default=True,
    help="How long.",
)
@click.option(
    "--workers", type=click.IntRange(1, 100), default=2, show_default=True, help="Workers."
)
@click.option(
    "--slots", type=click.IntRange(1, 10_000), default=16, show_default=True, help="Of each worker."
)
@json_option
def soak(file: Path, minutes: float, workers: int, slots: int, as_json: bool) -> int:
    """Load a cluster half for long: does anything rise?

    What it can do at most is measured first, for some seconds. Then half of that is submitted at
    a steady pace, noops and shells, and every ten seconds a line of JSON is appended to FILE: rate,
    latencies, each process's memory, files and threads, sizes of files. At the end the verdict:
    slopes per hour with their standard errors, and what was lost or done twice. Ends with 1 if a
    workflow or task was lost, failed or was done twice, or a submit refused, whatever rises. An
    hour takes some GB below $TMPDIR meanwhile.

    Example: stenella bench soak soak.jsonl --minutes 0.1
    """
    from ..bench import soak as soaking

    verdict = soaking.soak(
        file,
        minutes=minutes,
        workers=workers,
        slots=slots,
        progress=lambda text: click.echo(text, err=True),
    )
    if as_json:
        pages.emit(verdict)
    else:
        pages.emit_lines(_soaked(verdict))
    return int(not verdict["well"])


def _soaked(verdict: Document) -> list[str]:
    account = verdict["account"]
    rising = {**verdict["memory"], **verdict["latency"]}
    rows = [
        (name, one["mean"], f"{one['per_h']:+} ± {one['error']}", "" if one["flat"] else "rises")
        for name, one in rising.items()
    ]
    return [
        "holds" if verdict["holds"] else f"does not hold: {', '.join(verdict['against'])}",
        f"{verdict['tasks_per_s']:,.0f} tasks/s for {verdict['minutes']} min: "
        f"{account['tasks']:,} tasks of {account['instances']:,} workflows, "
        f"{account['tasks_failed']} failed, {account['lost']} lost, {account['doubled']} doubled",
        *pages.columns(("SERIES", "MEAN", "PER HOUR", ""), rows),
    ]


def _compared(result: Document) -> list[str]:
    named = [("", result), *((f" {name}", one) for name, one in result["further"].items())]
    return [
        f"{result['bench']}{name}  {figure['unit']} × {_ratio(figure['ratio'])}"
        f"  [{_ratio(figure['ratio_min'])}-{_ratio(figure['ratio_max'])}]"
        for name, figure in named
    ]


def _ratio(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


class Measured(msgspec.Struct):
    """What is compared of a figure."""

    unit: str
    min: float | None
    median: float | None
    max: float | None


class Answer(Measured, kw_only=True):
    """The same of a benchmark's document."""

    bench: str
    parameters: Document
    further: dict[str, Measured] = {}


def _read(path: Path) -> list[Document]:
    documents: list[Document] = []
    try:
        for line in filter(None, path.read_bytes().splitlines()):
            found = msgspec.json.decode(line, type=Answer | list[Answer])
            documents += msgspec.to_builtins(found if isinstance(found, list) else [found])
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        text = f"{path} is not what `stenella bench … --json` prints: {error}"
        raise Usage(text) from error
    if not documents:
        raise Usage(f"{path} is empty")
    return documents


def _measure(question: "Bench", given: Document, runs: int | None) -> Document:
    from ..bench import report

    return report.measure(
        question, given, runs=runs, progress=lambda text: click.echo(text, err=True)
    )


def _lines(document: Document) -> Sequence[str]:
    chosen = " ".join(f"{name}={value}" for name, value in document["parameters"].items())
    further = [f"  {name}  {_figure(one)}" for name, one in document["further"].items()]
    return [
        f"{document['bench']}  {_figure(document)}  {chosen}",
        *further,
        _limits(document),
    ]


def _figure(figure: Document) -> str:
    ratio = "" if figure["ratio"] is None else f"  {figure['ratio']:.2g} × {figure['limit']}"
    return f"{figure['median']:,g} {figure['unit']}  [{figure['min']:,g}-{figure['max']:,g}]{ratio}"


def _limits(document: Document) -> str:
    limits = document["limits"]
    return (
        f"this machine by itself: {limits['spawns_per_s']:,.0f} shells spawned and awaited a second"
        f", {limits['spawns_at_once_per_s']:,.0f} on all cores at once"
        f" · fdatasync {limits['fdatasync_us']:,.0f} µs"
        f" · ROUTER/DEALER round trip {limits['round_trip_us']:,.0f} µs"
    )
