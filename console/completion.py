"""``completion``: words for the shell; ids and names come from the home, without asking a cluster.

Loaded when a shell asks, so it imports next to nothing at its top.
"""

import os
from contextlib import closing
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..client.presence import elsewhere
from ..home.layout import find_home
from ..protocol.errors import StenellaError

VARIABLE = "_STENELLA_COMPLETE"  # what the printed script sets when it asks for words
PROGRAM = "stenella"
IDS_MAX = 50  # newest instances offered
NAMES_MAX = 1_000


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, ids and names.

    \b
    bash: add to ~/.bashrc      eval "$(stenella completion bash)"
    zsh:  add to ~/.zshrc       eval "$(stenella completion zsh)"
    fish: stenella completion fish > ~/.config/fish/completions/stenella.fish

    Example: stenella completion bash
    """
    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    assert found is not None, shell
    click.echo(found(root, {}, PROGRAM, VARIABLE).source())


def instance_ids(typed: str) -> list[CompletionItem]:
    """``7``, ``last``: the newest instances, with what they are."""
    return [item for item in _ids() if item.value.startswith(typed)]


def instances_and_tasks(typed: str) -> list[CompletionItem]:
    """``7``, ``last``, and after a slash the tasks of that instance."""
    instance, slash, begun = typed.partition("/")
    if not slash:
        return instance_ids(typed)
    tasks = _answer(lambda stored: _tasks(stored, instance), [])
    return [
        CompletionItem(f"{instance}/{task['name']}", help=task["state"])
        for task in tasks
        if task["name"].startswith(begun)
    ][:NAMES_MAX]


def files_and_names(typed: str) -> list[CompletionItem]:
    """Registered workflows and files. A shell lists files by itself, but bash only where nothing
    else fits.
    """
    names = _answer(lambda stored: stored.workflow_names(NAMES_MAX), [])
    found = [CompletionItem(name, help="workflow") for name in names if name.startswith(typed)]
    if not found:
        return [CompletionItem(typed, type="file")]
    return found + [CompletionItem(name, help="file") for name in _files_here(typed)]


def _files_here(typed: str) -> list[str]:
    try:
        with os.scandir(".") as entries:
            names = [entry.name for entry in entries if entry.name.startswith(typed)]
    except OSError:
        return []
    return sorted(names)[:NAMES_MAX]


def _ids() -> list[CompletionItem]:
    documents = _answer(lambda stored: stored.instances(IDS_MAX), [])
    newest = [CompletionItem("last", help="the newest")] if documents else []
    return newest + [
        CompletionItem(
            str(document["workflow_instance_id"]),
            help=f"{document['workflow']} {document['state']}",
        )
        for document in documents
    ]


def _tasks(stored: Any, instance: str) -> list[dict[str, Any]]:
    if instance != "last" and not instance.isdecimal():
        return []
    tasks: list[dict[str, Any]] = stored.show(0 if instance == "last" else int(instance))["tasks"]
    return tasks


def _answer(question: Any, otherwise: Any) -> Any:
    """What the home's file says; nothing is ever wrong while somebody types."""
    from .history import StoredHistory

    try:
        home = find_home()
        if home is None or elsewhere():  # whose ids and names are others
            return otherwise
        with closing(StoredHistory(home)) as stored:
            return question(stored)
    except (StenellaError, OSError):
        return otherwise
