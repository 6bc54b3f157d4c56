"""``up``, ``down``, ``status``, ``master start``, ``worker start``: the cluster of this home."""

import time

import click

from ..client.client import Client
from ..client.requester import is_held
from ..home import settings
from ..home.layout import find_home, open_home
from ..protocol.errors import Unreachable, WaitTimeout
from . import pages
from .options import duration, json_option

#: After the master's word that all is done: journals are closed, wardens end, locks are let go.
LEAVE_S = 15.0
LOOK_PAUSE_S = 0.05

slots_option = click.option(
    "--slots",
    type=click.IntRange(1, 10_000),
    help="Tasks at once on a worker; else worker.slots of conf.toml.",
)


@click.command()
@click.option(
    "--workers", type=click.IntRange(0, 1_000), default=1, show_default=True, help="Workers."
)
@slots_option
@click.option("--detach", is_flag=True, help="Return when it is ready; it goes on by itself.")
@click.option("--embedded", is_flag=True, hidden=True)
def up(workers: int, slots: int | None, detach: bool, embedded: bool) -> int:
    """Start the cluster and keep it up.

    Ctrl-C takes it down. Where it is up already this says what is there and, if other numbers are
    wanted, changes them.

    Example: stenella up --workers 2 --detach
    """
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import supervisor  # gevent and all: only for those who run a cluster

    return supervisor.up(home, chosen, workers, slots, detach, embedded)


@click.command()
@click.option(
    "--wait",
    "wait_s",
    type=duration,
    metavar="D",
    help="Let running tasks finish for so long (30s, 5m); else worker.drain_s of conf.toml.",
)
@click.option("--keep", is_flag=True, help="Let tasks run on; the next `up` takes them up.")
def down(wait_s: float | None, keep: bool) -> None:
    """Take the cluster down.

    Running tasks may finish for a while, then they are stopped. What had not ended goes on at the
    next `up`.

    Example: stenella down --wait 5m
    """
    home = find_home()
    if home is None or not is_held(home):
        where = "there is no home" if home is None else f"no cluster is up in {home.root}"
        raise Unreachable(f"{where}; start one with `stenella up --detach`")
    chosen = settings.load(home)
    drain_s = chosen.worker.drain_s if wait_s is None else wait_s
    unheard: Unreachable | None = None
    with Client(home.root) as client:
        try:
            client.shutdown(drain_s, keep)
        except Unreachable as error:
            unheard = error  # the last answer may have been lost with the connection
    deadline = time.monotonic() + LEAVE_S
    while is_held(home):
        if time.monotonic() >= deadline:
            raise unheard or WaitTimeout(
                f"the cluster in {home.root} is still leaving; see `stenella status` and {home.run}"
            )
        time.sleep(LOOK_PAUSE_S)
    click.echo("the cluster is down")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show masters and workers.

    Example: stenella status
    """
    with Client() as client:
        document = client.status()
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(pages.status(document))


@click.group()
def master() -> None:
    """Run a master by itself."""


@master.command("start")
def master_start() -> int:
    """Run the master of this home in the foreground, for a service supervisor.

    Example: stenella master start
    """
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import master_node

    return master_node.run_master(home, chosen)


@click.group()
def worker() -> None:
    """Run a worker by itself."""


@worker.command("start")
@slots_option
@click.option(
    "--group",
    "groups",
    multiple=True,
    help="A worker group it takes tasks of; may be repeated; else worker.groups of conf.toml.",
)
@click.option(
    "--number",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="Which worker of this home: its folder is workers/NUMBER.",
)
def worker_start(slots: int | None, groups: tuple[str, ...], number: int) -> int:
    """Run a worker of this home in the foreground, for a service supervisor.

    Example: stenella worker start --number 2 --slots 4 --group big
    """
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import worker_node

    return worker_node.run_worker(home, chosen, number, slots, groups)
