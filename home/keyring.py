"""Who may connect to the master of a home: a table made of files, so that it needs no cluster.

The home's own keys are those of its admin client and of its workers' folders. Every key that was
issued for elsewhere has a record in ``keys/issued``: its public half, role and name, and when it
was revoked. The server's own key is in no table: nobody connects with it.
"""

import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from ..protocol.errors import NotFound, RefusedInState, StenellaError, Usage
from . import keys
from .files import PRIVATE_FOLDER_MODE, create, replace
from .keys import KeyFile, Role
from .layout import Home

#: What `key new` makes.
ISSUED_ROLES: tuple[Role, ...] = ("worker", "client", "observer")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
#: Names of a home's own.
OWN_NAMES = re.compile(r"master|admin|worker-[0-9]+", re.ASCII)
#: A folder's time is this old before it alone is trusted: file systems count in 10 ms, some in 2 s.
YOUNG_NS = 3_000_000_000


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a key that was issued; the secret half is with its holder only."""

    role: Role
    name: str
    public: str
    issued_at: float  # epoch seconds
    revoked_at: float | None = None


class Holder(msgspec.Struct, frozen=True):
    """Who a key belongs to."""

    role: Role
    name: str
    public: bytes

    @property
    def user_id(self) -> str:
        """What the links hand on with each frame of the connection."""
        return f"{self.role}:{self.name}:{self.public.decode()}"


def authorised(home: Home) -> dict[bytes, Holder]:
    """Public key (40 characters of z85) → everybody who may connect to a master of ``home``.

    Reads the files at each call. A key file that is damaged or open to others lets nobody in.
    """
    table: dict[bytes, Holder] = {}
    for path in (home.keys / "client", *sorted(home.workers.glob("*/key"))):
        try:
            pair = keys.read(path)
        except (FileNotFoundError, StenellaError):
            continue  # its owner is told when it starts
        if not pair.is_issued:  # else it is of another cluster
            table[pair.public] = Holder(pair.role, pair.name, pair.public)
    for record in issued(home):
        if record.revoked_at is None:
            public = record.public.encode()
            table[public] = Holder(record.role, record.name, public)
    return table


def signature(home: Home) -> tuple[tuple[str, int], ...]:
    """Differs whenever `authorised` may.

    A record comes and changes by a new name in its folder (`files.create`, `files.replace`), whose
    time tells. Only while that is young each record is looked at, of 1,000 in 4 ms: two changes
    within one tick of the file system's clock leave one time.
    """
    found = []
    for path in (home.keys / "client", home.workers, *home.workers.glob("*/key")):
        with suppress(FileNotFoundError):
            found.append((str(path), path.stat().st_mtime_ns))
    with suppress(FileNotFoundError):
        folder = home.keys / "issued"
        changed_ns = folder.stat().st_mtime_ns
        found.append((str(folder), changed_ns))
        if abs(time.time_ns() - changed_ns) < YOUNG_NS:
            found += _records(folder)
    return tuple(sorted(found))


def _records(folder: Path) -> list[tuple[str, int]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns))
    return found


def issue(
    home: Home, role: Role, name: str | None, *, cluster: str, address: str, now_s: float
) -> KeyFile:
    """Make a key for elsewhere and record its public half. ``address``: of the door it is for.

    Raises `Usage` for a name that cannot be one, `RefusedInState` for one that is or was taken.
    """
    chosen = name or f"{role}-k{secrets.token_hex(3)}"  # never like one of our own
    if not NAME.fullmatch(chosen):
        raise Usage(
            f"{chosen!r} is no name: a letter or digit, then letters, digits and . _ - (64)"
        )
    if OWN_NAMES.fullmatch(chosen) or _path(home, chosen).exists():
        raise RefusedInState(f"the name {chosen} is or was taken: choose another one")
    server = keys.server_keys(home).public.decode()
    made = keys.new_pair(role, chosen, server=server, cluster=cluster, address=address)
    record = Issued(role=role, name=chosen, public=made.public, issued_at=now_s)
    folder = _path(home, chosen).parent
    folder.mkdir(mode=PRIVATE_FOLDER_MODE, exist_ok=True)
    if not create(_path(home, chosen), msgspec.json.encode(record) + b"\n"):
        raise RefusedInState(f"the name {chosen} is or was taken: choose another one")
    return made


def issued(home: Home) -> list[Issued]:
    """All records, revoked ones among them, by name; one that cannot be read lets nobody in."""
    found = []
    for path in sorted(home.keys.glob("issued/*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Issued))
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def revoke(home: Home, name: str, now_s: float) -> Issued:
    """Let the key be good no more; who is connected with it is cut off within a second or two.

    Raises `NotFound`, and `RefusedInState` for a home's own key.
    """
    if OWN_NAMES.fullmatch(name):
        raise RefusedInState(
            f"{name} is a key of this home itself: to change it, end what uses it and remove its "
            f"file below {home.root}; the next start makes a new one"
        )
    record = next((r for r in issued(home) if r.name == name), None)
    if record is None:
        raise NotFound(f"no key {name!r} was issued here; `stenella key ls` shows those there are")
    if record.revoked_at is None:
        record = msgspec.structs.replace(record, revoked_at=now_s)
        replace(_path(home, name), msgspec.json.encode(record) + b"\n")
    return record


def _path(home: Home, name: str) -> Path:
    return home.keys / "issued" / f"{name}.json"
