"""``stenella key …``: who may come to the cluster of this home from elsewhere."""

import os
import re
import stat
import sys
import time
from typing import Any

import click
import msgspec

from ..home import endpoints, keyring, keys
from ..home.layout import Home, find_home
from ..protocol.errors import StenellaError, Unreachable
from . import pages
from .options import json_option
from .text import moment

_LOOPBACK = re.compile(r"tcp://(127\.|localhost:|\[::1\])")


@click.group()
def key() -> None:
    """Issue, list and revoke keys for workers and clients elsewhere."""


@key.command("new")
@click.argument("role", type=click.Choice(keyring.ISSUED_ROLES))
@click.option("--name", help="Whose key it is; of a worker its name. Else one is made up.")
@json_option
def key_new(role: keys.Role, name: str | None, as_json: bool) -> None:
    """Make a key and print it, once; it is good at once.

    It is a JSON document, --json or not.

    A worker takes tasks; a client may ask for everything; an observer may read only. Write it into
    a file for the other machine, `stenella key new worker > w.key`. There a worker begins with
    `stenella worker start --key w.key`; a client sets STENELLA_KEY=c.key.

    Example: stenella key new worker --name far
    """
    home = _home()
    master = endpoints.read(home)
    if master is None:
        raise Unreachable("no cluster is up in this home: `stenella up --detach` first")
    address = master.worker if role == "worker" else master.client
    made = keyring.issue(
        home, role, name, cluster=master.cluster, address=address, now_s=time.time()
    )
    if stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        os.fchmod(sys.stdout.fileno(), 0o600)  # what others can read is refused as a key
    click.echo(msgspec.json.encode(made))
    text = f"{made.name} may come to {address} as {role}; this key is not printed again"
    if _LOOPBACK.match(address):
        door = "worker" if role == "worker" else "client"
        text += f"; from other machines only if master.{door}_endpoint is an address they reach"
    click.echo(text, err=True)


@key.command("ls")
@json_option
def key_ls(as_json: bool) -> None:
    """List the keys that may come in, and those that were revoked.

    Example: stenella key ls
    """
    home = find_home()
    found = [] if home is None else [*_own(home), *_issued(home)]
    if as_json:
        pages.emit(found)
        return
    head = ("NAME", "ROLE", "STATE", "ISSUED", "REVOKED")
    rows = [
        (
            row["name"],
            row["role"],
            row["state"],
            moment(row["issued_at"]),
            moment(row["revoked_at"]),
        )
        for row in found
    ]
    pages.emit_lines(pages.columns(head, rows) if rows else ["no key has been made here yet"])


@key.command("revoke")
@click.argument("name", metavar="NAME")
@json_option
def key_revoke(name: str, as_json: bool) -> None:
    """Let a key be good no more.

    Who is connected with it is cut off within two seconds.

    Example: stenella key revoke worker-k3f9a2
    """
    record = keyring.revoke(_home(), name, time.time())
    if as_json:
        pages.emit(_document(record))
    else:
        click.echo(f"{name} is revoked")


def _home() -> Home:
    home = find_home()
    if home is None:
        raise Unreachable("there is no home: `stenella up --detach` makes one")
    return home


def _issued(home: Home) -> list[dict[str, Any]]:
    return [_document(record) for record in keyring.issued(home)]


def _document(record: keyring.Issued) -> dict[str, Any]:
    state = "good" if record.revoked_at is None else "revoked"
    return {
        "name": record.name,
        "role": record.role,
        "state": state,
        "public": record.public,
        "issued_at": record.issued_at,
        "revoked_at": record.revoked_at,
    }


def _own(home: Home) -> list[dict[str, Any]]:
    """The home's own; a damaged one is shown as such."""
    found = []
    for path in (home.keys / "client", *sorted(home.workers.glob("*/key"))):
        if not path.exists():
            continue
        document: dict[str, Any] = {
            "name": str(path.relative_to(home.root)),
            "role": None,
            "state": "damaged",
            "public": None,
            "issued_at": None,
            "revoked_at": None,
        }
        try:
            pair = keys.read(path)
        except StenellaError:
            found.append(document)
            continue
        state = "elsewhere" if pair.is_issued else "own"
        document |= {"name": pair.name, "role": pair.role, "state": state}
        found.append(document | {"public": pair.public.decode()})
    return found
