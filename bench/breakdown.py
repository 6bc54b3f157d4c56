"""Where the processor time of a task goes: by process and stage, and whether it adds up.

Master and workers are started as `timed` programs. The total is what Linux says that all processes
have used, this one as the client among them, with whatever the tasks themselves used; the parts are
what the processes measured of themselves.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..client.client import Client
from ..protocol.errors import RefusedInState, StenellaError
from . import loads, processes
from .cluster import environment_of
from .question import SLOTS, TYPE, WORKERS, Bench, Figure, Parameter, Parameters, Sample

#: For the processes to come up, and to tell what they have spent.
ANSWER_S_MAX = 60.0
LEAVE_S_MAX = 15.0
LOOK_S = 0.01
LOG_TOLD = 500  # characters of a log's end, for an error
#: Until what follows a workflow's end (acknowledgements, journals) has been done.
REST_S = 0.3
PROGRAM = (sys.executable, "-P", "-m", "stenella.bench.timed")

ACTORS = ("gateway", "workflow_executor", "event_persister", "dispatcher")
#: Of the loop's thread, as `timed` calls them.
STAGES = ("link", "intake", "decode", "form", "act", "encode", "garbage")
MASTER_PARTS = (*STAGES, *ACTORS, "turn", "loop", "commit", "threads")
WORKER_PARTS = (*STAGES, "actors", "turn", "loop", "commit", "files", "threads")


class TimedCluster:
    """``with TimedCluster(workers, slots) as cluster``: timed processes and their wardens."""

    def __init__(self, workers: int, slots: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="stenella-bench-"))
        self.client = Client(self.home)
        self._workers, self._slots = workers, slots
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._start("master")
            for number in range(1, self._workers + 1):
                self._start("worker", str(number), str(self._slots))
            self._wait(self._is_up, "is not up")
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._leave()

    def _start(self, *words: str) -> None:
        name = "-".join(words[:2])
        with self._log(name).open("wb") as log:
            self._children[name] = subprocess.Popen(
                [*PROGRAM, *words],
                env=environment_of(self.home),
                stdin=subprocess.PIPE,  # they leave when it ends
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _leave(self) -> None:
        with suppress(StenellaError):
            self.client.shutdown(0.0)
        self.client.close()
        for child in self._children.values():
            try:
                child.communicate(timeout=LEAVE_S_MAX)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
        shutil.rmtree(self.home, ignore_errors=True)

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _wait(self, condition: Callable[[], bool], failing: str) -> None:
        """Raises `RefusedInState` where a process ends meanwhile, or it takes too long."""
        end_s = time.monotonic() + ANSWER_S_MAX
        while not condition():
            for name, child in self._children.items():
                if child.poll() is not None:
                    text = f"{name} of the benchmark's cluster has ended with {child.returncode}"
                    raise RefusedInState(f"{text}; {self._log_end(name)}")
            if time.monotonic() > end_s:
                text = f"the benchmark's cluster {failing} after {ANSWER_S_MAX:g} s"
                raise RefusedInState(f"{text}; of the master, {self._log_end('master')}")
            time.sleep(LOOK_S)

    def _log_end(self, name: str) -> str:
        """For an error: the home, and the log in it, will be gone."""
        said = self._log(name).read_text(errors="replace").strip()
        return f"its log ends with: {said[-LOG_TOLD:]}" if said else "its log is empty"

    def _is_up(self) -> bool:
        with suppress(StenellaError):
            rows = self.client.status()["workers"]
            return [row["state"] for row in rows] == ["alive"] * self._workers
        return False

    def spent(self) -> dict[str, dict[str, float]]:
        """Master or worker → what `timed` says of it, µs. Raises `RefusedInState`."""
        found = {}
        for name, child in self._children.items():
            path = self.home / "run" / f"spent.{child.pid}"
            path.unlink(missing_ok=True)
            child.send_signal(signal.SIGUSR1)
            self._wait(path.exists, f"has not told what {name} spent")
            found[name] = json.loads(path.read_text())
        return found

    def totals(self) -> dict[str, float]:
        """Process → µs that Linux says it has used; ``tasks``: what the wardens have waited for."""
        pids = {name: child.pid for name, child in self._children.items()}
        pids |= {
            name: pid
            for name, pid in processes.of_home(self.home).items()
            if name.startswith("warden")
        }
        found = {name: processes.processor_s(pid) * 1e6 for name, pid in pids.items()}
        wardens = [pid for name, pid in pids.items() if name.startswith("warden")]
        found["tasks"] = sum(processes.children_s(pid) for pid in wardens) * 1e6
        found["client"] = processes.processor_s(os.getpid()) * 1e6
        return found


def sample(cluster: TimedCluster, parameters: Parameters) -> Sample:
    """One fan-out: µs a task."""
    tasks = parameters["tasks"]
    definition = loads.fan(tasks, parameters["type"])
    totals, spent, began_s = cluster.totals(), cluster.spent(), time.perf_counter()
    instance = cluster.client.submit(definition)
    instance.check()
    took_s = time.perf_counter() - began_s
    time.sleep(REST_S)
    parts = _parts(spent, cluster.spent())
    used = {name: us - totals.get(name, 0.0) for name, us in cluster.totals().items()}
    parts["wardens"] = sum(us for name, us in used.items() if name.startswith("warden"))
    parts |= {"tasks": used["tasks"], "client": used["client"]}
    total, whole = sum(used.values()), sum(parts.values())
    found = {name: us / tasks for name, us in parts.items()}
    return {
        "total": total / tasks,
        "sum": whole / tasks,
        "wall": took_s * 1e6 / tasks,
        "busy": 100 * total / (took_s * 1e6 * (os.cpu_count() or 1)),
        **found,
    }


def _parts(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]
) -> dict[str, float]:
    """µs by part, of all workers together."""
    found = dict.fromkeys(PARTS, 0.0)
    for process, spent in after.items():
        new = {stage: us - before[process].get(stage, 0.0) for stage, us in spent.items()}
        role = process.split("-")[0]
        for part, us in _stages(new, role).items():
            found[f"{role} {part}"] += us
    return found


def _stages(spent: dict[str, float], role: str) -> dict[str, float]:
    """Of one process; ``turn`` is what think costs beside the actors' receiving."""
    found = {stage: spent.get(stage, 0.0) for stage in STAGES}
    thought = spent.get("think", 0.0)
    actors = {name[6:]: us for name, us in spent.items() if name.startswith("actor ")}
    received = sum(actors.values())
    scale = min(1.0, thought / received) if received else 0.0  # the wall's clock ran meanwhile
    if role == "master":
        found |= {name: actors[name] * scale for name in ACTORS}
    else:
        found["actors"] = received * scale
    found["turn"] = thought - sum(us for name, us in found.items() if name not in STAGES)
    found["loop"] = spent["main"] - sum(found.values())
    others = {"commit": spent["commit"], "files": spent["files"]}
    others["threads"] = spent["all"] - spent["main"] - sum(others.values())
    found |= others
    return {name: us for name, us in found.items() if f"{role} {name}" in PARTS}


PARTS = (
    *(f"master {part}" for part in MASTER_PARTS),
    *(f"worker {part}" for part in WORKER_PARTS),
)
TASKS = Parameter("tasks", 10_000, "Tasks of the workflow, all independent.")


def setup(parameters: Parameters) -> TimedCluster:
    return TimedCluster(parameters["workers"], parameters["slots"])


def _us(name: str) -> Figure:
    return Figure(name, "µs/task", higher_is_better=False)


BENCH = Bench(
    name="breakdown",
    question="Where does the processor time of a task go?",
    detail=(
        "Processor time a task of all processes, as Linux counts it, and as the processes measure "
        "its parts, whose sum should be the total. `turn` is what thinking costs beside actors, "
        "`loop` waking and switching, `threads` encryption and crossing over; `busy` is the "
        "share of all cores that was not idle. Measuring itself costs some per cent."
    ),
    figures=(
        _us("total"),
        _us("sum"),
        _us("wall"),
        Figure("busy", "%"),
        *map(_us, (*PARTS, "wardens", "tasks", "client")),
    ),
    sample=sample,
    setup=setup,
    parameters=(TASKS, TYPE, WORKERS, SLOTS),
    example="--tasks 200 --runs 2",
)
