"""``down`` and ``status``: the cluster of this home."""

import time

import click

from ..client.client import Client
from ..client.presence import is_held
from ..client.reads import Reads
from ..home import settings
from ..home.layout import find_home
from ..protocol.errors import Unreachable, Usage, WaitTimeout
from . import pages
from .options import duration, json_option

#: After the master's word that all is done: journals are closed, wardens end, locks are let go.
LEAVE_S = 15.0
LOOK_PAUSE_S = 0.05


@click.command()
@click.option(
    "--wait",
    "wait_s",
    type=duration,
    metavar="D",
    help="Let running tasks finish for so long (30s, 5m); else worker.drain_s of conf.toml.",
)
@click.option(
    "--keep", is_flag=True, help="Let tasks run on, wait for nothing; the next `up` takes them up."
)
@json_option
def down(wait_s: float | None, keep: bool, as_json: bool) -> None:
    """Take the cluster down.

    Running tasks may finish for a while, then they are stopped. What had not ended goes on at the
    next `up`.

    Example: stenella down --wait 5m
    """
    if keep and wait_s is not None:
        raise Usage("--keep waits for nothing: give --keep or --wait")
    home = find_home()
    if home is None or not is_held(home):
        where = "there is no home" if home is None else f"no cluster is up in {home.root}"
        raise Unreachable(
            f"{where}: there is nothing to take down; for another home set STENELLA_HOME"
        )
    if wait_s is None:  # else no setting is read: with bad ones a cluster comes down, too
        wait_s = 0.0 if keep else settings.load(home).worker.drain_s
    unheard: Unreachable | None = None
    meanwhile = "goes on" if keep else f"may go on for {wait_s:g} s"
    click.echo(f"going down; what runs {meanwhile}", err=True)
    with Client(home.root) as client:
        try:
            client.shutdown(wait_s, keep)
        except Unreachable as error:
            unheard = error  # the last answer may have been lost with the connection
    deadline = time.monotonic() + LEAVE_S
    while is_held(home):
        if time.monotonic() >= deadline:
            raise unheard or WaitTimeout(
                f"the cluster in {home.root} is still leaving; see `stenella status` and {home.run}"
            )
        time.sleep(LOOK_PAUSE_S)
    if as_json:
        pages.emit({"state": "down"})
    else:
        click.echo("the cluster is down")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show masters and workers.

    Example: stenella status
    """
    with Reads() as client:
        document = client.status()
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(pages.status(document))
