"""``ls`` and ``show``: what has run and what runs."""

import click

from . import pages
from .history import read
from .options import Address, instance, json_option

LIMIT = 50


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=LIMIT,
    show_default=True,
    help="At most so many.",
)
@json_option
def ls(limit: int, as_json: bool) -> None:
    """List workflow instances, newest first.

    Example: stenella ls --limit 10
    """
    documents = read(lambda reader: reader.instances(limit))
    if as_json:
        pages.emit(documents)
    else:
        pages.emit_lines(pages.instances(documents))


@click.command()
@click.argument("address", type=instance, metavar="ID")
@json_option
def show(address: Address, as_json: bool) -> None:
    """Show a workflow instance and its tasks.

    ID is a number or `last`.

    Example: stenella show last
    """
    document = read(lambda reader: reader.show(address.workflow_instance_id))
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(pages.show(document))
