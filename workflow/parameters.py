"""Values of parameters: fixed for the instance at submit, for an attempt at its placement.

Values reach a task as environment variables, never as text of a script; a substituted value is
never looked at again (reliability.md, B19 and B20).
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

import msgspec

from ..protocol.errors import Problem, Usage
from .definition import (
    INTEGER_MAX,
    INTEGER_MIN,
    VARIABLE_BYTES_MAX,
    Definition,
    Output,
    Parameter,
    Scalar,
    Task,
)
from .findings import Findings
from .names import kind, quoted
from .references import Reference, pieces

#: JSON: an upstream output may be a list or a mapping.
Value = Any
#: Where a value comes from: one of these words, or ``task.output``.
Origin = Literal["workflow", "startup", "task"] | str

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?"
)
_TRUTH = {"true": True, "false": False}


def as_text(value: Value) -> str:
    """``value`` as an environment variable: true and false, compact JSON, nothing as ''."""
    match value:
        case None:
            return ""
        case str():
            return value
        case True | False:
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return msgspec.json.encode(value).decode()


def is_storable(number: float) -> bool:
    """Whether a database column and every JSON reader can hold ``number``."""
    if isinstance(number, float):
        return math.isfinite(number)
    return INTEGER_MIN <= number <= INTEGER_MAX


def bad_text(text: str) -> str | None:
    """Why ``text`` can be neither written to a file nor handed to a program; None: it can."""
    if "\0" in text:
        return "it contains a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "it contains half a character (a lone surrogate)"
    return None


def unfit_text(name: str, text: str) -> tuple[str, str] | None:
    """Why ``name=text`` cannot stand in an environment: rule and sentence. None: it can."""
    if wrong := bad_text(text):
        return "bad_text", wrong
    size_bytes = len(name) + 1 + (len(text) if text.isascii() else len(text.encode()))
    if size_bytes > VARIABLE_BYTES_MAX:
        return "too_large", "it is too long for an environment variable (128 KiB): use a file"
    return None


def unfit(parameter: Parameter, value: Scalar) -> tuple[str, str] | None:
    """Why ``value`` is none for ``parameter``: rule and sentence. None: it fits."""
    match parameter.type:
        case "string":
            fits = isinstance(value, str)
        case "boolean":
            fits = isinstance(value, bool)
        case "integer":
            fits = isinstance(value, int) and not isinstance(value, bool)
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        return "wrong_type", f"expected {parameter.type}, not {kind(value)} ({quoted(value)})"
    if isinstance(value, str):
        return None
    if not is_storable(value):
        return "out_of_range", f"{quoted(value)} is not finite or does not fit into 64 bits"
    if parameter.min is not None and value < parameter.min:
        return "out_of_range", f"{quoted(value)} is below the least, {parameter.min}"
    if parameter.max is not None and value > parameter.max:
        return "out_of_range", f"{quoted(value)} is above the most, {parameter.max}"
    return None


def start_params(definition: Definition, given: Mapping[str, object]) -> dict[str, Scalar]:
    """The instance's parameters: what was given at submit, else the defaults.

    Text (the command line gives nothing else) is read as the declared type. Raises Usage with all
    problems: unknown name, wrong type, out of range, missing.
    """
    findings = Findings()
    values: dict[str, Scalar] = {}
    for name in given:
        if name not in definition.params:
            known = ", ".join(sorted(definition.params)) or "none"
            message = f"the workflow has no parameter {quoted(name)}; it has: {known[:200]}"
            near = findings.nearest(name, definition.params)
            findings.add(("params", name), "unknown_name", message, near)
    for name, parameter in definition.params.items():
        if name in given:
            value = _read(parameter, given[name])
            if wrong := _start_problem(name, parameter, value):
                findings.add(("params", name), wrong[0], f"parameter {name}: {wrong[1]}")
            else:
                values[name] = value
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            message = f"parameter {name} has no default and must be given"
            findings.add(("params", name), "missing_field", message, f"--param {name}=…")
    if findings.count:
        problems = findings.problems()
        raise Usage("; ".join(problem.message for problem in problems[:3]), tuple(problems))
    return values


def _read(parameter: Parameter, value: Any) -> Any:
    """``value`` as the declared type where it is plainly meant; else as it is."""
    if parameter.type == "string":
        return as_text(value) if isinstance(value, int | float) else value
    if not isinstance(value, str):
        return value
    text = value.strip()
    if parameter.type == "boolean":
        return _TRUTH.get(text.lower(), value)
    if _INTEGER.fullmatch(text):
        return int(text)
    if parameter.type == "number" and _NUMBER.fullmatch(text):
        return float(text)
    return value


def _start_problem(name: str, parameter: Parameter, value: Any) -> tuple[str, str] | None:
    if not isinstance(value, str | int | float):
        return "wrong_type", f"expected {parameter.type}, not {kind(value)}"
    return unfit(parameter, value) or (unfit_text(name, value) if isinstance(value, str) else None)


def upstream(task: Task) -> tuple[str, ...]:
    """Names of the tasks whose outputs ``task`` refers to, in order of appearance."""
    names: dict[str, None] = {}
    for value in task.params.values():
        if isinstance(value, str) and "${" in value:
            for piece in pieces(value):
                if isinstance(piece, Reference) and piece.task is not None:
                    names[piece.task] = None
    return tuple(names)


def task_parameters(
    declared: Callable[[str], Iterable[Output]],
    task: Task,
    instance_params: Mapping[str, Value],
    startup: Collection[str],
    outputs: Mapping[str, Mapping[str, Value]],
) -> tuple[dict[str, tuple[Value, Origin]], Problem | None]:
    """Value and origin of every parameter of an attempt, and why it cannot run, if so.

    Workflow < task (unless empty) < given at submit (``startup``). ``outputs`` holds at least those
    of ``upstream(task)``; one that is missing there has its default, of the outputs that its task
    has ``declared``, or is a problem.
    """
    resolved: dict[str, tuple[Value, Origin]] = {
        name: (value, "startup" if name in startup else "workflow")
        for name, value in instance_params.items()
    }
    for name, value in task.params.items():
        if name in startup or (name in resolved and (value is None or value == "")):
            continue
        origin: Origin = "task"
        if isinstance(value, str) and "${" in value:
            try:
                value, origin = _substitute(declared, value, instance_params, outputs)
            except LookupError as error:
                rule, message = "missing_output", str(error.args[0])
                return {}, _placement_problem(task, name, rule, message)
        resolved[name] = (value, origin)
    for name, (value, _) in resolved.items():
        if not isinstance(value, int | float) and (wrong := unfit_text(name, as_text(value))):
            return {}, _placement_problem(task, name, *wrong)
    return resolved, None


def _placement_problem(task: Task, name: str, rule: str, message: str) -> Problem:
    path = f"{task.name}.params.{name}"
    return Problem(rule=rule, message=f"parameter {name}: {message}", path=path)


def _substitute(
    declared: Callable[[str], Iterable[Output]],
    text: str,
    params: Mapping[str, Value],
    outputs: Mapping[str, Mapping[str, Value]],
) -> tuple[Value, Origin]:
    """``text`` with its references replaced once; a lone reference keeps its value's type."""
    parts = pieces(text)
    if len(parts) == 1 and isinstance(parts[0], Reference):
        origin = "workflow" if parts[0].task is None else str(parts[0])
        return _look_up(declared, parts[0], params, outputs), origin
    built, length = [], 0
    for part in parts:
        if isinstance(part, Reference):
            part = as_text(_look_up(declared, part, params, outputs))
        built.append(part)
        length += len(part)
        if length > VARIABLE_BYTES_MAX:  # many large outputs in one text must not fill the memory
            break
    return "".join(built), "task"


def _look_up(
    declared: Callable[[str], Iterable[Output]],
    reference: Reference,
    params: Mapping[str, Value],
    outputs: Mapping[str, Mapping[str, Value]],
) -> Value:
    if reference.task is None:
        if reference.name in params:
            return params[reference.name]
        raise LookupError(f"the workflow has no parameter {reference.name}")
    found = outputs.get(reference.task, {})
    if reference.name in found:
        return found[reference.name]
    for output in declared(reference.task):
        if output.name == reference.name and output.default is not None:
            return output.default
    raise LookupError(f"the task {reference.task} has given no output {reference.name}")
