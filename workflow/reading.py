"""From a plain document (mappings, lists, scalars) to a `Definition`, field by field.

Only the shape is judged here; what the parts mean to each other is `validation`'s. Whatever can be
read is read, so that one wrong field does not hide what is wrong elsewhere.
"""

import re
from collections.abc import Collection, Mapping
from typing import get_args

from ..protocol.states import PRIORITIES, Priority
from .definition import (
    INTEGER_MAX,
    INTEGER_MIN,
    NO_RETRY,
    Definition,
    FailureStrategy,
    OnIsolation,
    Output,
    Parameter,
    ParameterType,
    Retry,
    Scalar,
    Task,
    Timeout,
    TimeoutStrategy,
)
from .durations import parse_duration
from .findings import Findings, Path
from .names import kind, quoted

DEFINITION_FIELDS = Definition.__struct_fields__
#: As they are written: a unit is the value's, not the name's.
TASK_FIELDS = tuple(name.removesuffix("_ms") for name in Task.__struct_fields__)
PARAMETER_FIELDS = Parameter.__struct_fields__
OUTPUT_FIELDS = Output.__struct_fields__
TEXTS = ("name", "type", "script", "file", "python", "run_as", "worker_group", "working_dir")
RETRY_FIELDS = ("times", "interval", "backoff", "jitter")
TIMEOUT_FIELDS = ("after", "strategy")
PARAMETER_TYPES: tuple[str, ...] = get_args(ParameterType)
FAILURE_STRATEGIES: tuple[str, ...] = get_args(FailureStrategy)
TIMEOUT_STRATEGIES: tuple[str, ...] = get_args(TimeoutStrategy)
ISOLATIONS: tuple[str, ...] = get_args(OnIsolation)
#: Fields of the design that a reader of it may try, and that this version has not.
NOT_YET = {
    "schedule": "cron, a timer or another program can start `stenella submit`",
    "call": "a python task takes its code from script, or from a file named by file",
    "task_group": "a worker_group with few slots bounds what runs at the same time",
}

#: A number without a unit, for the suggestion only.
_BARE_NUMBER = re.compile(r"\d{1,9}(\.\d{1,3})?")


class Reading:
    """The definition as far as it could be read, and where its tasks stand in the document."""

    def __init__(self, definition: Definition, task_positions: list[int]) -> None:
        self.definition = definition
        self.task_positions = task_positions


def read_definition(document: object, findings: Findings) -> Reading | None:
    """The best reading of ``document``; None if there is nothing to go by. Fills ``findings``."""
    return _Reader(findings).definition(document)


class _Reader:
    """One method per kind of value; each reports what is wrong and gives None or a stand-in."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def definition(self, document: object) -> Reading | None:
        if document is None or document in ({}, []):
            self.findings.add((), "empty", "there is no definition in it: it needs name and tasks")
            return None
        fields = self.mapping((), document, DEFINITION_FIELDS, ("name", "tasks"))
        if fields is None:
            return None
        tasks, positions = self.tasks(fields.get("tasks", ()))
        definition = Definition(
            name=self.text(("name",), fields["name"]) or "" if "name" in fields else "",
            tasks=tasks,
            description=self.text(("description",), fields.get("description", "")) or "",
            params=self.parameters(fields.get("params", {})),
            failure_strategy=self.failure_strategy(fields.get("failure_strategy", "continue")),
            # It is the sum of all its tasks: to end it is asked for in so many words.
            timeout=self.timeout(("timeout",), fields.get("timeout"), "warn"),
            priority=self.priority(("priority",), fields.get("priority", "medium")),
        )
        return Reading(definition, positions)

    def tasks(self, value: object) -> tuple[tuple[Task, ...], list[int]]:
        tasks: list[Task] = []
        positions: list[int] = []
        if not isinstance(value, list):
            if value != ():
                self.wrong(("tasks",), "a list of tasks", value)
            return (), []
        if not value:
            self.findings.add(("tasks",), "empty", "a workflow needs at least one task")
        for position, item in enumerate(value):
            task = self.task(("tasks", position), item)
            if task is not None:
                tasks.append(task)
                positions.append(position)
        return tuple(tasks), positions

    def task(self, path: Path, value: object) -> Task | None:
        fields = self.mapping(path, value, TASK_FIELDS, ("name",))
        if fields is None:
            return None
        given: dict[str, object] = {}
        for name, item in fields.items():
            here = (*path, name)
            match name:
                case "command":
                    read: object = self.command(here, item)
                case _ if name in TEXTS:
                    read = self.text(here, item)
                case "depends_on":
                    read = self.depends_on(here, item)
                case "params":
                    read = self.task_params(here, item)
                case "env":
                    read = self.env(here, item)
                case "outputs":
                    read = self.outputs(here, item)
                case "timeout":
                    read = self.timeout(here, item, "fail")
                case "priority":
                    read = self.priority(here, item)
                case "delay":
                    name, read = "delay_ms", self.duration_ms(here, item)
                case "on_isolation":
                    read = self.one_of(here, item, ISOLATIONS)
                case "lost_after":
                    name, read = "lost_after_ms", self.duration_ms(here, item)
                case _:
                    read = self.retry(here, item)
            if read is not None:
                given[name] = read
        given.setdefault("name", "")
        return Task(**given)  # type: ignore[arg-type]  # each read above gives its field's type

    def retry(self, path: Path, value: object) -> Retry | None:
        if isinstance(value, int) and not isinstance(value, bool):
            self.wrong(path, "a mapping", value, suggestion=f"{{times: {value}}}")
            return None
        fields = self.mapping(path, value, RETRY_FIELDS)
        if fields is None:
            return None
        times = self.integer((*path, "times"), fields.get("times", NO_RETRY.times))
        backoff = self.number((*path, "backoff"), fields.get("backoff", NO_RETRY.backoff))
        interval_ms: int | None = NO_RETRY.interval_ms
        if "interval" in fields:
            interval_ms = self.duration_ms((*path, "interval"), fields["interval"])
        jitter = self.number((*path, "jitter"), fields.get("jitter", NO_RETRY.jitter))
        if times is None or backoff is None or interval_ms is None or jitter is None:
            return None
        retry = Retry(times, interval_ms, float(backoff), float(jitter))
        return NO_RETRY if retry == NO_RETRY else retry

    def timeout(self, path: Path, value: object, strategy: TimeoutStrategy) -> Timeout | None:
        """``5m``, or the long form with a strategy; ``strategy`` is what the short form means."""
        if value is None:
            return None
        if not isinstance(value, dict):
            after_ms = self.duration_ms(path, value)
            return None if after_ms is None else Timeout(after_ms, strategy)
        fields = self.mapping(path, value, TIMEOUT_FIELDS, ("after",))
        if fields is None or "after" not in fields:
            return None
        after_ms = self.duration_ms((*path, "after"), fields["after"])
        word = self.one_of(
            (*path, "strategy"), fields.get("strategy", strategy), TIMEOUT_STRATEGIES
        )
        if after_ms is None or word is None:
            return None
        return Timeout(after_ms, word)  # type: ignore[arg-type]  # one of get_args(TimeoutStrategy)

    def priority(self, path: Path, value: object) -> Priority:
        name = self.one_of(path, value, PRIORITIES)
        return name or "medium"  # type: ignore[return-value]  # one of PRIORITIES

    def outputs(self, path: Path, value: object) -> tuple[Output, ...] | None:
        outputs = []
        for position, item in enumerate(self.list(path, value) or ()):
            here = (*path, position)
            if isinstance(item, str):
                outputs.append(Output(item))
                continue
            fields = self.mapping(here, item, OUTPUT_FIELDS, ("name",))
            name = self.text((*here, "name"), fields["name"]) if fields and "name" in fields else ""
            if fields and name:
                default = self.scalar((*here, "default"), fields.get("default"))
                outputs.append(Output(name, default))
        return tuple(outputs)

    def command(self, path: Path, value: object) -> tuple[str, ...] | None:
        if isinstance(value, str):
            suggestion = f"[{', '.join(value.split())}]"[:130]
            self.wrong(path, "a list of the program and its arguments", value, suggestion)
            return None
        words = self.list(path, value) or ()
        read = [self.text((*path, place), word) for place, word in enumerate(words)]
        return tuple(word or "" for word in read)

    def depends_on(self, path: Path, value: object) -> tuple[str, ...] | None:
        if isinstance(value, str):
            self.wrong(path, "a list of task names", value, suggestion=f"[{value}]"[:130])
            return None
        names = self.list(path, value) or ()
        for position, name in enumerate(names):
            if not isinstance(name, str):
                self.text((*path, position), name)
        return tuple(name if isinstance(name, str) else "" for name in names)

    def task_params(self, path: Path, value: object) -> dict[str, Scalar | None] | None:
        items = self.items(path, value)
        return {name: self.scalar((*path, name), item) for name, item in items.items()}

    def env(self, path: Path, value: object) -> dict[str, str] | None:
        env: dict[str, str] = {}
        for name, item in self.items(path, value).items():
            match item:
                case str():
                    env[name] = item
                case bool():
                    env[name] = str(item).lower()
                case int():
                    env[name] = str(item)
                case _:  # 1.10 would silently become 1.1
                    self.wrong((*path, name), "text", item, suggestion=_in_quotes(item))
                    env[name] = ""
        return env

    def parameters(self, value: object) -> dict[str, Parameter]:
        return {
            name: self.parameter(("params", name), item)
            for name, item in self.items(("params",), value).items()
        }

    def parameter(self, path: Path, value: object) -> Parameter:
        """One that could not be read becomes a stand-in, so that references to it still hold."""
        if value is None:
            self.wrong(path, "a value", value, suggestion="{type: string} if it is given at submit")
            return Parameter()
        if isinstance(value, str | int | float):
            type_ = parameter_type(value)
            return Parameter(type_, self.scalar(path, value))
        fields = self.mapping(path, value, PARAMETER_FIELDS)
        if fields is None:
            return Parameter()
        default = self.scalar((*path, "default"), fields.get("default"))
        return Parameter(
            type=self.parameter_type((*path, "type"), fields.get("type", "string")),
            default=default,
            min=self.number((*path, "min"), fields["min"]) if "min" in fields else None,
            max=self.number((*path, "max"), fields["max"]) if "max" in fields else None,
        )

    def parameter_type(self, path: Path, value: object) -> ParameterType:
        name = self.one_of(path, value, PARAMETER_TYPES)
        return name or "string"  # type: ignore[return-value]  # one of get_args(ParameterType)

    def failure_strategy(self, value: object) -> FailureStrategy:
        name = self.one_of(("failure_strategy",), value, FAILURE_STRATEGIES)
        return name or "continue"  # type: ignore[return-value]  # one of get_args(FailureStrategy)

    # --- scalars and containers ---------------------------------------------------------------

    def one_of(self, path: Path, value: object, words: tuple[str, ...]) -> str | None:
        if isinstance(value, str) and value in words:
            return value
        near = self.findings.nearest(value, words) if isinstance(value, str) else None
        self.wrong(path, " or ".join(words), value, suggestion=near)
        return None

    def text(self, path: Path, value: object) -> str | None:
        if isinstance(value, str):
            return value
        self.wrong(path, "text", value, suggestion=_in_quotes(value))
        return None

    def scalar(self, path: Path, value: object) -> Scalar | None:
        """Text, number, true or false, or nothing at all."""
        if isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
            self.refuse(path, "out_of_range", "an integer must fit into 64 bits")
        elif value is None or isinstance(value, str | int | float):
            return value
        else:
            self.wrong(path, "text, a number, true or false", value)
        return None

    def integer(self, path: Path, value: object) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.wrong(path, "a whole number", value)
        return None

    def number(self, path: Path, value: object) -> int | float | None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.wrong(path, "a number", value)
        elif isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
            self.refuse(path, "out_of_range", "a number must fit into 64 bits")
        else:
            return value
        return None

    def duration_ms(self, path: Path, value: object) -> int | None:
        message = "a duration is a number and a unit, as in 200ms 0.2s 5m 1h30m 2d"
        if isinstance(value, str):
            try:
                return parse_duration(value)
            except ValueError as error:
                message = str(error)
        text = value if isinstance(value, str) else quoted(value)
        suggestion = f"{text}s" if _BARE_NUMBER.fullmatch(text) else None
        rule = "out_of_range" if text.startswith("-") else "bad_duration"
        self.refuse(path, rule, f"{message}, not {quoted(value)}", suggestion)
        return None

    def list(self, path: Path, value: object) -> list[object] | None:
        if isinstance(value, list):
            return value
        self.wrong(path, "a list", value)
        return None

    def items(self, path: Path, value: object) -> Mapping[str, object]:
        """A mapping with free names."""
        if isinstance(value, dict):
            return value
        self.wrong(path, "a mapping", value)
        return {}

    def mapping(
        self, path: Path, value: object, known: Collection[str], required: tuple[str, ...] = ()
    ) -> dict[str, object] | None:
        """The known fields of a mapping; the others and the missing ones are reported."""
        if not isinstance(value, dict):
            self.wrong(path, f"a mapping with {', '.join(required or known)}", value)
            return None
        for name in value:
            if name not in known:
                self.unknown_field((*path, name), name, known)
        for name in required:
            if name not in value:
                self.findings.add(path, "missing_field", f"the field {name} is missing")
                self.findings.mark_unread((*path, name))
        return {name: item for name, item in value.items() if name in known}

    def unknown_field(self, path: Path, name: str, known: Collection[str]) -> None:
        if name in NOT_YET:
            message = f"the field {name} is not supported by this version of Stenella"
            self.findings.add(path, "unknown_field", f"{message}: {NOT_YET[name]}")
            self.findings.mark_unread(path)
        else:
            near = self.findings.nearest(name, known)
            message = f"there is no field {quoted(name)} here"
            if near is None:
                message += f"; known: {', '.join(known)}"
            self.findings.add(path, "unknown_field", message, near)

    def wrong(
        self, path: Path, expected: str, value: object, suggestion: str | None = None
    ) -> None:
        got = kind(value)
        if isinstance(value, str | int | float):
            got += f" ({quoted(value)})"
        self.refuse(path, "wrong_type", f"expected {expected}, not {got}", suggestion)

    def refuse(self, path: Path, rule: str, message: str, suggestion: str | None = None) -> None:
        """A value that is replaced by a stand-in, unless the loader has refused it already."""
        if not self.findings.is_unread(path):
            self.findings.add(path, rule, message, suggestion)
            self.findings.mark_unread(path)


def parameter_type(value: Scalar) -> ParameterType:
    """The type that a short-form parameter takes from its value."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


def _in_quotes(value: object) -> str | None:
    return f'"{quoted(value)}"' if isinstance(value, bool | int | float) else None
