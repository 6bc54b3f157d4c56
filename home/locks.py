"""Locks that end with their process: an flock with the holder's pid written inside.

The file is never removed: a remover could take away the file that another has just locked.
"""

import fcntl
import os
import time
from pathlib import Path

from ..protocol.errors import RefusedInState
from .files import PRIVATE_FILE_MODE

#: `holder` has to take the lock for some microseconds to see whether it is free; a start that
#: meets just that asks again instead of being refused. 10 × 10 ms outlasts a descheduled asker.
ASKS_MAX = 10
ASK_AGAIN_S = 0.01


class Lock:
    """Held until `release` or the end of the process; children do not inherit it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one in; a second call does nothing."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def hold(path: Path, what: str, mend: str = "end it first") -> Lock:
    """Take the lock at ``path`` and write our pid into it; does not wait for its holder.

    Raises `RefusedInState` naming the holder's pid; ``what`` begins the sentence: "the master".
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
    for _ in range(ASKS_MAX):
        if _lock(descriptor, fcntl.LOCK_EX):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            return Lock(descriptor)
        time.sleep(ASK_AGAIN_S)
    pid = _read_pid(descriptor)
    os.close(descriptor)
    who = "another process" if pid is None else f"process {pid}"
    raise RefusedInState(f"{what} of this home is already run by {who} ({path}): {mend}")


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock at ``path``; None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if _lock(descriptor, fcntl.LOCK_SH) else _read_pid(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(descriptor: int) -> int | None:
    """None between a holder's taking the lock and its writing."""
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
