"""Settings: packaged ``conf.toml``, then the home's, then the environment; later wins.

The packaged file is where defaults and their reasons stand; here are the types and limits. Nothing
unknown is passed over: a misspelt key is refused with the nearest name.
"""

import difflib
import importlib.resources
import os
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from ..protocol.errors import NotAllowed, Usage
from .layout import Home

VARIABLE_PREFIX = "STENELLA_"
#: Between section and key in a variable; other STENELLA_ variables (STENELLA_HOME) have none.
VARIABLE_SEPARATOR = "__"
PACKAGED = "packaged conf.toml"
HINT = "its comment in the packaged conf.toml says what it may be"

Endpoint = Annotated[
    str, msgspec.Meta(pattern=r"^tcp://[^\s:/]+:\d{1,5}$|^tcp://\[[^\s/]+\]:\d{1,5}$")
]
GroupName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$")]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a section; no field has a default, the packaged file gives them all."""


class ClusterSettings(Section, frozen=True):
    """What all nodes must agree on."""

    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.05, le=60)]


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

    def slot_count(self) -> int:
        """The slots to offer: as set, else the number of cores."""
        return self.slots or os.cpu_count() or 1


class TaskSettings(Section, frozen=True):
    """What holds for a task that does not say otherwise."""

    kill_grace_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)]


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

    Raises `Usage` for an unknown key or a bad value, naming file or variable and key;
    `NotAllowed` if the home's file cannot be read.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, key, value in _layers(home, environ):
        values[key] = _convert(origin, key, value)
        origins[key] = origin
    sections: dict[str, Any] = {
        section: struct(**{name: values[f"{section}.{name}"] for name in struct.__struct_fields__})
        for section, struct in SECTIONS.items()
    }
    return Settings(origins=origins, **sections)


def _layers(home: Home | None, environ: Mapping[str, str]) -> Iterable[tuple[str, str, Any]]:
    """(origin, key, value) from the weakest to the strongest."""
    packaged = importlib.resources.files("stenella").joinpath("conf.toml").read_bytes()
    yield from _from_toml(PACKAGED, packaged)
    if home is not None:
        try:
            own = home.conf.read_bytes()
        except FileNotFoundError:
            own = b""
        except OSError as error:
            raise NotAllowed(
                f"{home.conf} cannot be read: {error.strerror}: chmod 600 it"
            ) from error
        yield from _from_toml(str(home.conf), own)
    yield from _from_variables(environ)


def _from_toml(origin: str, data: bytes) -> Iterable[tuple[str, str, Any]]:
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{origin} is not TOML: {error}") from error
    for section, table in document.items():
        if section not in SECTIONS:
            raise Usage(f"{origin}: unknown section [{section}]{_nearest(section, SECTIONS)}")
        if not isinstance(table, dict):
            raise Usage(f"{origin}: {section} is a section: write [{section}] and its keys below")
        for name, value in table.items():
            key = f"{section}.{name}"
            if key not in TYPES:
                raise Usage(f"{origin}: unknown key {key}{_nearest(key, TYPES)}")
            yield origin, key, value


def _from_variables(environ: Mapping[str, str]) -> Iterable[tuple[str, str, Any]]:
    variables = {_variable(key): key for key in TYPES}
    for name in sorted(environ):
        if not name.startswith(VARIABLE_PREFIX) or VARIABLE_SEPARATOR not in name:
            continue
        if name not in variables:
            raise Usage(f"environment: unknown setting {name}{_nearest(name, variables)}")
        key, text = variables[name], environ[name]
        yield name, key, text.split(",") if key == "worker.groups" else text


def _variable(key: str) -> str:
    return VARIABLE_PREFIX + key.replace(".", VARIABLE_SEPARATOR).upper()


def _convert(origin: str, key: str, value: Any) -> Any:
    """A variable's text may stand for a number; in a file a number is written as one."""
    from_variable = origin.startswith(VARIABLE_PREFIX)
    try:
        return msgspec.convert(value, TYPES[key], strict=not from_variable)
    except msgspec.ValidationError as error:
        raise Usage(f"{origin}: {key} = {value!r}: {error}; {HINT}") from error


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
