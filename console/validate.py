"""``stenella validate``: everything that is wrong with a definition; nothing is stored or asked."""

import click

from ..client.loading import load
from .options import json_option
from .pages import emit


@click.command()
@click.argument("file")
@json_option
def validate(file: str, as_json: bool) -> None:
    """Say what is wrong with a workflow file.

    All of it at once, or that it is fine; - is standard input. Nothing is stored. Exit code 4 if
    anything is wrong.

    Example: stenella validate nightly.yaml
    """
    definition = load(file)
    if as_json:
        emit({"workflow": definition.name, "tasks": len(definition.tasks), "problems": []})
    else:
        count = len(definition.tasks)
        click.echo(f"{file} is fine: {definition.name}, {count} task{'s' if count > 1 else ''}")
