"""Where the master of a home listens: written by it, read by workers and clients of the home.

The file says where a master *was* ready; whether it still is, the link or its lock tells. Readers
read again whenever their link is down.
"""

import msgspec

from .files import replace
from .layout import Home


class MasterEndpoints(msgspec.Struct, frozen=True):
    """A master that is ready."""

    id: int  # of its row in the database
    pid: int
    client: str  # tcp://host:port
    worker: str  # tcp://host:port
    server_key: str  # its public key, 40 characters of z85
    cluster: str  # hex, stands in every frame


class EndpointsFile(msgspec.Struct, frozen=True):
    """``run/endpoints.json``. Unknown fields are skipped, so that a newer master can be met."""

    master: MasterEndpoints


class Ports(msgspec.Struct, frozen=True):
    """``run/ports.json``: what was bound last, to be taken again if free."""

    client: str
    worker: str


def read(home: Home) -> MasterEndpoints | None:
    """The master's endpoints; None if none is there, or if the file is damaged: that is mended
    by the master's next start.
    """
    try:
        return msgspec.json.decode(home.endpoints_file.read_bytes(), type=EndpointsFile).master
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write(home: Home, master: MasterEndpoints) -> None:
    """Publish the endpoints and remember their ports; the caller holds the master's lock."""
    ports = Ports(client=master.client, worker=master.worker)
    replace(home.ports_file, msgspec.json.encode(ports) + b"\n")
    replace(home.endpoints_file, msgspec.json.encode(EndpointsFile(master)) + b"\n")


def remove(home: Home) -> None:
    """Take the endpoints away before leaving; their ports stay remembered."""
    home.endpoints_file.unlink(missing_ok=True)


def remembered(home: Home) -> Ports | None:
    """What the home's last master had bound; None if there was none."""
    try:
        return msgspec.json.decode(home.ports_file.read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def to_try(configured: str, last: str | None) -> tuple[str, ...]:
    """The endpoints to bind, in order: the last one if the configured one leaves the port open."""
    address, _, port = configured.rpartition(":")
    if port == "0" and last is not None and last.rpartition(":")[0] == address:
        return (last, configured)
    return (configured,)
