"""Script files: any program text whose ``#STENELLA`` lines hold the options of ``submit FILE``.

A script becomes a workflow of one shell task, its text unchanged; it is never executed here.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import msgspec

from ..protocol.errors import Usage
from ..workflow.findings import Findings, Path, Place
from ..workflow.names import quoted

MARK = "#STENELLA"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


class ScriptOption(NamedTuple):
    """One option, for a script's lines and for the command line alike; its value is text."""

    flags: tuple[str, ...]
    field: str  # of `ScriptOptions`
    metavar: str
    multiple: bool
    help: str


SCRIPT_OPTIONS = (
    ScriptOption(("--name",), "name", "NAME", False, "Name of the workflow; else the file's."),
    ScriptOption(("--param", "-p"), "param", "K=V", True, "A parameter; may be repeated."),
    ScriptOption(("--env",), "env", "K=V", True, "An environment variable; may be repeated."),
    ScriptOption(("--retry",), "retry", "N", False, "How often a failure is tried again."),
    ScriptOption(("--retry-interval",), "retry_interval", "D", False, "Wait before that: 10s."),
    ScriptOption(("--retry-backoff",), "retry_backoff", "X", False, "Factor on each next wait."),
    ScriptOption(("--timeout",), "timeout", "D", False, "How long one try may run: 5m."),
    ScriptOption(
        ("--timeout-strategy",), "timeout_strategy", "S", False, "fail (else), warn, warn_fail."
    ),
    ScriptOption(("--delay",), "delay", "D", False, "Wait before the first try: 30s."),
    ScriptOption(("--priority",), "priority", "P", False, "highest, high, medium, low, lowest."),
    ScriptOption(("--worker-group",), "worker_group", "G", False, "The workers that may run it."),
    ScriptOption(("--output",), "output", "NAME", True, "An output it hands on; repeatable."),
    ScriptOption(("--chdir",), "chdir", "DIR", False, "Working folder; else that of submission."),
    ScriptOption(("--run-as",), "run_as", "U", False, "Account that it runs as, if allowed."),
)
#: Options of the design that this version has not.
NOT_YET = frozenset(("--task-group",))
_BY_FLAG = {flag: option for option in SCRIPT_OPTIONS for flag in option.flags}


class ScriptOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Values of `SCRIPT_OPTIONS` as they were typed."""

    name: str | None = None
    param: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    retry: str | None = None
    retry_interval: str | None = None
    retry_backoff: str | None = None
    timeout: str | None = None
    timeout_strategy: str | None = None
    delay: str | None = None
    priority: str | None = None
    worker_group: str | None = None
    output: tuple[str, ...] = ()
    chdir: str | None = None
    run_as: str | None = None


def pairs(values: Iterable[str], flag: str = "--param") -> dict[str, str]:
    """``K=V`` words of the command line; of a double name the last counts. Raises Usage."""
    found: dict[str, str] = {}
    for word in values:
        name, equals, value = word.partition("=")
        if not equals:
            raise Usage(f"{flag} takes NAME=VALUE, not {quoted(word)}")
        found[name] = value
    return found


def is_script(text: str) -> bool:
    """Whether ``text`` begins with a shebang or has a ``#STENELLA`` line before any command."""
    return text.startswith("#!") or any(True for _ in _marked_lines(text))


def read_script(
    text: str, source: str, options: ScriptOptions, submit_dir: str | None, findings: Findings
) -> object:
    """The plain document of a workflow that runs ``text``; ``options`` win over its own lines.

    ``source``: the file's name, from which the task's is made. Problems go to ``findings``, which
    learns in which line an option stands.
    """
    reader = _Lines(findings)
    for line_number, line in _marked_lines(text):
        reader.read(line_number, line)
    reader.take(options)
    return reader.document(PurePath(source).stem, {"script": text}, submit_dir)


def read_command(
    command: Sequence[str], options: ScriptOptions, submit_dir: str | None, findings: Findings
) -> object:
    """The plain document of a workflow that runs ``command``: a program and its arguments."""
    reader = _Lines(findings)
    reader.take(options)
    return reader.document(PurePath(command[0]).name, {"command": list(command)}, submit_dir)


def _marked_lines(text: str) -> Iterable[tuple[int, str]]:
    """Number and text of the ``#STENELLA`` lines up to the first command."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            return
        if line == MARK or line.startswith((MARK + " ", MARK + "\t")):
            yield number, line


class _Lines:
    """Turns options into fields of the document and remembers where each was given."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        findings.locate = self.locate
        self.workflow: dict[str, object] = {}
        self.params: dict[str, object] = {}
        self.task: dict[str, object] = {}
        self.env: dict[str, str] = {}
        self.retry: dict[str, object] = {}
        self.timeout: dict[str, object] = {}
        self.outputs: list[str] = []
        self.places: dict[Path, Place] = {}

    def document(self, name: str, source: dict[str, object], submit_dir: str | None) -> object:
        """A workflow of one task that runs ``source`` in the folder of submission."""
        stem = _NOT_IN_A_NAME.sub("-", name).strip("-.")[:128] or "script"
        task: dict[str, object] = {"name": stem, "type": "shell", **source, **self.task}
        if submit_dir is not None:
            task["working_dir"] = str(PurePath(submit_dir, str(task.get("working_dir", ""))))
        return {"name": stem, **self.workflow, "tasks": [task]}

    def locate(self, path: Path) -> Place | None:
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path)

    def read(self, line_number: int, line: str) -> None:
        """One ``#STENELLA`` line."""
        try:
            words = shlex.split(line.removeprefix(MARK))
        except ValueError as error:
            at = (line_number, 1)
            self.findings.add((), "syntax", f"{str(error).lower()} in this line", at=at)
            return
        while words:
            word = words.pop(0)
            flag, equals, value = word.partition("=")
            at = (line_number, max(line.find(flag), 0) + 1)
            option = _BY_FLAG.get(flag)
            if option is None:
                self.unknown(flag, at)
                if not equals and words and not words[0].startswith("-"):
                    words.pop(0)  # its value
            elif equals or words:
                self.set(option, value if equals else words.pop(0), at)
            else:
                message = f"the option {flag} needs a value: {option.metavar}"
                self.findings.add((), "missing_field", message, at=at)

    def unknown(self, flag: str, at: Place) -> None:
        if flag in NOT_YET:
            message = f"the option {flag} is not supported by this version of Stenella"
            self.findings.add((), "unknown_field", message, at=at)
        else:
            message = f"there is no option {quoted(flag)} in a script"
            near = self.findings.nearest(flag, _BY_FLAG)
            self.findings.add((), "unknown_field", message, near, at=at)

    def take(self, options: ScriptOptions) -> None:
        """Options of the command line, over what the lines said."""
        for option in SCRIPT_OPTIONS:
            given = getattr(options, option.field)
            for value in given if option.multiple else (given,):
                if value is not None:
                    self.set(option, value, None)

    def set(self, option: ScriptOption, value: str, at: Place | None) -> None:
        path, task = (), ("tasks", 0)  # type: tuple[Path, Path]
        match option.field:
            case "name" | "priority":
                path, self.workflow[option.field] = (option.field,), value
            case "param" | "env":
                path = self.set_pair(option, value, at)
            case "retry":
                path = self.set_retry("times", int(value) if _INTEGER.fullmatch(value) else value)
            case "retry_interval":
                path = self.set_retry("interval", value)
            case "retry_backoff":
                number = float(value) if _NUMBER.fullmatch(value) else value
                path = self.set_retry("backoff", number)
            case "timeout" | "timeout_strategy":
                field = "after" if option.field == "timeout" else "strategy"
                self.timeout[field], self.task["timeout"] = value, self.timeout
                path = (*task, "timeout", field)
                if at is not None:  # what is wrong with both together stands at the first
                    self.places.setdefault((*task, "timeout"), at)
            case "output":
                if value not in self.outputs:
                    self.outputs.append(value)
                path = (*task, "outputs", self.outputs.index(value))
                self.task["outputs"] = self.outputs
            case _:
                field = "working_dir" if option.field == "chdir" else option.field
                path, self.task[field] = (*task, field), value
        if at is None:
            self.places.pop(path, None)
        else:
            self.places[path] = at

    def set_retry(self, field: str, value: object) -> Path:
        self.retry[field] = value
        self.task["retry"] = self.retry
        return ("tasks", 0, "retry", field)

    def set_pair(self, option: ScriptOption, word: str, at: Place | None) -> Path:
        name, equals, value = word.partition("=")
        if not equals:
            message = f"{option.flags[0]} takes NAME=VALUE, not {quoted(word)}"
            self.findings.add((), "wrong_type", message, at=at)
            return ()
        if option.field == "env":
            self.env[name] = value
            self.task["env"] = self.env
            return ("tasks", 0, "env", name)
        if at is not None:
            self.params[name] = value
        else:  # a value of the command line is given at submit; here only its name is declared
            self.params.setdefault(name, {"type": "string"})
        self.workflow["params"] = self.params
        return ("params", name)
