"""``debug bundle``: all that a bug report needs in one file, and nothing that is nobody's business.

Each part is collected by itself: what cannot be had (no cluster, a damaged database) is told in its
place. Invariant: no script, parameter, environment, output, definition, key or log of a task is
read for it; dead letters lose their bodies.
"""

import io
import json
import os
import platform
import sqlite3
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from ..home import settings
from ..home.layout import Home
from ..protocol.errors import RefusedInState, StenellaError
from . import doctor
from .checks import Patient

#: The end of a node's log: a few hundred lines, the last of which tell what happened.
LOG_BYTES = 64 * 1024
#: Of live instances, newest first: some hundred tasks.
EVENTS = 500
LIBRARIES = ("click", "gevent", "msgspec", "peewee", "psutil", "pyzmq", "rich")

README = """\
A bundle of `stenella debug bundle` for a bug report.

It holds: versions, settings, what the cluster says of its nodes and actors, what `stenella doctor`
found, dead letters without their bodies, the ends of the nodes' logs, the tables of the database
with how many rows each has, and the last events of instances that have not ended.

It holds no scripts, parameters, outputs, environments, definitions, keys, and no task's log. Names
of workers, hosts, accounts and folders, and addresses are in it: look before you send it.
"""


def collected(home: Home, patient: Patient) -> Iterator[tuple[str, bytes]]:
    """The files of the bundle, one after another; each is made when it is its turn."""
    yield "README.txt", README.encode()
    parts: dict[str, Callable[[], Any]] = {
        "versions": versions,
        "settings": lambda: chosen(home),
        "status": lambda: patient.status or {"error": patient.unreachable or "no cluster is up"},
        "mailboxes": lambda: patient.mailboxes,
        "stuck": lambda: patient.stuck,
        "doctor": lambda: doctor.examine(patient),
        "dead-letters": lambda: [redacted(letter) for letter in patient.letters],
        "database": lambda: database(home),
    }
    for name, part in parts.items():
        yield f"{name}.json", json.dumps(_attempted(part), indent=1).encode()
    for path in sorted([*home.run.glob("*.log"), *home.workers.glob("*/worker.log")]):
        yield f"logs/{path.relative_to(home.root)}", _end_of(path)


def write(path: Path, files: Iterator[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """Write the archive, for its owner alone; what is in it. Raises `RefusedInState`."""
    written = []
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, data in files:
                entry = tarfile.TarInfo(f"stenella-bundle/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
                tar.addfile(entry, io.BytesIO(data))
                written.append({"name": name, "bytes": len(data)})
    except FileExistsError:
        raise RefusedInState(f"{path} is there already; name another file") from None
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror}; name a file in another folder"
        raise RefusedInState(text) from error
    return written


def versions() -> dict[str, Any]:
    """Ours, Python's, the system's and the libraries'."""
    return {
        "stenella": __version__,
        "python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "time": time.time(),
    }


def chosen(home: Home) -> dict[str, Any]:
    """Every setting and where it comes from; none of them is a secret."""
    loaded = settings.load(home)
    found = {}
    for key in settings.TYPES:
        section, name = key.split(".")
        value = msgspec.to_builtins(getattr(getattr(loaded, section), name))
        found[key] = {"value": value, "origin": loaded.origins[key]}
    return found


def redacted(letter: dict[str, Any]) -> dict[str, Any]:
    """A dead letter with the size of its body instead of it."""
    return letter | {"body": f"<{len(json.dumps(letter['body']))} characters>"}


def database(home: Home) -> dict[str, Any]:
    """Tables, numbers of rows, and what happened last to what has not ended."""
    from ..storage import inventory  # peewee: only for those who ask

    return inventory.read(home.database, EVENTS)


def _attempted(part: Callable[[], Any]) -> Any:
    """An error of the settings quotes their values, so it is told by its kind only."""
    try:
        return part()
    except StenellaError as error:
        places = [{"file": p.file, "line": p.line, "rule": p.rule} for p in error.problems]
        return {"error": error.code, "problems": places} if places else {"error": error.message}
    except (OSError, sqlite3.Error, metadata.PackageNotFoundError) as error:
        return {"error": str(error)}


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_BYTES))
            return file.read()
    except OSError as error:
        return f"{error.strerror}\n".encode()
