"""The click entry: which command lives where, and how a command ends. No policy.

Commands are imported when they are asked for, so `stenella version` loads nothing but click. Every
way to end is turned into one clear line on stderr (with ``--json`` a document on stdout) and the
exit code of DESIGN section 9.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from . import __version__

PIPE_EXIT = 141  # 128 + SIGPIPE, what a shell shows for any program whose reader left
ENCODINGS = ("utf-8", "utf8")

#: Command → (module below ``console``, name in it), in the order of ``--help``.
COMMANDS = {
    "run": ("run", "run"),
    "submit": ("run", "submit"),
    "init": ("beginning", "init"),
    "validate": ("validate", "validate"),
    "plan": ("definitions", "plan"),
    "schema": ("definitions", "schema"),
    "up": ("nodes", "up"),
    "down": ("cluster", "down"),
    "status": ("cluster", "status"),
    "master": ("nodes", "master"),
    "worker": ("workers", "worker"),
    "ls": ("instances", "ls"),
    "show": ("instances", "show"),
    "watch": ("run", "watch"),
    "wait": ("run", "wait"),
    "logs": ("logs", "logs"),
    "explain": ("explain", "explain"),
    "stop": ("stop", "stop"),
    "kill": ("stop", "kill"),
    "import": ("importing", "import_"),
    "config": ("config", "config"),
    "completion": ("completion", "completion"),
    "doctor": ("doctor", "doctor"),
    "debug": ("debug", "debug"),
    "key": ("keys", "key"),
    "bench": ("bench", "bench"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, name = COMMANDS[cmd_name]
        command = getattr(import_module(f".console.{module}", __package__), name)
        assert isinstance(command, click.Command), cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word and not word.startswith("-") and self.get_command(ctx, word) is None:
            from difflib import get_close_matches

            from .protocol.errors import Usage

            near = get_close_matches(word, self.list_commands(ctx), n=1)
            mend = f"did you mean {near[0]}?" if near else "`stenella --help` lists them"
            raise Usage(f"there is no command {word!r}; {mend}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--json", "as_json", is_flag=True, help="Without a command: print one JSON document.")
@click.pass_context
def stenella(ctx: click.Context, as_json: bool) -> None:
    """Run workflows: DAGs of tasks, on one machine or many.

    Without a command: what is in this home, and what to do next. Begin with `stenella init`, then
    `stenella run workflow.yaml`; it needs nothing else. ID is the number of a workflow instance
    or `last`, ID/TASK a task of it. The home is $STENELLA_HOME, else ~/.stenella.

    Exit codes: 0 ok, 1 the workflow did not succeed, 2 usage, 3 not found, 4 definition refused,
    5 no cluster reachable, 6 refused in this state, 7 timed out, 8 not allowed, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        from .console import beginning, pages

        document = beginning.overview()
        if as_json:
            pages.emit(document)
        else:
            pages.emit_lines(beginning.overview_lines(document))
    elif as_json:
        from .protocol.errors import Usage

        raise Usage(f"--json goes behind the command: stenella {ctx.invoked_subcommand} … --json")


@stenella.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def version(as_json: bool) -> None:
    """Print the version.

    Example: stenella version
    """
    click.echo(f'{{"version": "{__version__}"}}' if as_json else f"stenella {__version__}")


def main() -> None:
    """Entry of the program: runs the command of ``sys.argv`` and exits with its code."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name of a file may be no UTF-8, and a terminal may lack some of our characters.
            is_utf8 = stream.encoding.lower() in ENCODINGS
            stream.reconfigure(errors="backslashreplace" if is_utf8 else "replace")
    if "_STENELLA_COMPLETE" in os.environ:  # a shell asks: console/completion.py
        from click.shell_completion import shell_complete

        how = os.environ["_STENELLA_COMPLETE"]
        sys.exit(shell_complete(stenella, {}, "stenella", "_STENELLA_COMPLETE", how))
    sys.exit(perform(sys.argv[1:]))


def _open_what_is_closed() -> None:
    """Whoever starts us may close a standard stream (``>&-``): that is as good as /dev/null, and
    no file or socket of ours gets its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it stays open


def perform(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Nothing escapes."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in own  # also when the arguments are too wrong to be parsed
    try:
        try:
            return _carry_out(arguments)
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the door of the process
            from .console import ending  # nothing of it is needed by what goes well

            if isinstance(error, OSError):
                sys.stdout.flush()  # raises again if that is what failed and something is left
            return ending.tell(error, as_json)
    except OSError as error:
        # Python flushes stdout once more at exit: give it a bin.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever read us has enough
            return PIPE_EXIT
        return ending.tell(error, as_json=False)


def _carry_out(arguments: Sequence[str]) -> int:
    """A command's return value is its exit code; None is 0."""
    try:
        with stenella.make_context("stenella", list(arguments), color=_colour()) as ctx:
            code = stenella.invoke(ctx)
    except click.exceptions.NoArgsIsHelpError as error:  # a group's name alone asks for its help
        click.echo(error.format_message(), err=True)
        code = error.exit_code
    except click.exceptions.Exit as end:  # after --help
        code = end.exit_code
    sys.stdout.flush()
    return code or 0


def _colour() -> bool | None:
    """False where nobody wants colours (no-color.org); None: as the terminal has it."""
    return False if os.environ.get("NO_COLOR") else None
