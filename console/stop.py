"""``stenella stop`` and ``stenella kill``: an end to a workflow instance, or to a task of it."""

import click

from ..client.client import Client
from . import pages
from .options import Address, instance, json_option, task


@click.command()
@click.argument("address", type=instance, metavar="ID")
@json_option
def stop(address: Address, as_json: bool) -> None:
    """Stop a workflow instance.

    Nothing new starts, what runs is killed. Returns at once; `stenella wait ID` waits for the end.

    Example: stenella stop last
    """
    with Client() as client:
        number = address.workflow_instance_id or client.show(0)["workflow_instance_id"]
        client.stop(number)
    if as_json:
        pages.emit({"workflow_instance_id": number})
    else:
        click.echo(f"workflow instance {number} is being stopped: stenella wait {number}")


@click.command()
@click.argument("address", type=task, metavar="ID/TASK")
@json_option
def kill(address: Address, as_json: bool) -> None:
    """Kill one task of a workflow instance.

    It gets TERM, and KILL after task.kill_grace_s; it is never tried again. A task that has not
    begun never will. What depends on it is SKIPPED, and the workflow does not succeed; other
    branches go on unless failure_strategy is end. Returns at once.

    Example: stenella kill last/extract
    """
    assert address.task is not None
    with Client() as client:
        number = address.workflow_instance_id or client.show(0)["workflow_instance_id"]
        killed = client.kill(number, address.task)
    if as_json:
        pages.emit(killed)
    elif killed["state"] == "KILL":
        click.echo(f"task {address.task} of workflow instance {number} was killed")
    else:
        click.echo(
            f"task {address.task} of workflow instance {number} is being killed: "
            f"stenella show {number}"
        )
