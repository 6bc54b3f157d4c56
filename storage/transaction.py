"""One transaction of SQLite, all or nothing, and what its failures mean.

Used by the master's journal and by the worker's, whose process has no peewee.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..protocol.errors import NotAllowed, RefusedInState, StenellaError
from ..protocol.rows import CommitFinal, CommitRefused, CommitTransient, CommitUnknown

#: How long a statement waits for another process's lock; it holds the storage thread, so short:
#: the turn repeats a busy commit itself.
BUSY_TIMEOUT_MS = 1_000

#: Primary codes after which the same batch may succeed later (DESIGN section 4, Outcome).
TRANSIENT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)

#: What a person calls it; the start of `storage_stalled`'s reason.
WORDS = {
    sqlite3.SQLITE_BUSY: "the database is locked by another process",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file system is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_NOMEM: "memory is short",
}

#: What a statement may raise. The sqlite3 module says MemoryError for NOMEM; the last two are data
#: that SQLite cannot hold, which the codec keeps out.
FAILURES = (sqlite3.Error, MemoryError, OverflowError, UnicodeEncodeError)


#: Of these, what a row's content is the cause of.
BY_DATA = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code; None if the error did not come from SQLite itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the rest is the extended code


@contextmanager
def classified() -> Iterator[None]:
    """Raise what the statements inside raise as one of `CommitTransient`, `CommitFinal`."""
    try:
        yield
    except FAILURES as error:
        kind: type[Exception] = CommitFinal
        if isinstance(error, MemoryError) or primary_code(error) in TRANSIENT:
            kind = CommitTransient
        elif isinstance(error, BY_DATA):
            kind = CommitRefused
        raise kind(_sentence(error)) from error


def _sentence(error: BaseException) -> str:
    return f"{WORDS.get(primary_code(error) or -1, type(error).__name__)}: {error}"


def _commit(connection: sqlite3.Connection) -> None:
    """An I/O error here does not say whether the log already holds the transaction whole."""
    try:
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if primary_code(error) == sqlite3.SQLITE_IOERR:
            raise CommitUnknown(f"the answer to a commit is lost: {error}") from error
        raise


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Begin, run what is inside, commit; roll back whatever is raised, and classify it.

    Raises:
        CommitTransient, CommitFinal: nothing of it is stored.
        CommitUnknown: perhaps all of it is; open the database anew and look.
    """
    with classified():
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            _commit(connection)
        finally:
            if connection.in_transaction:  # a full disk has rolled back by itself
                connection.execute("ROLLBACK")


def refusal(path: Path | None, error: BaseException) -> StenellaError:
    """The sentence for a person whose database cannot be opened."""
    refused = _refusal(path, error)
    full_or_failing = primary_code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    refused.passes = full_or_failing or _is_read_only(path)
    return refused


def _is_read_only(path: Path | None) -> bool:
    """Whether the whole file system is, as a kernel makes it after an error of the disk."""
    if path is None:
        return False
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _refusal(path: Path | None, error: BaseException) -> StenellaError:
    match primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return RefusedInState(f"{path} is locked by another process; end it and try again")
        case sqlite3.SQLITE_FULL:
            return RefusedInState(f"the disk that holds {path} is full; free some space")
        case sqlite3.SQLITE_READONLY if _is_read_only(path):
            return RefusedInState(f"the file system of {path} is read-only; mount it writable")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return NotAllowed(f"{path} cannot be opened ({error}); make it and its folder yours")
        case sqlite3.SQLITE_IOERR:
            return RefusedInState(f"{path} cannot be read ({error}); look after the disk")
    return damaged(path, str(error))


def damaged(path: Path | None, what: str) -> RefusedInState:
    """The refusal of a database that is not as we left it; it is never made anew."""
    return RefusedInState(
        f"{path} is damaged ({what}); it was left as it is. Put a copy back, or move it away to "
        "begin with an empty history"
    )
