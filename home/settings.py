"""Settings: packaged ``conf.toml``, then the home's, then the environment; later wins.

The packaged file is where defaults and their reasons stand; here are the types and limits. Nothing
unknown is passed over: a misspelt key is refused with the nearest name.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ..protocol.errors import NotAllowed, Problem, Usage
from .layout import Home

VARIABLE_PREFIX = "STENELLA_"
#: Between section and key in a variable; other STENELLA_ variables (STENELLA_HOME) have none.
VARIABLE_SEPARATOR = "__"
PACKAGED = "packaged conf.toml"
CONF = Path(__file__).parent.parent / "conf.toml"
#: In a variable their values stand with commas.
LISTS = ("worker.groups", "worker.run_as_allowed")
HINT = "its comment in the packaged conf.toml says what it may be"
SHOWN_MAX = 3  # problems in the one-line form of the error; all of them stand below it
_SECTION = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_AT = re.compile(r"\(at line (\d+), column (\d+)\)")

Endpoint = Annotated[
    str, msgspec.Meta(pattern=r"^tcp://[^\s:/]+:\d{1,5}$|^tcp://\[[^\s/]+\]:\d{1,5}$")
]
AccountName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$")]
GroupName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$")]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a section; no field has a default, the packaged file gives them all."""


class ClusterSettings(Section, frozen=True):
    """What all nodes must agree on."""

    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.05, le=60)]
    lease_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)]
    fence_grace_s: Annotated[float, msgspec.Meta(ge=0.2, le=3_600)]


class NodeSettings(Section, frozen=True):
    """Bounds of every node, master or worker."""

    turn_messages: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    mailbox_max: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)]
    ahead_bytes: Annotated[int, msgspec.Meta(ge=65_536)]
    peer_frames_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class MasterSettings(Section, frozen=True):
    """What a master reads at its start."""

    client_endpoint: Endpoint
    worker_endpoint: Endpoint


class WorkerSettings(Section, frozen=True):
    """What a worker reads at its start."""

    slots: Annotated[int, msgspec.Meta(ge=0, le=10_000)]  # 0: one per core
    groups: Annotated[tuple[GroupName, ...], msgspec.Meta(min_length=1)]
    journal_sync: Literal["normal", "full"]
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=604_800)]
    processes_max: Annotated[int, msgspec.Meta(ge=0, le=4_194_304)]  # 0: as many as it likes
    disk_free_min_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    log_bytes_max: Annotated[int, msgspec.Meta(ge=65_536, le=2**62)]
    run_as_allowed: tuple[AccountName, ...]

    def slot_count(self) -> int:
        """The slots to offer: as set, else the number of cores."""
        return self.slots or os.cpu_count() or 1


class TaskSettings(Section, frozen=True):
    """What holds for a task that does not say otherwise."""

    kill_grace_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)]
    failover_max: Annotated[int, msgspec.Meta(ge=0, le=1_000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, each decoded and within its limits."""

    cluster: ClusterSettings
    node: NodeSettings
    master: MasterSettings
    worker: WorkerSettings
    task: TaskSettings
    origins: dict[str, str]  # "worker.slots" → file or variable that its value comes from


SECTIONS: dict[str, type[Section]] = {
    "cluster": ClusterSettings,
    "node": NodeSettings,
    "master": MasterSettings,
    "worker": WorkerSettings,
    "task": TaskSettings,
}
TYPES: dict[str, Any] = {
    f"{section}.{field.name}": field.type
    for section, struct in SECTIONS.items()
    for field in msgspec.structs.fields(struct)
}


def load(home: Home | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that hold in ``home`` (None: no home's file is read).

    Raises `Usage` with all unknown keys and bad values, each naming file or variable and key;
    `NotAllowed` if the home's file cannot be read.
    """
    reader = _Reader()
    reader.toml(PACKAGED, CONF.read_bytes())
    if home is not None:
        reader.toml(str(home.conf), _own(home))
    reader.variables(environ)
    if reader.problems:
        raise reader.refusal()
    values = reader.values
    _judge_lease(values, reader.origins)
    sections: dict[str, Any] = {
        section: struct(**{name: values[f"{section}.{name}"] for name in struct.__struct_fields__})
        for section, struct in SECTIONS.items()
    }
    return Settings(origins=reader.origins, **sections)


def _judge_lease(values: dict[str, Any], origins: dict[str, str]) -> None:
    """A lease that one lost heartbeat ends would kill what is in no danger."""
    lease_s, beat_s = values["cluster.lease_s"], values["cluster.heartbeat_s"]
    if lease_s < 3 * beat_s:
        raise Usage(
            f"{origins['cluster.lease_s']}: cluster.lease_s = {lease_s:g} is shorter than three "
            f"heartbeats (cluster.heartbeat_s = {beat_s:g}): a lease must outlast lost ones; {HINT}"
        )


def _own(home: Home) -> bytes:
    try:
        return home.conf.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise NotAllowed(f"{home.conf} cannot be read: {error.strerror}: chmod 600 it") from error


class _Reader:
    """Takes layers from the weakest to the strongest; keeps what is wrong until all are read."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}

    def refusal(self) -> Usage:
        """The error that carries all problems."""
        said = [f"{problem.file}: {problem.message}" for problem in self.problems[:SHOWN_MAX]]
        error = Usage("; ".join(said), tuple(self.problems))
        error.sources = self.sources
        return error

    def toml(self, origin: str, data: bytes) -> None:
        """A file's sections and keys."""
        try:
            text = data.decode("utf-8")
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            at = _AT.search(str(error))
            place = (int(at[1]), int(at[2])) if at else None
            self.sources[origin] = data.decode("utf-8", errors="replace")
            self.add(origin, "syntax", f"it is not TOML: {error}", place)
            return
        self.sources[origin] = text
        for section, table in document.items():
            place = _place_of(text, section, None)
            if section not in SECTIONS:
                message = f"unknown section [{section}]{_nearest(section, SECTIONS)}"
                self.add(origin, "unknown_field", message, place)
            elif not isinstance(table, dict):
                message = f"{section} is a section: write [{section}] and its keys below"
                self.add(origin, "wrong_type", message, place)
            else:
                for name, value in table.items():
                    place = _place_of(text, section, name)
                    self.value(origin, f"{section}.{name}", value, place)

    def value(self, origin: str, key: str, value: Any, place: tuple[int, int] | None) -> None:
        """A key and what it is set to."""
        if key not in TYPES:
            message = f"unknown key {key}{_nearest(key, TYPES)}"
            self.add(origin, "unknown_field", message, place)
            return
        # A variable's text may stand for a number; in a file a number is written as one.
        from_variable = origin.startswith(VARIABLE_PREFIX)
        try:
            self.values[key] = msgspec.convert(value, TYPES[key], strict=not from_variable)
            self.origins[key] = origin
        except msgspec.ValidationError as error:
            self.add(origin, "wrong_type", f"{key} = {value!r}: {error}; {HINT}", place)

    def variables(self, environ: Mapping[str, str]) -> None:
        """The STENELLA_<SECTION>__<KEY> of an environment."""
        variables = {_variable(key): key for key in TYPES}
        for name in sorted(environ):
            if not name.startswith(VARIABLE_PREFIX) or VARIABLE_SEPARATOR not in name:
                continue
            if name not in variables:
                message = f"unknown setting {name}{_nearest(name, variables)}"
                self.add("environment", "unknown_field", message, None)
                continue
            key, text = variables[name], environ[name]
            value = [word for word in text.split(",") if word] if key in LISTS else text
            self.value(name, key, value, None)

    def add(self, origin: str, rule: str, message: str, place: tuple[int, int] | None) -> None:
        line, column = place or (None, None)
        self.problems.append(
            Problem(rule=rule, message=message, file=origin, line=line, column=column)
        )


def _place_of(text: str, section: str, name: str | None) -> tuple[int, int] | None:
    """Line and column of a section or of a key in it, where it is written plainly."""
    found: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _SECTION.match(line):
            found = match[1]
            if name is None and found == section:
                return number, match.start(1) + 1
        key, equals, _value = line.partition("=")
        wanted = (section, name) if name is not None else (None, section)
        if equals and (found, key.strip()) == wanted:
            return number, len(line) - len(line.lstrip()) + 1
    return None


def _variable(key: str) -> str:
    return VARIABLE_PREFIX + key.replace(".", VARIABLE_SEPARATOR).upper()


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
