"""CURVE keys of a home: made at first start, 0600; and a key that another home has issued to us.

One file per key. The server's and the admin client's are in ``keys/``, each worker's is in its own
folder. A key of another cluster says so: it holds that master's public key, and a worker's folder
remembers the master's address with it. Who may connect to a master: ``keyring.py``.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from ..protocol.errors import NotAllowed, NotFound, RefusedInState, Usage
from .files import create, replace
from .layout import Home, require_private

Role = Literal["master", "worker", "client", "observer"]

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
    server: str = ""  # public key of the master that issued it; empty: this home's own
    cluster: str = ""  # of that master
    address: str = ""  # of its door for this role, tcp://HOST:PORT, as it was last known


@dataclass(frozen=True)
class KeyPair:
    """A key as sockets take it, with the role and name that its holder has here."""

    role: Role
    name: str
    public: bytes
    secret: bytes = field(repr=False)
    server: bytes = b""
    cluster: str = ""
    address: str = ""

    @property
    def is_issued(self) -> bool:
        """Whether another home's master issued it."""
        return bool(self.server)


def server_keys(home: Home) -> KeyPair:
    """The key of the cluster's servers; made if absent. Raises as `worker_keys`."""
    return _read_or_make(home.keys / "server", "master", MASTER_NAME)


def client_keys(home: Home) -> KeyPair:
    """The key of the home's own clients; made if absent. Raises as `worker_keys`."""
    return _read_or_make(home.keys / "client", "client", CLIENT_NAME)


def worker_keys(home: Home, number: int) -> KeyPair:
    """The key of worker ``number``, its own or issued; made if absent, and its folders with it.

    Raises `NotAllowed` if others can read it, `Usage` if it is damaged or libzmq has no CURVE.
    """
    worker = home.worker(number)
    worker.create()
    return _read_or_make(worker.key, "worker", worker.name)


def issued_key(path: Path) -> KeyPair:
    """A key that `key new` of another home has made. Raises `NotFound`, else as `worker_keys`."""
    try:
        pair = _read(path, in_home=False)
    except FileNotFoundError:
        raise NotFound(f"there is no key file {path}; `stenella key new` makes one") from None
    if not pair.is_issued:
        raise Usage(
            f"{path} is a home's own key and not meant for elsewhere: make one with "
            "`stenella key new` where the master is"
        )
    return pair


def join(home: Home, number: int, path: Path, address: str | None) -> None:
    """Let worker ``number`` of this home be the holder of an issued key, of the master there.

    ``address``: None is the one in the key.
    Raises `NotAllowed` for a key of another role, `RefusedInState` if the folder is another's.
    """
    pair, worker = issued_key(path), home.worker(number)
    if pair.role != "worker":
        raise NotAllowed(
            f"{path} is the key of {'an' if pair.role == 'observer' else 'a'} {pair.role}, and a "
            "worker needs one of its own: `stenella key new worker` where the master is"
        )
    worker.create()
    if worker.key.exists() and (there := _read(worker.key)).public != pair.public:
        raise RefusedInState(
            f"{worker.folder} belongs to {there.name}, and the key is of {pair.name}: choose "
            "another --number"
        )
    stored = KeyFile(
        role=pair.role,
        name=pair.name,
        public=pair.public.decode(),
        secret=pair.secret.decode(),
        server=pair.server.decode(),
        cluster=pair.cluster,
        address=address or pair.address,
    )
    replace(worker.key, msgspec.json.encode(stored) + b"\n")


def new_pair(role: Role, name: str, **where: str) -> KeyFile:
    """A key that nobody has yet."""
    _require_curve()
    public, secret = zmq.curve_keypair()
    return KeyFile(role=role, name=name, public=public.decode(), secret=secret.decode(), **where)


def read(path: Path) -> KeyPair:
    """A key of this home. Raises FileNotFoundError, else as `worker_keys`."""
    return _read(path)


def _read_or_make(path: Path, role: Role, name: str) -> KeyPair:
    if not path.exists():
        made = new_pair(role, name)
        create(path, msgspec.json.encode(made) + b"\n")  # of two starts at once both read one key
    return _read(path)


def _read(path: Path, *, in_home: bool = True) -> KeyPair:
    if in_home:
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
    server = stored.server.encode("ascii", "replace")
    return KeyPair(stored.role, stored.name, public, secret, server, stored.cluster, stored.address)


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
