"""``ls`` and ``show``: what has run and what runs."""

import time

import click

from . import pages
from .history import newest_instances, read
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
    documents = newest_instances(limit)
    if as_json:
        pages.emit(documents)
    else:
        pages.emit_lines(pages.instances(documents))


@click.command()
@click.argument("address", type=instance, metavar="ID")
@click.option("--timeline", "as_chart", is_flag=True, help="Draw when the tasks ran.")
@json_option
def show(address: Address, as_chart: bool, as_json: bool) -> None:
    """Show a workflow instance and its tasks.

    ID is a number or `last`. With --timeline a chart of 80 columns or more: a bar for each task, or
    for the stages, the critical path and the longest tasks of a large workflow.

    Example: stenella show last
    """
    document = read(lambda reader: reader.show(address.workflow_instance_id))
    if as_json:
        pages.emit(document)
    elif as_chart:
        from .naming import shape_of  # the loaders: 50 ms that only a chart needs
        from .text import chart_width, is_ascii_only
        from .timeline import timeline

        number = document["workflow_instance_id"]
        shape = read(lambda reader: shape_of(reader, number))
        chart = timeline(document, shape, chart_width(), time.time(), ascii_only=is_ascii_only())
        pages.emit_lines([pages.title(document), "", *(chart or ["no task has begun"])])
    else:
        pages.emit_lines(pages.show(document))
