"""``up``, ``master start``, ``worker start``: the commands that become a cluster's processes.

They live as long as the cluster, so nothing is loaded here that the process will not use.
"""

import os
import sys
import time
from pathlib import Path

import click

from ..home import settings
from ..home.layout import Home, open_home
from ..protocol.errors import Usage
from . import pages
from .options import json_option
from .starting import ensure_cluster

LOOK_PAUSE_S = 0.05
WORKERS_S = 5.0  # for workers to register, which takes them some 0.3 s each on a busy machine

slots_option = click.option(
    "--slots",
    type=click.IntRange(1, 10_000),
    help="Tasks at once on a worker; else worker.slots of conf.toml.",
)


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(0, 1_000),
    help="Workers; else as many as the home had last, at first 1.",
)
@slots_option
@click.option("--detach", is_flag=True, help="Return when it is ready; it goes on by itself.")
@json_option
def up(workers: int | None, slots: int | None, detach: bool, as_json: bool) -> int:
    """Start the cluster and keep it up.

    Ctrl-C takes it down. Where it is up already this says what is there; more workers or other
    slots than it has are given to it.

    Example: stenella up --workers 2 --detach
    """
    home = open_home()
    settings.load(home)  # what is wrong with it is told here, not in a log
    from ..runtime import supervisor

    if workers is None:
        workers = supervisor.remembered_workers(home)
    desired = supervisor.Desired(workers, slots)
    if not supervisor.ask_for(home, desired):
        if not detach:
            return supervisor.run(home, desired, None, _say)
        words = ["supervisor", str(workers), *([] if slots is None else [str(slots)])]
        ensure_cluster(home, words, lambda _text: None)
    _tell_status(home, workers, as_json)
    return 0


def _say(line: str) -> None:
    """Progress, not data: `up` prints data only about a cluster that was there."""
    click.echo(line, err=True)


def _tell_status(home: Home, workers: int, as_json: bool) -> None:
    """What is there, once the workers are or have had their time."""
    from ..client.reads import Reads

    deadline = time.monotonic() + WORKERS_S
    with Reads(home.root) as client:
        while True:
            document = client.status()
            alive = [w for w in document["workers"] if w["state"] == "alive"]
            if len(alive) >= workers or time.monotonic() >= deadline:
                break
            time.sleep(LOOK_PAUSE_S)
    if len(alive) > workers:
        text = f"{len(alive)} workers are up; fewer only after `stenella down`"
        click.echo(text, err=True)
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(pages.status(document))


@click.group()
def master() -> None:
    """Run a master by itself."""


@master.command("start")
def master_start() -> int:
    """Run the master of this home in the foreground.

    For a service supervisor; `stenella up` is simpler.

    Example: stenella master start
    """
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import master_node  # gevent and all: only for those who are a node
    from ..runtime.node import log_to_stderr

    log_to_stderr()
    return master_node.run_master(home, chosen)


@click.command("start")
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
@click.option(
    "--master",
    "address",
    metavar="tcp://HOST:PORT",
    help="Where that master takes workers, if not where the key says.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Join the master of another home with a key that `stenella key new worker` made there.",
)
def worker_start(
    slots: int | None,
    groups: tuple[str, ...],
    number: int,
    address: str | None,
    key_file: Path | None,
) -> int:
    """Run a worker in the foreground.

    Of this home, or for a master elsewhere. For a service supervisor; where the master is,
    `stenella up --workers N` is simpler.

    Example: stenella worker start --number 2 --slots 4 --group big
    """
    if address is not None and key_file is None:
        raise Usage("--master needs --key: `stenella key new worker` makes one where the master is")
    joins = None if key_file is None else (key_file, address)
    home = open_home()
    chosen = settings.load(home)
    from ..runtime import worker_node
    from ..runtime.node import EXIT_AGAIN, log_to_stderr

    log_to_stderr()
    code = worker_node.run_worker(home, chosen, number, slots, groups, joins=joins)
    if code == EXIT_AGAIN:  # `worker restart`: the same process, the program anew
        os.execv(sys.executable, [sys.executable, "-P", "-m", "stenella", *sys.argv[1:]])
    return code
