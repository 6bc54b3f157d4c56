"""What a thousand connected workers cost: the master's core at rest, and the others' tasks."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..protocol.errors import RefusedInState
from . import loads
from .cluster import Cluster, elapsed_s
from .processes import processor_s
from .question import SLOTS, WORKERS, Bench, Figure, Parameter, Parameters, Sample

HEARTBEAT_MS = 2_000  # the default of cluster.heartbeat_s, which a benchmark's cluster has
#: After joining: one beat of each, so that all that follows a registration is over.
SETTLE_S = 1.25 * HEARTBEAT_MS / 1_000
LATE_S = 4 * HEARTBEAT_MS / 1_000  # three beats are missed, then they are looked for
SHARE_MIN = 0.01  # less is noise, and nothing could be held against 0
#: Of the links: one in which nothing is ever ready, or that of all tasks.
GROUPS = {"workers": "links", "all": "default"}


class Load:
    """A cluster, and the program that holds links to its master."""

    def __init__(self, cluster: Cluster, program: "subprocess.Popen[str]") -> None:
        self.cluster, self.program = cluster, program

    def say(self, word: str) -> dict[str, float]:
        """``join`` or ``leave``; what the program has done. Raises `RefusedInState` if it died."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        with suppress(BrokenPipeError):  # then it does not answer either
            self.program.stdin.write(word + "\n")
            self.program.stdin.flush()
        answer = self.program.stdout.readline()
        if not answer:
            text = "the benchmark's load program has ended; what it said of it stands above"
            raise RefusedInState(text)
        document: dict[str, float] = json.loads(answer)
        return document


@contextmanager
def load_of(parameters: Parameters) -> Iterator[Load]:
    """A fresh cluster, and as many keys as there will be links."""
    with Cluster(parameters["workers"], parameters["slots"]) as cluster:
        words = [cluster.home, parameters["links"], GROUPS[parameters["takers"]], HEARTBEAT_MS]
        program = subprocess.Popen(
            [sys.executable, "-P", "-m", "stenella.bench.links", *map(str, words)],
            env=cluster.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with program:
            try:
                yield Load(cluster, program)
            finally:
                assert program.stdin is not None
                with suppress(BrokenPipeError):  # of a word that it did not live to hear
                    program.stdin.close()  # it ends then


def workers(load: Load, parameters: Parameters) -> Sample:
    """The same without and with the links, one right after the other."""
    alone = _measured(load, parameters)
    load.say("join")
    time.sleep(SETTLE_S)
    joined = _measured(load, parameters)
    load.say("leave")
    if parameters["takers"] == "all":
        time.sleep(LATE_S)  # until nothing more is given to who has left without a word
    return {
        "rate": joined["rate"],
        "alone": alone["rate"],
        "beats": max(SHARE_MIN, joined["master"] - alone["master"]),
        "load": max(SHARE_MIN, joined["load"]),
    }


def _measured(load: Load, parameters: Parameters) -> dict[str, float]:
    before = {"master": processor_s(load.cluster.master_pid), "load": processor_s(load.program.pid)}
    began_s = time.monotonic()
    time.sleep(parameters["seconds"])
    took_s = time.monotonic() - began_s
    after = {"master": processor_s(load.cluster.master_pid), "load": processor_s(load.program.pid)}
    shares = {name: 100 * (after[name] - before[name]) / took_s for name in before}
    began = time.time()
    definition: dict[str, Any] = loads.fan(parameters["tasks"], "noop")
    end_time = load.cluster.finish(definition)["end_time"]
    return {"rate": parameters["tasks"] / elapsed_s(began, end_time), **shares}


WORKERS_BENCH = Bench(
    name="workers",
    question="What do many connected workers cost?",
    detail="Links of a load program, without workers behind them: each with a key of its own, over "
    "TCP with CURVE, registered, with a heartbeat every 2 s. Measured are the tasks a second "
    "beside them and alone, and what their heartbeats take of a core at rest: of the master's, and "
    "of the load program's on the same machine.",
    figures=(
        Figure("rate", "tasks/s", "round_trip_us"),
        Figure("alone", "tasks/s", "round_trip_us"),
        Figure("beats", "% of a core", higher_is_better=False),
        Figure("load", "% of a core", higher_is_better=False),
    ),
    sample=workers,
    parameters=(
        Parameter("links", 1_000, "Connected workers.", high=10_000),
        Parameter(
            "takers",
            "workers",
            "Who takes the tasks: the real workers alone, or the links as well.",
            choices=tuple(GROUPS),
        ),
        Parameter("tasks", 20_000, "Noops of the workflow, all independent."),
        Parameter("seconds", 8, "At rest, without and with the links.", high=3_600),
        WORKERS,
        SLOTS,
    ),
    setup=load_of,
    example="--links 20 --tasks 200 --seconds 1 --runs 1",
)
