"""``up``, ``down``, ``status``, ``master start``, ``worker start``: the cluster of this home."""

import logging
import time

import click

from ..client.client import Client
from ..client.presence import is_held
from ..client.reads import Reads
from ..home import settings
from ..home.layout import Home, find_home, open_home
from ..protocol.errors import Unreachable, WaitTimeout
from . import pages
from .options import duration, json_option
from .starting import ensure_cluster

#: After the master's word that all is done: journals are closed, wardens end, locks are let go.
LEAVE_S = 15.0
LOOK_PAUSE_S = 0.05

EMBEDDED_LINGER_S = 2.0  # without live instance and client: long enough for `run; show; logs`
WORKERS_S = 5.0  # for workers to register, which takes them some 0.3 s each on a busy machine
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

#: The supervisor's: leave when standard input ends.
supervised_option = click.option("--supervised", is_flag=True, hidden=True)
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

    Ctrl-C takes it down. Where it is up already this says what is there; more workers or other
    slots than it has are given to it.

    Example: stenella up --workers 2 --detach
    """
    home = open_home()
    settings.load(home)  # what is wrong with it is told here, not in a log
    from ..runtime import supervisor

    desired = supervisor.Desired(workers, slots)
    if embedded:
        return supervisor.run(home, desired, EMBEDDED_LINGER_S, _say)
    if not supervisor.ask_for(home, desired):
        if not detach:
            return supervisor.run(home, desired, None, _say)
        arguments = ["--workers", str(workers)]
        arguments += [] if slots is None else ["--slots", str(slots)]
        ensure_cluster(home, arguments, lambda _text: None)
    _tell_status(home, workers)
    return 0


def _say(line: str) -> None:
    """Progress, not data: `up` prints data only about a cluster that was there."""
    click.echo(line, err=True)


def _tell_status(home: Home, workers: int) -> None:
    """What is there, once the workers are or have had their time."""
    deadline = time.monotonic() + WORKERS_S
    with Reads(home.root) as client:
        document = client.status()
        while len(document["workers"]) < workers and time.monotonic() < deadline:
            time.sleep(LOOK_PAUSE_S)
            document = client.status()
    pages.emit_lines(pages.status(document))


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
    with Reads() as client:
        document = client.status()
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(pages.status(document))


@click.group()
def master() -> None:
    """Run a master by itself."""


@master.command("start")
@supervised_option
@click.option("--linger", "linger_s", type=float, hidden=True)
def master_start(supervised: bool, linger_s: float | None) -> int:
    """Run the master of this home in the foreground.

    For a service supervisor; `stenella up` is simpler.

    Example: stenella master start
    """
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import master_node  # gevent and all: only for those who are a node

    _log_to_stderr()
    return master_node.run_master(home, chosen, linger_s, supervised=supervised)


@click.group()
def worker() -> None:
    """Run a worker by itself."""


@worker.command("start")
@supervised_option
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
def worker_start(supervised: bool, slots: int | None, groups: tuple[str, ...], number: int) -> int:
    """Run a worker of this home in the foreground.

    For a service supervisor; `stenella up --workers N` is simpler.

    Example: stenella worker start --number 2 --slots 4 --group big
    """
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import worker_node

    _log_to_stderr()
    return worker_node.run_worker(home, chosen, number, slots, groups, supervised=supervised)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
