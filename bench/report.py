"""From samples to a document, and from two documents to ratios."""

import math
import os
import platform
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from .. import __version__
from ..protocol.errors import Usage
from .cluster import Cluster
from .figures import Bench, Parameters
from .limits import limits

Document = dict[str, Any]

#: Where a sample is one submit, there are more of them than where it is thousands of tasks.
RUNS = {"latency": 51}
RUNS_DEFAULT = 5
#: What a shell task's process is, to hold the spawn figure against the same.
SHELL_ARGV = ("/bin/bash", "-c", "true")


def measure(
    bench: Bench,
    parameters: Parameters,
    *,
    workers: int,
    slots: int,
    runs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Document:
    """Run ``bench`` on a fresh cluster: one warm-up, then ``runs`` samples.

    ``{"bench", "unit", "figure", "min", "median", "max", "p99", "runs", "parameters", "limits",
    "versions", "commit", "machine", "at"}``; the figure is the median.
    """
    runs = runs or RUNS.get(bench.name, RUNS_DEFAULT)
    chosen = {**bench.parameters, **parameters}
    with Cluster(workers, slots) as cluster:
        progress(f"{bench.name}: warming up, {workers} workers × {slots} slots")
        bench.sample(cluster, chosen)
        samples = []
        for number in range(runs):
            samples.append(bench.sample(cluster, chosen))
            progress(f"{bench.name}: {number + 1} of {runs}: {samples[-1]:,.2f} {bench.unit}")
        machine_limits = limits(cluster.home, SHELL_ARGV)
    return {
        "bench": bench.name,
        "unit": bench.unit,
        "figure": _rounded(statistics.median(samples)),
        "min": _rounded(min(samples)),
        "median": _rounded(statistics.median(samples)),
        "max": _rounded(max(samples)),
        "p99": _rounded(sorted(samples)[math.ceil(len(samples) * 0.99) - 1]),
        "runs": [_rounded(sample) for sample in samples],
        "parameters": {**chosen, "workers": workers, "slots": slots},
        "limits": machine_limits,
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


def compare(before: Document, after: Document) -> Document:
    """``{"bench", "unit", "ratio", "ratio_min", "ratio_max"}``: after divided by before.

    The spread is that of the worst and the best pair of runs. Raises `Usage` where the two
    documents do not answer the same question.
    """
    for name in ("bench", "unit", "parameters"):
        if before.get(name) != after.get(name):
            raise Usage(
                f"these are not comparable: {name} is {before.get(name)} and {after.get(name)}"
            )
    return {
        "bench": after["bench"],
        "unit": after["unit"],
        "ratio": _rounded(after["median"] / before["median"]),
        "ratio_min": _rounded(after["min"] / before["max"]),
        "ratio_max": _rounded(after["max"] / before["min"]),
    }


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
