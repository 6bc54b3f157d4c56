"""Half of what a cluster can do, for long: does memory rise, do latencies, is anything lost?

The evidence is a file of JSON lines: what was run and on what, then the measures of every interval,
and at the end the verdict, which `verdict` makes of those lines alone.
"""

import json
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import loads, processes
from .cluster import ROUNDED_OFF_S, Cluster
from .limits import limits
from .pace import Pace, most_per_s, until_idle
from .report import append_to, identity
from .soak_rows import Rows
from .trend import Trend, percentile, trend

Document = dict[str, Any]

#: Of what the cluster can do at most.
SHARE = 0.5
INTERVAL_S_MAX = 10.0
#: A short soak has so many intervals, too.
INTERVALS_MIN = 12
#: The first part is not judged: heaps, caches and files find their sizes. In the first hour that
#: was measured a master's heap took its last step after 18 minutes.
WARM_UP = 1 / 3
#: The load program: measured like the cluster's processes, and not judged.
LOAD = "soak"
#: How long the maximum is measured, at most.
MOST_S_MAX = 20.0
#: Less is no leak anybody would meet: 36 MB a month; and no latency anybody would feel.
MB_PER_H, MS_PER_H = 0.05, 0.5
WIDTH, SHELLS = 16, 2
LATENCIES = ("submit_to_start_ms", "ready_to_start_ms")
#: What the account of a sound cluster has none of.
WRONG = {
    "instances_failed": "workflows failed",
    "tasks_failed": "tasks failed",
    "lost": "tasks lost",
    "doubled": "tasks done twice",
    "refused": "submits refused",
}


def workflow(ledger: Path) -> loads.Document:
    """A task, then 16 at once that wait for it, two of them shells, then one that waits for all."""
    names = [f"t{n}" for n in range(WIDTH)]
    tasks = [loads.task("begin", "noop")]
    tasks += [loads.task(name, "noop", depends_on=["begin"]) for name in names[SHELLS:]]
    script = f"echo $STENELLA_TASK_INSTANCE_ID >> '{ledger}'"
    tasks += [
        {"name": name, "type": "shell", "script": script, "depends_on": ["begin"]}
        for name in names[:SHELLS]
    ]
    tasks.append(loads.task("end", "noop", depends_on=names))
    return {"name": "soak", "tasks": tasks}


def soak(
    file: Path,
    *,
    minutes: float,
    workers: int,
    slots: int,
    progress: Callable[[str], None] = lambda text: None,
) -> Document:
    """Run for ``minutes``, appending to ``file``; the verdict. Nothing of it is kept in memory.

    Raises `NotFound` or `NotAllowed` where nothing can be appended.
    """
    begin = append_to(file)
    interval_s = min(INTERVAL_S_MAX, minutes * 60 / INTERVALS_MIN)
    with Cluster(workers, slots) as cluster:
        ledger = cluster.home / "ledger"
        definition = workflow(ledger)
        rows = Rows(cluster.home / "stenella.db")
        try:
            most = most_per_s(cluster, definition, rows, min(MOST_S_MAX, minutes * 15))
            progress(f"at most {most:,.0f} tasks a second; {SHARE:.0%} of it for {minutes:g} min")
            head = {
                "soak": {"minutes": minutes, "workers": workers, "slots": slots},
                "most_per_s": round(most, 1),
                "tasks_per_s": round(most * SHARE, 1),
                "interval_s": interval_s,
                "limits": limits(cluster.home),
                **identity(),
            }
            _append(file, head)
            first, ledger_begin = rows.newest_instance(), cluster.home / "ledger-of-the-maximum"
            ledger.rename(ledger_begin)
            per_s = most * SHARE / len(definition["tasks"])
            with Pace(cluster.home, definition, per_s) as pace:
                observer = Observer(cluster.home, rows, pace)
                for number in range(1, round(minutes * 60 / interval_s) + 1):
                    try:
                        line = observer.line(number, interval_s)
                    except KeyboardInterrupt:  # whoever has seen enough gets his verdict
                        if number <= INTERVALS_MIN:
                            raise
                        break
                    _append(file, line)
                    progress(_told(line))
            until_idle(rows)
            account = rows.account(ledger, first) | {
                "submitted": observer.submitted + len(pace.taken),
                "refused": observer.refused + len(pace.refused),
            }
        finally:
            rows.close()
    _append(file, {"account": account})
    found = verdict(evidence(file, begin))
    _append(file, {"verdict": found})
    return found


class Observer:
    """Measures of one interval after the other."""

    def __init__(self, home: Path, rows: Rows, pace: Pace) -> None:
        self.submitted, self.refused = 0, 0  # before the present interval
        self._home, self._rows, self._pace = home, rows, pace
        self._pids = processes.of_home(home) | {LOAD: os.getpid()}
        self._processor_s = {name: processes.processor_s(pid) for name, pid in self._pids.items()}
        self._began_s = self._last_s = time.monotonic()
        self._seen = self._newest = rows.newest_task()
        self._due_ms: dict[int, float] = {}  # of submits whose tasks have not been looked at

    def line(self, number: int, interval_s: float) -> Document:
        """Wait for the end of interval ``number``, from 1, and measure it."""
        time.sleep(max(0.0, self._began_s + number * interval_s - time.monotonic()))
        now_s = time.monotonic()
        took_s, self._last_s = now_s - self._last_s, now_s
        count = len(self._pace.taken)
        taken, self._pace.taken[:count] = self._pace.taken[:count], []
        refused, self._pace.refused = self._pace.refused, []
        self.submitted += len(taken)
        self.refused += len(refused)
        self._due_ms.update((one.workflow_instance_id, one.due_ms) for one in taken)
        # Tasks of the interval before have ended by now, or are late indeed.
        before, self._seen, self._newest = self._seen, self._newest, self._rows.newest_task()
        return {
            "at": round(time.time(), 3),
            "after_s": round(now_s - self._began_s, 1),
            "submits_per_s": round(len(taken) / took_s, 1),
            "tasks_per_s": round((self._newest - self._seen) / took_s, 1),
            "refused": refused[:1],
            "answered_after_ms": _percentiles([one.answered_after_ms for one in taken]),
            **self._latencies(before, self._seen),
            "live": self._rows.live(),
            "restarted": self._look_for_new(),
            "processes": self._living(took_s),
            "files_mb": self._sizes(),
            "load": os.getloadavg()[0],
        }

    def _latencies(self, after: int, last: int) -> Document:
        first_ms: dict[int, int] = {}
        waits_ms = []
        for task in self._rows.begun(after, last):
            number = task.workflow_instance_id
            waits_ms.append(task.start_ms - task.ready_ms)
            first_ms[number] = min(first_ms.get(number, task.start_ms), task.start_ms)
        begun_ms = [
            start_ms + ROUNDED_OFF_S * 1_000 - self._due_ms.pop(number)
            for number, start_ms in first_ms.items()
            if number in self._due_ms
        ]
        return {
            "submit_to_start_ms": _percentiles(begun_ms),
            "ready_to_start_ms": _percentiles(waits_ms),
        }

    def _look_for_new(self) -> list[str]:
        """Processes that are others now; a sound cluster has none."""
        now = processes.of_home(self._home)
        new = [name for name, pid in now.items() if self._pids.get(name) != pid]
        for name in new:
            self._pids[name] = now[name]
            self._processor_s[name] = processes.processor_s(now[name])
        return new

    def _living(self, took_s: float) -> Document:
        found = {}
        for name in self._pids:
            with suppress(OSError):  # it has ended, which the verdict sees
                found[name] = self._process(name, took_s)
        return found

    def _process(self, name: str, took_s: float) -> Document:
        pid = self._pids[name]
        memory, processor_s = processes.memory(pid), processes.processor_s(pid)
        used_s, self._processor_s[name] = processor_s - self._processor_s[name], processor_s
        return {
            "rss_mb": round(memory.rss, 2),
            "pss_mb": round(memory.pss, 2),
            "own_mb": round(memory.own, 2),
            "files": processes.files(pid),
            "threads": processes.threads(pid),
            "cores": round(used_s / took_s, 3),
        }

    def _sizes(self) -> dict[str, float]:
        """Of what grows beside the logs of tasks."""
        paths = [
            *self._home.glob("stenella.db*"),
            *self._home.glob("workers/*/journal.db*"),
            *self._home.glob("workers/*/warden.log"),
        ]
        sizes = {}
        for path in sorted(paths):
            name = str(path.relative_to(self._home)).removeprefix("workers/")
            sizes[name] = round(path.stat().st_size / 1e6, 3)
        return sizes


def evidence(file: Path, begin: int) -> list[Document]:
    """The lines of a soak from where it began; what stands before is none of its business."""
    with file.open("rb") as lines:
        lines.seek(begin)
        return [json.loads(line) for line in lines]


def verdict(lines: Sequence[Document]) -> Document:
    """Of the lines of a file: what rises, and what is lost.

    ``well``: no workflow or task was lost, failed or was done twice, and no submit refused;
    ``holds``: nothing rises besides, and no process was started again; ``against``: why not.
    """
    measured = [line for line in lines if "processes" in line]
    judged = measured[math.ceil(len(measured) * WARM_UP) :]
    times_s = [line["after_s"] for line in judged]
    memory, latency = {}, {}
    there = [name for name in judged[0]["processes"] if _is_there(name, measured)]
    for name in there:
        for kind in ("rss_mb", "own_mb"):
            found = trend(times_s, [line["processes"][name][kind] for line in judged])
            memory[f"{name} {kind}"] = _judged(found, MB_PER_H)
    for name in LATENCIES:
        known = [line for line in judged if line[name] is not None]
        found = trend([line["after_s"] for line in known], [line[name]["p99"] for line in known])
        latency[f"{name} p99"] = _judged(found, MS_PER_H)
    account = next(line["account"] for line in lines if "account" in line)
    wrong = [f"{account[key]:,} {what}" for key, what in WRONG.items() if account[key]]
    if account["submitted"] != account["instances"]:
        wrong.append(f"{account['submitted']:,} submitted, but {account['instances']:,} there")
    restarted = [name for line in measured for name in line["restarted"]]
    restarted += [n for n in measured[0]["processes"] if n not in (*there, *restarted)]
    series = {**memory, **latency}.items()
    rising = [name for name, one in series if not one["flat"] and not name.startswith(f"{LOAD} ")]
    against = [
        *wrong,
        *(f"{name} was started again" for name in restarted),
        *(f"{name} rises" for name in rising),
    ]
    return {
        "holds": not against,
        "well": not wrong,
        "against": against,
        "minutes": round(measured[-1]["after_s"] / 60, 2),
        "tasks_per_s": statistics.fmean(line["tasks_per_s"] for line in judged),
        "memory": memory,
        "latency": latency,
        "restarted": restarted,
        "account": account,
    }


def _is_there(name: str, measured: Sequence[Document]) -> bool:
    """In every line, and the same all the time."""
    return all(name in line["processes"] and name not in line["restarted"] for line in measured)


def _judged(found: Trend, least: float) -> Document:
    return {
        "mean": round(found.mean, 3),
        "per_h": round(found.per_h, 3),
        "error": round(found.error, 3),
        "flat": found.is_flat(least),
    }


def _percentiles(values: Sequence[float]) -> Document | None:
    if not values:
        return None
    ordered = sorted(values)
    at = {"p50": 50, "p99": 99, "max": 100}
    return {name: round(percentile(ordered, percent), 2) for name, percent in at.items()}


def _told(line: Document) -> str:
    begun = line["submit_to_start_ms"] or {"p50": math.nan, "p99": math.nan}
    rss = " ".join(f"{name} {one['rss_mb']:.1f}" for name, one in line["processes"].items())
    return (
        f"{line['after_s']:,.0f} s: {line['tasks_per_s']:,.0f} tasks/s, start after "
        f"{begun['p50']:.1f} ms, p99 {begun['p99']:.1f} ms; MB: {rss}"
    )


def _append(file: Path, line: Document) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(line) + "\n")
