"""From samples to a document, and from two documents to ratios."""

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq

from .. import __version__
from ..protocol.errors import NotAllowed, NotFound, Usage
from .limits import best, limits
from .question import Bench, Figure, Parameters, Sample
from .trend import percentile

Document = dict[str, Any]
#: Figures of a run that are told while it goes on; the document has all.
TOLD = 3
#: What must be the same of two answers to one question.
QUESTION = ("bench", "unit", "parameters")


def measure(
    bench: Bench,
    given: Parameters,
    *,
    runs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Document:
    """Set ``bench`` up with what is ``given`` and defaults: one warm-up, then ``runs`` samples.

    ``{"bench", "unit", "figure", "min", "median", "max", "p99", "runs", "limit", "ratio",
    "further", "parameters", "limits", "versions", "commit", "machine", "at"}``; the figure is the
    median, ``ratio`` that of the figure to the machine's ``limit`` in the same unit (None: there
    is none), and ``further`` has the same of the benchmark's other figures by their names.
    """
    runs = runs or bench.runs
    parameters = bench.chosen(given)
    folder = Path(tempfile.gettempdir())  # where the benchmark's home is, too
    before = limits(folder)
    with bench.setup(parameters) as prepared:
        progress(f"{bench.name}: warming up, {told(parameters)}")
        bench.sample(prepared, parameters)
        samples: list[Sample] = []
        for number in range(runs):
            samples.append(bench.sample(prepared, parameters))
            values = " · ".join(
                f"{samples[-1][figure.name]:,.2f} {figure.unit}" for figure in bench.figures[:TOLD]
            )
            progress(f"{bench.name}: {number + 1} of {runs}: {values}")
    machine_limits = best(before, limits(folder))
    own, *further = (_told_figure(figure, samples, machine_limits) for figure in bench.figures)
    return {
        "bench": bench.name,
        **own,
        "further": {
            figure.name: document
            for figure, document in zip(bench.figures[1:], further, strict=True)
        },
        "parameters": parameters,
        "limits": machine_limits,
        **identity(),
    }


def identity() -> Document:
    """What was measured, on what, and when: ``{"versions", "commit", "machine", "at"}``."""
    return {
        "versions": {
            "stenella": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "zmq": zmq.zmq_version(),
        },
        "commit": _commit(),
        "machine": {"cores": os.cpu_count(), "kernel": platform.release()},
        "at": round(time.time(), 3),
    }


def told(parameters: Parameters) -> str:
    """``name=value`` of each."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _told_figure(
    figure: Figure, samples: Sequence[Sample], machine_limits: dict[str, float]
) -> Document:
    values = [sample[figure.name] for sample in samples]
    median = statistics.median(values)
    ratio = None
    if figure.limit is not None:
        ratio = _rounded(median / in_unit(figure.unit, figure.limit, machine_limits[figure.limit]))
    return {
        "unit": figure.unit,
        "figure": _rounded(median),
        "min": _rounded(min(values)),
        "median": _rounded(median),
        "max": _rounded(max(values)),
        "p99": _rounded(percentile(sorted(values), 99)),
        "runs": [_rounded(value) for value in values],
        "limit": figure.limit,
        "ratio": ratio,
    }


def in_unit(unit: str, name: str, value: float) -> float:
    """A limit of the machine in a figure's unit: what takes µs is so many a second, or ms."""
    if unit.endswith("/s"):
        return 1e6 / value if name.endswith("_us") else value
    assert unit.startswith("ms"), unit
    return value / 1e3 if name.endswith("_us") else 1e3 / value


def append_to(file: Path) -> int:
    """Where in ``file`` the lines begin that are appended from now on: what would be measured for
    nothing is found out before. Raises `NotFound` or `NotAllowed`.
    """
    try:
        with file.open("ab+") as lines:
            if end := lines.tell():
                lines.seek(end - 1)
                if lines.read() != b"\n":  # of one that did not come to its end
                    lines.write(b"\n")
            return lines.seek(0, os.SEEK_END)
    except FileNotFoundError:
        raise NotFound(f"there is no folder {file.parent}: mkdir -p {file.parent}") from None
    except OSError as error:
        raise NotAllowed(f"{file} cannot be written: {error.strerror or error}") from error


def compare(before: Sequence[Document], after: Sequence[Document]) -> list[Document]:
    """Of each answer ``after`` that has one to the same question ``before``, the newest of both:
    ``{"bench", "unit", "ratio", "ratio_min", "ratio_max", "further"}``, after divided by before.

    The spread is that of the worst and the best pair of runs; None: nothing can be divided by what
    was 0 or not measured before. Raises `Usage` where no two documents answer the same question.
    """
    former = {_question(document): document for document in before}
    newest = {_question(document): document for document in after}
    found = [_ratios(former[key], newest[key]) for key in newest if key in former]
    if not found:
        raise Usage(f"these are not comparable: {_difference(before[-1], after[-1])}")
    return found


def _question(document: Document) -> str:
    return repr([document.get(name) for name in QUESTION])


def _difference(before: Document, after: Document) -> str:
    return "; ".join(
        f"{name} is {before.get(name)} and {after.get(name)}"
        for name in QUESTION
        if before.get(name) != after.get(name)
    )


def _ratios(before: Document, after: Document) -> Document:
    further = before.get("further", {})
    return {
        "bench": after["bench"],
        "parameters": after["parameters"],
        **_ratio(before, after),
        "further": {
            name: _ratio(further[name], figure)
            for name, figure in after.get("further", {}).items()
            if name in further
        },
    }


def _ratio(before: Document, after: Document) -> Document:
    return {
        "unit": after["unit"],
        "ratio": _divided(after["median"], before["median"]),
        "ratio_min": _divided(after["min"], before["max"]),
        "ratio_max": _divided(after["max"], before["min"]),
    }


def _divided(after: float | None, before: float | None) -> float | None:
    return _rounded(after / before) if after is not None and before else None


def _rounded(value: float) -> float:
    """Four figures: more is noise."""
    return float(f"{value:.4g}")


def _commit() -> str | None:
    """Of the checkout this runs from; None where it is installed."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
