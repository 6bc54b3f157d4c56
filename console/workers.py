"""``stenella worker …``: the workers of the cluster, and what people want of one of them."""

import time
from typing import Any

import click

from ..client.client import Client
from ..client.reads import Reads
from ..protocol.errors import Usage, WaitTimeout
from . import pages
from .nodes import worker_start
from .options import duration, json_option
from .text import moment, printable

LOOK_PAUSE_S = 0.2  # between two looks whether a drained worker is empty

name_argument = click.argument("name", metavar="NAME")


@click.group()
def worker() -> None:
    """Run, list and manage workers."""


worker.add_command(worker_start)


@worker.command("ls")
@json_option
def worker_ls(as_json: bool) -> None:
    """List all workers.

    Those that have left or are not heard any more are among them.

    Example: stenella worker ls
    """
    with Reads() as client:
        workers = client.status(all_workers=True)["workers"]
    if as_json:
        pages.emit(workers)
    else:
        pages.emit_lines(_listed(workers))


@worker.command("drain")
@name_argument
@click.option("--wait", "wait", is_flag=True, help="Return when nothing runs there any more.")
@click.option(
    "--timeout", "timeout_s", type=duration, metavar="D", help="With --wait: give up after D."
)
@json_option
def worker_drain(name: str, wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Give a worker no new task; what runs there goes on.

    It stays drained, over restarts too, until `stenella worker resume`.

    Example: stenella worker drain worker-1 --wait
    """
    if timeout_s is not None and not wait:
        raise Usage("--timeout is about --wait: give both")
    with Client() as client:
        result = client.order_worker(name, "drain")
        if wait:
            _wait_until_empty(client, name, timeout_s)
    text = "is empty and takes no task" if wait else "takes no new task"
    _tell(result, f"{name} {text}: stenella worker resume {name}", as_json)


@worker.command("resume")
@name_argument
@json_option
def worker_resume(name: str, as_json: bool) -> None:
    """Give a drained worker tasks again.

    Example: stenella worker resume worker-1
    """
    with Client() as client:
        result = client.order_worker(name, "resume")
    _tell(result, f"{name} takes tasks again", as_json)


@worker.command("resize")
@name_argument
@click.argument("slots", type=click.IntRange(1, 10_000))
@json_option
def worker_resize(name: str, slots: int, as_json: bool) -> None:
    """Set how many tasks a worker runs at once, while it runs.

    What runs above a smaller number goes on. The number holds over restarts, until it is set again
    or the worker is started with another --slots.

    Example: stenella worker resize worker-1 8
    """
    with Client() as client:
        result = client.order_worker(name, "resize", slots)
    _tell(result, f"{name} has {slots} slot{'' if slots == 1 else 's'}", as_json)


@worker.command("restart")
@name_argument
@json_option
def worker_restart(name: str, as_json: bool) -> None:
    """Let a worker's process begin anew; its tasks run on.

    The new process takes them up. For a new version of the program or of conf.toml.

    Example: stenella worker restart worker-1
    """
    with Client() as client:
        result = client.order_worker(name, "restart")
    _tell(result, f"{name} begins a new life; its tasks go on", as_json)


@worker.command("rm")
@name_argument
@json_option
def worker_rm(name: str, as_json: bool) -> None:
    """Forget a worker that has left or is not heard any more.

    Its key is still good: should it come back, it is known again.

    Example: stenella worker rm worker-2
    """
    with Client() as client:
        result = client.order_worker(name, "forget")
    _tell({**result, "state": "forgotten"}, f"{name} is forgotten", as_json)


def _tell(result: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        pages.emit(result)
    else:
        click.echo(text)


def _wait_until_empty(client: Client, name: str, timeout_s: float | None) -> None:
    """Raises `WaitTimeout`; the worker stays drained."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        workers = client.status(all_workers=True)["workers"]
        running = sum(worker["running"] for worker in workers if worker["id"] == name)
        if not running:
            return
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeout(
                f"{running} tasks still run on {name} after {timeout_s:g} s; it stays drained"
            )
        time.sleep(LOOK_PAUSE_S)


def _listed(workers: list[dict[str, Any]]) -> list[str]:
    """`worker ls`."""
    if not workers:
        return ["no worker has registered yet; `stenella up` starts one"]
    head = ("WORKER", "STATE", "SINCE", "RUN", "FREE", "SLOTS", "GROUPS", "VERSION", "HOST")
    rows = [
        (
            worker["id"],
            worker["state"],
            moment(worker["since"]),
            worker["running"],
            worker["free"],
            worker["slots"],
            ",".join(worker["groups"]),
            worker["version"],
            worker["host"],
        )
        for worker in workers
    ]
    messages = [f"{w['id']}: {printable(w['message'])}" for w in workers if w["message"]]
    return [*pages.columns(head, rows), *([""] if messages else []), *messages]
