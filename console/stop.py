"""``stenella stop``: an end to a workflow instance."""

import click

from ..client.client import Client
from . import pages
from .options import Address, instance, json_option


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
