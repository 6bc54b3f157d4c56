"""``run``, ``submit`` and ``wait``: start a workflow, watch it, tell how it ended."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from ..client.client import Client, Instance, check_params
from ..client.plan import Shape
from ..client.presence import elsewhere, elsewhere_text, is_held
from ..client.reads import is_final, new_request_id, succeeded
from ..client.script_file import SCRIPT_OPTIONS, ScriptOptions, pairs
from ..home import endpoints
from ..home.layout import Home, open_home
from ..protocol.errors import RefusedInState, Unreachable, Usage, WaitTimeout
from . import pages
from .ending import INTERRUPTED_EXIT, Interrupted
from .groups import warn_of_empty_groups
from .history import Reader, logs_home, read
from .naming import find_given, shape_of
from .options import (
    Address,
    TakesCommand,
    dry_run_option,
    duration,
    instance,
    json_option,
    source_or_command,
)
from .result import result
from .starting import ensure_cluster
from .views import JsonView, View, make_view, watch_until_end

FAILED_EXIT = 1
EMBEDDED = ("embedded",)  # a supervisor that leaves when nobody uses the cluster
STARTS_MAX = 3  # an embedded cluster may leave at the very moment we want to use it
DEATH_S = 3.0  # without a word while nobody holds the home: its cluster was killed
LIVE_LISTED_MAX = 50  # instances looked through for what keeps an embedded cluster up

Document = dict[str, Any]


def _script_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of a script's own lines, for the command line."""
    for option in reversed(SCRIPT_OPTIONS):
        command = click.option(
            *option.flags,
            option.field,
            metavar=option.metavar,
            multiple=option.multiple,
            help=option.help,
        )(command)
    return command


@click.command(cls=TakesCommand)
@source_or_command
@_script_options
@dry_run_option
@json_option
def run(
    source: str | None, command: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any
) -> int:
    """Run a workflow and show what comes of it.

    FILE is YAML, TOML, JSON or a script, NAME a workflow that was submitted before, - standard
    input. After -- stand a command and its arguments, which run here as they are, without a shell:
    `stenella run -- make all`. Other options than --param are for scripts and commands; they win
    over #STENELLA lines. Uses the cluster that is up in the home, else starts one that leaves when
    it is idle; a cluster elsewhere (STENELLA_KEY) takes `submit`.
    Ctrl-C asks whether to stop the workflow; where nobody can be asked it is stopped.

    Example: stenella run nightly.yaml -p day=2026-01-31
    """
    if elsewhere():
        raise Usage(
            f"{elsewhere_text()} is about a cluster elsewhere, and `run` uses that of a home: "
            "unset it, or use `stenella submit --wait`"
        )
    home = open_home()
    submit_dir = os.getcwd()
    script_options = ScriptOptions(**options)
    definition = find_given(source, command, script_options, submit_dir)
    shape = Shape(definition)
    given = pairs(script_options.param)
    check_params(definition, given)  # a cluster is not started for what it would refuse
    with Client(home.root) as client:
        number, is_ours = _start(
            home,
            lambda request_id: client.submit(definition, given, request_id, submit_dir, dry_run),
        )
        warn_of_empty_groups(client, (task.worker_group for task in definition.tasks))
        document, interrupted = _follow(home, client, number, shape)
        if document is None:
            raise Interrupted(f"interrupted; it goes on: stenella wait {number}")
        others = _other_live(client, number) if is_ours else []
    _tell(home, document, shape, as_json)
    for other in others:
        click.echo(
            f"the cluster stays up: workflow instance {other['workflow_instance_id']} "
            f"({other['workflow']}) is {other['state']}; `stenella down` ends it",
            err=True,
        )
    return INTERRUPTED_EXIT if interrupted else _exit_code(document)


@click.command(cls=TakesCommand)
@source_or_command
@_script_options
@click.option("--wait", "waits", is_flag=True, help="Watch it and exit with its result.")
@dry_run_option
@json_option
def submit(
    source: str | None,
    command: tuple[str, ...],
    waits: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Start a workflow and print its number.

    FILE is YAML, TOML, JSON or a script, NAME a workflow that was submitted before, - standard
    input. After -- stand a command and its arguments, which run here as they are, without a shell.
    Other options than --param are for scripts and commands; they win over #STENELLA lines.

    Example: stenella submit job.sh --retry 2 --wait
    """
    given = ScriptOptions(**options)
    submit_dir = os.getcwd()
    definition = find_given(source, command, given, submit_dir)
    with Client() as client:
        started = client.submit(
            definition, pairs(given.param), submit_dir=submit_dir, dry_run=dry_run
        )
        if waits:  # said first: whatever happens to this command, its number is known
            click.echo(f"submitted as workflow instance {started.id}", err=True)
        warn_of_empty_groups(client, (task.worker_group for task in definition.tasks))
        if not waits:
            if as_json:
                pages.emit({"workflow_instance_id": started.id})
            else:
                text = f"submitted as workflow instance {started.id}; see its end with"
                click.echo(f"{text} `stenella wait {started.id}`")
            return 0
        shape = Shape(definition)
        with make_view(shape) as view:
            document = _watched(client, started.id, view)
    _tell(logs_home(), document, shape, as_json)
    return _exit_code(document)


@click.command()
@click.argument("address", type=instance, metavar="ID")
@click.option(
    "--timeout",
    "timeout_s",
    type=duration,
    metavar="D",
    help="Give up after this long (90s, 5m, 1h30m), exit code 7; the workflow goes on.",
)
@json_option
def wait(address: Address, timeout_s: float | None, as_json: bool) -> int:
    """Wait for the end of a workflow.

    Exits as the workflow did: 0 if it succeeded, else 1. ID is a number or `last`.

    Example: stenella wait last --timeout 1h
    """
    return _until_end(address, timeout_s, as_json, as_lines=False)


@click.command()
@click.argument("address", type=instance, metavar="ID", default="last")
@json_option
def watch(address: Address, as_json: bool) -> int:
    """Watch a workflow until its end.

    What `run` shows, for one that was started elsewhere; ID is `last` if not said otherwise. Ctrl-C
    leaves it alone. Exits as the workflow did. With --json one document a line for each change.

    Example: stenella watch last
    """
    return _until_end(address, None, as_json, as_lines=as_json)


def _until_end(address: Address, timeout_s: float | None, as_json: bool, *, as_lines: bool) -> int:
    draws = not as_json or sys.stderr.isatty()

    def begin(reader: Reader) -> tuple[Document, Shape | None]:
        """Tasks are read when all have ended: of a large instance they are many."""
        document = reader.head(address.workflow_instance_id)
        number = document["workflow_instance_id"]
        if is_final(document):
            document = reader.show(number)
        return document, shape_of(reader, number) if draws else None

    document, shape = read(begin)
    number = document["workflow_instance_id"]
    if not is_final(document):
        with Client() as client, JsonView() if as_lines else make_view(shape) as view:
            document = _watched(client, number, view, timeout_s)
    elif as_lines:
        pages.emit(document)
    if not as_lines:
        _tell(logs_home(), document, shape, as_json)
    return _exit_code(document)


def _watched(client: Client, number: int, view: View, timeout_s: float | None = None) -> Document:
    """As `watch_until_end`, for an instance that goes on without us: an error says so."""
    try:
        return watch_until_end(client, number, view, timeout_s)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; it goes on: stenella watch {number}") from None
    except Unreachable as error:
        text = f"{error.message}; workflow instance {number} goes on then: stenella watch {number}"
        raise Unreachable(text) from error


def _start(home: Home, submit_as: Callable[[str], Instance]) -> tuple[int, bool]:
    """The instance's number, and whether its cluster was started for it."""
    request_id = new_request_id()  # the same for all tries: it is started once
    is_ours = False
    with make_view() as view:
        for starts_left in reversed(range(STARTS_MAX)):
            is_ours = ensure_cluster(home, EMBEDDED, view.say) or is_ours
            try:
                return submit_as(request_id).id, is_ours
            except Unreachable:
                if not starts_left:
                    raise
    raise AssertionError("the last try either returns or raises")


def _follow(home: Home, client: Client, number: int, shape: Shape) -> tuple[Document | None, bool]:
    """The document at the end (None: the person lets it go on), and whether Ctrl-C came."""
    interrupted = False
    while True:
        try:
            return _watch(home, number, shape), interrupted
        except KeyboardInterrupt:
            if interrupted:
                raise  # the stop is on the master's disk; the person does not want to wait
        choice = _ask() if sys.stdin.isatty() and sys.stderr.isatty() else "s"
        if choice == "d":
            return None, True
        if choice == "s":
            interrupted = True
            with suppress(RefusedInState):  # it has ended meanwhile
                client.stop(number)


def _watch(home: Home, number: int, shape: Shape) -> Document:
    """The document at the end. A cluster that was killed is started again, one that was taken down
    is not: that was somebody's wish. Raises `Unreachable` then.
    """
    with Client(home.root, limit_s=DEATH_S) as client:
        while True:
            with make_view(shape) as view:
                try:
                    return watch_until_end(client, number, view)
                except WaitTimeout:
                    pass  # it is there and slow; the view says how long it has been silent
                except Unreachable as error:
                    if not is_held(home) and endpoints.read(home) is None:
                        raise Unreachable(
                            f"the cluster was taken down; workflow instance {number} goes on at "
                            f"the next `stenella up --detach`, then `stenella wait {number}`"
                        ) from error
                    ensure_cluster(home, EMBEDDED, view.say)


def _ask() -> str:
    """s, d or g; Ctrl-C and the end of input mean stop."""
    try:
        answer: str = click.prompt(
            "[s]top the workflow, [d]etach and let it run, or [g]o on watching",
            type=click.Choice(["s", "d", "g"]),
            default="s",
            show_choices=False,
            err=True,
        )
    except click.Abort:
        return "s"
    return answer


def _other_live(client: Client, number: int) -> list[Document]:
    with suppress(Unreachable):  # it may leave as soon as it is idle
        listed = client.instances(LIVE_LISTED_MAX)
        return [d for d in listed if not is_final(d) and d["workflow_instance_id"] != number]
    return []


def _tell(home: Home | None, document: Document, shape: Shape | None, as_json: bool) -> None:
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(result(home, document, shape))


def _exit_code(document: Document) -> int:
    return 0 if succeeded(document) else FAILED_EXIT
