"""A warning at submit time: nobody is there yet for some of a workflow's tasks."""

from collections.abc import Iterable
from contextlib import suppress

import click

from ..client.client import Client
from ..protocol.errors import StenellaError

#: Its worker may still be on its way; whoever names another group should know that it is empty.
DEFAULT = "default"


def warn_of_empty_groups(client: Client, groups: Iterable[str]) -> None:
    """Say on stderr which worker groups have no worker; the tasks wait for one."""
    wanted = dict.fromkeys(group for group in groups if group != DEFAULT)
    if not wanted:
        return
    with suppress(StenellaError):  # the workflow is started, whatever comes of this question
        workers = client.status()["workers"]
        there = {group for worker in workers for group in worker["groups"]}
        number = 1 + max((number_of(worker["id"]) for worker in workers), default=0)
        for group in wanted if workers else ():
            if group not in there:
                click.echo(
                    f"warning: no worker is in group {group}; its tasks wait for one: "
                    f"`stenella worker start --number {number} --group {group}`",
                    err=True,
                )


def number_of(worker: str) -> int:
    """N of worker-N, which is what workers of the master's own home are called; 0 of others."""
    head, _, number = worker.rpartition("-")
    return int(number) if head == "worker" and number.isdecimal() else 0
