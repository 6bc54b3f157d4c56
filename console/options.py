"""Words that several commands take: ``--json``, durations, parameters, and who is meant.

An address is ``7`` or ``last`` for a workflow instance, ``7/extract`` or ``last/extract`` for a
task of it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..client.durations import seconds

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    AddressParam = click.ParamType["Address"]
    TextParam = click.ParamType[str]
else:  # generic in newer versions of click only
    AddressParam = TextParam = click.ParamType

NEWEST_ID = 0  # what the wire and the queries call the newest instance
LAST = "last"
#: Nine digits and as many again: more is no id of ours (63 bits).
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Who is meant: an instance, or a task of it."""

    workflow_instance_id: int  # 0: the newest
    task: str | None = None

    def __str__(self) -> str:
        instance = str(self.workflow_instance_id or LAST)
        return instance if self.task is None else f"{instance}/{self.task}"


class AddressType(AddressParam):
    """Reads an address; a shell completes it from the home."""

    name = "id"

    def __init__(self, *, tasks: bool) -> None:
        self.tasks = tasks  # whether it may name a task

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """The address that ``value`` is."""
        if isinstance(value, Address):
            return value
        instance, slash, task = str(value).partition("/")
        if slash and not self.tasks:
            self.fail(
                f"{value!r} names a task; a workflow instance is meant: 7 or last", param, ctx
            )
        if not (instance == LAST or _NUMBER.fullmatch(instance)) or (slash and not task):
            forms = "7, last, 7/TASK or last/TASK" if self.tasks else "7 or last"
            self.fail(f"{value!r} is no ID: write {forms}", param, ctx)
        return Address(NEWEST_ID if instance == LAST else int(instance), task or None)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from . import completion

        if self.tasks:
            return completion.instances_and_tasks(incomplete)
        return completion.instance_ids(incomplete)


instance = AddressType(tasks=False)  # 7 last
instance_or_task = AddressType(tasks=True)  # 7 last 7/TASK last/TASK


class WorkflowSource(TextParam):
    """FILE, NAME or ``-``."""

    name = "workflow"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from . import completion

        return completion.files_and_names(incomplete)


def task(text: str) -> Address:
    """Reads ``7/TASK last/TASK``."""
    address = instance_or_task(text)
    if address.task is None:
        raise click.BadParameter(
            f"{text!r} names no task; write {address}/TASK, or stop the whole instance: "
            f"stenella stop {address}"
        )
    return address


def duration(text: str) -> float:
    """Reads ``200ms 0.2s 5m 1h30m 2d`` as seconds."""
    try:
        return seconds(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


DASHES = "--"


class TakesCommand(click.Command):
    """A command of which ``-- PROGRAM ARGUMENT…`` may be the end: its parameter ``command``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Our own options end at the first ``--``; click would take the rest for arguments."""
        at = args.index(DASHES) if DASHES in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        ctx.params["command"] = tuple(args[at + 1 :])
        return rest


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Let every task succeed at once without being run."
)


def param_option(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """``-p NAME=VALUE``."""
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter of the workflow; may be repeated.",
    )(command)


workflow_argument = click.argument("source", metavar="FILE|NAME", type=WorkflowSource())
source_or_command = click.argument(
    "source", required=False, metavar="FILE|NAME|-- COMMAND [ARG]…", type=WorkflowSource()
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
