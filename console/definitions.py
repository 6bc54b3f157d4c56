"""``schema``: what a definition file may hold, for editors and programs."""

import click

from ..client.schema import schema_text
from .options import json_option


@click.command()
@json_option
def schema(as_json: bool) -> None:
    """Print the JSON Schema of workflow files.

    An editor that knows it completes and checks while you type: put it beside a file and begin the
    file with `# yaml-language-server: $schema=NAME`. `stenella init` does both.

    Example: stenella schema
    """
    click.echo(schema_text())
