"""``import``: workflows of other systems as definitions of ours."""

from pathlib import Path

import click

from ..client.loading import STDIN, load_document, read_file
from ..client.wfformat import FILE_BYTES_MAX, refuse_larger, to_document, to_yaml
from . import pages
from .new_file import write_new
from .options import json_option

SCALE_MIN, SCALE_MAX = 0.0, 1000.0


@click.group("import")
def import_() -> None:
    """Make definitions of what other systems have."""


@import_.command("wfformat")
@click.argument("file")
@click.option(
    "--scale",
    type=click.FloatRange(SCALE_MIN, SCALE_MAX),
    default=1.0,
    show_default=True,
    help="Factor on the recorded times: 0.01 makes minutes of hours.",
)
@click.option("--output", "-o", metavar="FILE", help="Write there; else print.")
@json_option
def wfformat(file: str, scale: float, output: str | None, as_json: bool) -> None:
    """Make a workflow of a real scientific trace.

    FILE is WfFormat 1.5 (wfcommons.org), - standard input. The tasks wait for each other as in the
    trace and take the recorded time by the scale; what they computed is not in a trace.

    Example: stenella import wfformat montage.json --scale 0.01 -o montage.yaml
    """
    data = read_file(file, FILE_BYTES_MAX)
    refuse_larger(len(data), file)
    source = "<stdin>" if file == STDIN else file
    document = to_document(data, source, scale)
    load_document(document, source)  # a circle, or a size that no workflow may have
    text = to_yaml(document)
    if output is None:
        if as_json:
            pages.emit(document)
        else:
            click.echo(text, nl=False)
        return
    write_new(Path(output), text)
    if as_json:
        pages.emit({"file": output, "workflow": document["name"], "tasks": len(document["tasks"])})
    else:
        click.echo(f"wrote {output}: {document['name']}, {len(document['tasks']):,} tasks")
        click.echo(f"next: stenella plan {output} · stenella run {output}")
