"""WfFormat 1.5, the traces of wfcommons: real scientific workflows as definitions of ours.

A task of ours waits for the same tasks as the trace's and takes its recorded time, scaled. What it
computed is not in a trace. https://wfcommons.org/format has the format.
"""

import json
import re
from typing import Any

import msgspec

from ..protocol.errors import DefinitionRefused, Problem
from ..workflow.findings import Findings
from ..workflow.names import NAME

VERSION = "1.5"
FILE_BYTES_MAX = 256 * 1024 * 1024  # traces name every file; the largest published have some 100 MB
#: With the few fields of the most tasks these are the 2,000,000 values that a YAML file may have.
EDGES_MAX = 1_000_000
#: Shorter than this a task is a joint only; starting a process takes as long.
SHORTEST_S = 0.001
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_SUFFIX = re.compile(r"(\.json|-0)+$")


class Specified(msgspec.Struct, frozen=True):
    """A task as it was to be."""

    id: str
    parents: list[str] = []
    children: list[str] = []


class Executed(msgspec.Struct, frozen=True, rename={"runtime_s": "runtimeInSeconds"}):
    """A task as it was run."""

    id: str
    runtime_s: float = 0.0


class Specification(msgspec.Struct, frozen=True):
    tasks: list[Specified]


class Execution(msgspec.Struct, frozen=True):
    tasks: list[Executed] = []


class TracedWorkflow(msgspec.Struct, frozen=True):
    specification: Specification
    execution: Execution = Execution()


class Trace(msgspec.Struct, frozen=True, rename={"schema_version": "schemaVersion"}):
    """What is read of a file; the rest of it is skipped."""

    name: str
    workflow: TracedWorkflow
    schema_version: str = VERSION


def to_document(data: bytes, source: str, scale: float) -> dict[str, Any]:
    """The plain document of a definition; not yet checked. ``scale``: of the recorded times.

    Raises DefinitionRefused with what is wrong with the trace.
    """
    findings = Findings(file=source)
    trace = _decoded(data, findings)
    tasks = trace.workflow.specification.tasks
    names = _names([task.id for task in tasks], findings)
    runtime_s = {task.id: task.runtime_s for task in trace.workflow.execution.tasks}
    parents: dict[str, dict[str, None]] = {task.id: dict.fromkeys(task.parents) for task in tasks}
    for task in tasks:
        for child in task.children:  # some writers give one direction only
            parents.setdefault(child, {})[task.id] = None
    for child, above in parents.items():
        for parent in above:
            if parent not in names or child not in names:
                missing = parent if parent not in names else child
                message = f"the trace has no task {missing!r}, which {child!r} or {parent!r} names"
                findings.add((), "unknown_name", message)
    if (edges := sum(map(len, parents.values()))) > EDGES_MAX:
        message = f"tasks wait for {edges:,} others in all, at most {EDGES_MAX:,} are taken"
        findings.add((), "too_large", message)
    if findings.count:
        raise findings.refusal()
    name = _NOT_IN_A_NAME.sub("-", _SUFFIX.sub("", trace.name)).strip("-.")[:128] or "trace"
    total_s = sum(runtime_s.get(task.id, 0.0) for task in tasks)
    return {
        "name": name,
        "description": f"{len(tasks)} tasks of a WfFormat trace, {total_s:,.1f} s in all; "
        f"times by {scale:g}",
        "tasks": [
            _task(names, task.id, list(parents[task.id]), runtime_s.get(task.id, 0.0) * scale)
            for task in tasks
        ],
    }


def _task(names: dict[str, str], id_: str, parents: list[str], seconds: float) -> dict[str, Any]:
    task: dict[str, Any] = {"name": names[id_]}
    if seconds < SHORTEST_S:
        task["type"] = "noop"
    else:
        task["script"] = f"exec sleep {seconds:.3f}"
    if parents:
        task["depends_on"] = [names[parent] for parent in parents]
    return task


def _decoded(data: bytes, findings: Findings) -> Trace:
    try:
        trace = msgspec.json.decode(data, type=Trace)
    except msgspec.MsgspecError as error:
        message = f"this is no WfFormat {VERSION}: {error}"
        findings.add((), "wrong_type", message)
        raise findings.refusal() from None
    except RecursionError:
        findings.add((), "too_large", "more levels inside each other than any trace has")
        raise findings.refusal() from None
    if not trace.schema_version.startswith(VERSION):
        message = f"this is WfFormat {trace.schema_version[:20]}; {VERSION} is read"
        findings.add((), "unknown_format", message)
        raise findings.refusal()
    for task in trace.workflow.execution.tasks:
        if not 0 <= task.runtime_s < 1e9:
            message = f"the task {task.id!r} took {task.runtime_s} s, which cannot be"
            findings.add((), "out_of_range", message)
    return trace


def _names(ids: list[str], findings: Findings) -> dict[str, str]:
    """Id → a name that ours may have, no two alike even without regard to case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for id_ in ids:
        if id_ in names:
            findings.add((), "duplicate_name", f"two tasks have the id {id_!r}")
            continue
        name = stem = id_ if NAME.fullmatch(id_) else _NOT_IN_A_NAME.sub("-", id_)[:120] or "task"
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem[:120]}.{number}"
        taken.add(name.casefold())
        names[id_] = name
    return names


def to_yaml(document: dict[str, Any]) -> str:
    """``document`` as YAML that people can read: a task a line."""
    lines = [f"name: {json.dumps(document['name'])}"]
    lines += [f"description: {json.dumps(document['description'])}", "tasks:"]
    for task in document["tasks"]:
        fields = ", ".join(f"{key}: {json.dumps(value)}" for key, value in task.items())
        lines.append(f"  - {{{fields}}}")
    return "\n".join(lines) + "\n"


def refuse_larger(size_bytes: int, source: str) -> None:
    """Raises DefinitionRefused for a file that no trace is."""
    if size_bytes > FILE_BYTES_MAX:
        message = f"the file is larger than {FILE_BYTES_MAX:,} bytes"
        raise DefinitionRefused(
            f"{source}: {message}", (Problem(rule="too_large", message=message, file=source),)
        )
