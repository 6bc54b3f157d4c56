"""CURVE keys of a home: made at first start, 0600, and the table of who may connect as what.

One file per key. The server's and the admin client's are in ``keys/``, each worker's is in its own
folder; so the files themselves are the table, and a key cannot exist without its role. The server's
key is in no table: nobody connects with it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from ..protocol.errors import NotAllowed, Usage
from .files import create
from .layout import Home, require_private

Role = Literal["master", "worker", "client"]

MASTER_NAME = "master"
CLIENT_NAME = "admin"
#: What to do about a damaged key.
MEND = "put back a copy, or remove it and restart the cluster to get a new one"


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as it is stored; both halves are 40 characters of z85."""

    role: Role
    name: str
    public: str
    secret: str


@dataclass(frozen=True)
class KeyPair:
    """A key as sockets take it, with the role and name that its holder has here."""

    role: Role
    name: str
    public: bytes
    secret: bytes = field(repr=False)


def server_keys(home: Home) -> KeyPair:
    """The key of the cluster's servers; made if absent. Raises as `worker_keys`."""
    return _read_or_make(home.keys / "server", "master", MASTER_NAME)


def client_keys(home: Home) -> KeyPair:
    """The key of the home's own clients; made if absent. Raises as `worker_keys`."""
    return _read_or_make(home.keys / "client", "client", CLIENT_NAME)


def worker_keys(home: Home, number: int) -> KeyPair:
    """The key of local worker ``number``; made if absent, and its folders with it.

    Raises `NotAllowed` if others can read it, `Usage` if it is damaged or libzmq has no CURVE.
    """
    worker = home.worker(number)
    worker.create()
    return _read_or_make(worker.key, "worker", worker.name)


def authorised(home: Home) -> dict[bytes, tuple[Role, str]]:
    """Public key (40 characters of z85) → role and name of everybody who may connect to a master.

    Reads the files at each call: a worker that is added later is found by asking again.
    Raises as `worker_keys`.
    """
    paths = [home.keys / "client", *sorted(home.workers.glob("*/key"))]
    pairs = [_read(path) for path in paths if path.exists()]
    return {pair.public: (pair.role, pair.name) for pair in pairs}


def _read_or_make(path: Path, role: Role, name: str) -> KeyPair:
    if not path.exists():
        _require_curve()
        public, secret = zmq.curve_keypair()
        made = KeyFile(role=role, name=name, public=public.decode(), secret=secret.decode())
        create(path, msgspec.json.encode(made) + b"\n")  # of two starts at once both read one key
    return _read(path)


def _read(path: Path) -> KeyPair:
    require_private(path.parent)
    require_private(path)
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=KeyFile)
        public, secret = stored.public.encode("ascii"), stored.secret.encode("ascii")
        sound = _public_half(secret) == public
    except PermissionError as error:
        raise NotAllowed(
            f"the key {path} is not ours to read: chown it, or use a home of your own"
        ) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise Usage(f"the key {path} is damaged ({error}): {MEND}") from error
    if not sound:
        raise Usage(f"the key {path} is damaged (its halves do not belong together): {MEND}")
    return KeyPair(stored.role, stored.name, public, secret)


def _public_half(secret: bytes) -> bytes:
    """Raises ValueError for what is no secret key."""
    _require_curve()
    try:
        return zmq.curve_public(secret)
    except zmq.ZMQError as error:
        raise ValueError("no CURVE key") from error


def _require_curve() -> None:
    if not zmq.has("curve"):
        raise Usage(
            "this libzmq was built without CURVE, and Stenella has no unencrypted mode: "
            "install pyzmq from its wheel (pip install --force-reinstall pyzmq)"
        )
