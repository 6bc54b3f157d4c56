"""A cluster that lives on its own: for `up --detach`, and for a `run` that finds none.

The supervisor gets a session of its own, so neither Ctrl-C nor the end of the terminal reaches it,
and what it runs outlives the command that started it.
"""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..client.presence import is_held
from ..home import endpoints, locks
from ..home.layout import Home
from ..protocol.errors import ERRORS, StenellaError, Unreachable

START_S_MAX = 10.0  # `up` is ready within a second; ten times that is a machine in trouble
LOOK_PAUSE_S = 0.02  # short against the start, and a look costs microseconds
LAST_LINES = 5  # of its log, in an error


def ensure_cluster(home: Home, words: Sequence[str], say: Callable[[str], None]) -> bool:
    """Return when a master of this home is ready; whether it was this call that started it.

    ``words``: what `runtime/process.py` is to be if there is none. ``say`` is told, once, if there
    is something to wait for. Raises what the start was refused with, `Unreachable` if it takes
    longer than 10 s.
    """
    if _is_ready(home):
        return False
    say(f"starting a cluster in {home.root}")
    log = home.run / "supervisor.log"
    child = None if is_held(home) else _spawn(home, words, log)
    deadline = time.monotonic() + START_S_MAX
    while not _is_ready(home):
        if child is not None and child.poll():
            if not is_held(home):
                raise _refusal(child.returncode, log)
            child = None  # another one was first
        if child is None and not is_held(home):
            child = _spawn(home, words, log)  # the one that was leaving has left
        if time.monotonic() >= deadline:
            raise Unreachable(
                f"no cluster was ready in {home.root} within {START_S_MAX:g} s"
                f"{_last_words(log)}; see {home.run}, or try `stenella up` to watch it start"
            )
        time.sleep(LOOK_PAUSE_S)
    return child is not None


def _is_ready(home: Home) -> bool:
    """The endpoints may be those of a master that was killed: who wrote them must live."""
    master = endpoints.read(home)
    return master is not None and locks.holder(home.master_lock) == master.pid


def _spawn(home: Home, words: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    from ..runtime.process import PROGRAM

    with log.open("wb") as output:
        return subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home.root,
            env={**os.environ, "STENELLA_HOME": str(home.root)},
            start_new_session=True,
        )


def _refusal(exit_code: int, log: Path) -> StenellaError:
    """What the supervisor said last, as if it had been said here."""
    lines = _last_lines(log)
    said = lines[-1].removeprefix("stenella: ") if lines else "it said nothing"
    return ERRORS.get(exit_code, Unreachable)(f"no cluster can be started: {said}")


def _last_words(log: Path) -> str:
    lines = _last_lines(log)
    return "; its last words: " + " | ".join(lines) if lines else ""


def _last_lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # a `master start` by hand has no supervisor
        return []
    return text.splitlines()[-LAST_LINES:]
