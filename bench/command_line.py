"""What one waits for at the command line: a file is submitted, and its end awaited."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..protocol.errors import RefusedInState
from . import loads
from .cluster import Cluster
from .question import EDGES, SLOTS, WORKERS, Bench, Figure, Parameter, Parameters, Sample


@dataclass(frozen=True)
class Done:
    """What a command printed, and what it cost from its process's start to its end."""

    said: str
    took_s: float
    peak_mb: float


@dataclass(frozen=True)
class Submit:
    """What `stenella submit` cost, and what it started."""

    workflow_instance_id: int
    took_s: float
    peak_mb: float


def submit(cluster: Cluster, file: Path) -> Submit:
    """`stenella submit` of ``file``. Raises `RefusedInState`."""
    done = _run(cluster, ("submit", str(file), "--json"))
    number = json.loads(done.said)["workflow_instance_id"]
    return Submit(number, done.took_s, done.peak_mb)


def _run(cluster: Cluster, arguments: Sequence[str]) -> Done:
    began = time.monotonic()
    command = [sys.executable, "-P", "-m", "stenella", *arguments]
    child = subprocess.Popen(
        command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout is not None
    said = child.stdout.read()
    child.stdout.close()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
    if child.returncode:
        raise RefusedInState(f"`stenella {arguments[0]}` ended with {child.returncode}")
    return Done(said.decode(), time.monotonic() - began, used.ru_maxrss * 1_024 / 1e6)


def sample(cluster: Cluster, parameters: Parameters) -> Sample:
    """`stenella submit FILE`, then `stenella wait`; the file is new, so it is stored each time."""
    document = loads.layers(parameters["tasks"], parameters["edges"])
    document["description"] = f"of {time.time():.6f}"
    file = cluster.home / f"definition.{parameters['format']}"
    text = loads.as_yaml(document) if parameters["format"] == "yaml" else json.dumps(document)
    file.write_text(text, encoding="utf-8")
    began = time.monotonic()
    started = submit(cluster, file)
    _run(cluster, ("wait", str(started.workflow_instance_id)))
    return {
        "whole": time.monotonic() - began,
        "submit_s": started.took_s,
        "submit_mb": started.peak_mb,
    }


BENCH = Bench(
    name="submit",
    question="How long from a file to its end, by the command line?",
    detail="Of a workflow of tasks that do nothing: `stenella submit FILE`, then `stenella wait`, "
    "and what the submit takes of it.",
    figures=(
        Figure("whole", "s", higher_is_better=False),
        Figure("submit_s", "s of the submit", higher_is_better=False),
        Figure("submit_mb", "MB of the submit", higher_is_better=False),
    ),
    sample=sample,
    parameters=(
        Parameter("tasks", 10_000, "Tasks of the workflow."),
        EDGES.at(0),
        Parameter("format", "json", "Of the file.", choices=("json", "yaml")),
        WORKERS,
        SLOTS,
    ),
    example="--tasks 500 --runs 2",
)
