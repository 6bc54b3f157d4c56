"""How a command ends that did not go well: one clear line, the problems below it, an exit code."""

import errno
import json
import os
import traceback

import click

from ..protocol.errors import RefusedInState, StenellaError, Usage
from . import pages
from .excerpt import headline, problem_lines
from .text import printable

BUG_EXIT = 70  # EX_SOFTWARE of sysexits.h: ours, and none of the contract's codes
INTERRUPTED_EXIT = 130  # 128 + SIGINT
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REPORT_HINT = "this is a bug in Stenella; set STENELLA_DEBUG=1, repeat it and report what you see"


class Bug(StenellaError):
    """Nothing that a user can mend."""

    exit_code, code = BUG_EXIT, "bug"


class Interrupted(StenellaError):
    """Ctrl-C."""

    exit_code, code = INTERRUPTED_EXIT, "interrupted"


def tell(raised: BaseException, as_json: bool) -> int:
    """Say what went wrong, where its reader looks for it; the exit code."""
    error = _for_people(raised)
    if as_json:
        document = {"error": error.document()}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        click.echo(pages.encoded(text))
    else:
        click.echo(f"stenella: {printable(headline(error))}", err=True)
        for problem in error.problems:
            for line in problem_lines(problem, error.sources):
                click.echo(line, err=True)
    return error.exit_code


def _for_people(error: BaseException) -> StenellaError:
    match error:
        case StenellaError():
            return error
        case click.ClickException():
            ctx = getattr(error, "ctx", None)
            hint = f"; see `{ctx.command_path} --help`" if ctx is not None else ""
            return Usage(error.format_message().rstrip(".") + hint)
        case KeyboardInterrupt() | click.Abort():
            return Interrupted("interrupted")
        case OSError() if error.errno in NO_ROOM:
            what = error.filename or "its output"
            return RefusedInState(f"{what} cannot be written: {error.strerror}; make room for it")
    if os.environ.get("STENELLA_DEBUG"):
        traceback.print_exception(error)
    return Bug(f"{type(error).__name__}: {error}; {REPORT_HINT}")
