"""Logs of attempts as files: bounded, with a hole while the task writes, cut to size at its end.

A task writes straight to its file. What grows above ``worker.log_bytes_max`` loses its middle: the
warden makes a hole there (see `runtime/warden_logs.py`), so offsets stay what they are and nobody
copies; when the task has ended, `settle` leaves its head, a line that says how much was cut, its
tail, and such a line again. Readers pass over holes, and over the cut.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

CHUNK_BYTES = 256 * 1024
#: Between head and tail, and at the end: with these a cut log is still below its limit.
LINE_BYTES_MAX = 200
#: Where the last line is looked for: a note about undeclared outputs may follow it.
LAST_BYTES = 4 * 1024
_LAST_LINE = re.compile(
    rb"\nstenella: (\d{1,18}) of (\d{1,18}) bytes of this log are not kept: [^\n]*\n"
)
WHY = "its middle was cut to stay below worker.log_bytes_max"


class Page(NamedTuple):
    """What was read, where it begins (behind a hole: later than asked for), the file's length."""

    offset: int
    data: bytes
    size: int


def head_bytes(limit: int) -> int:
    """How much of the beginning is kept of a log above ``limit``: the half, in whole blocks."""
    return limit // 2 // 4096 * 4096


def read_page(path: Path, offset: int, limit: int) -> Page:
    """At most ``limit`` bytes from ``offset`` on, none of them of a hole.

    An ``offset`` beyond the end of a log that was cut since belongs to the log as it was: what is
    left of it comes from the tail. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        size = found.st_size
        if offset > size:
            offset = _within(descriptor, size, offset)
        begin, end = _data_from(descriptor, offset, size)
        return Page(begin, os.pread(descriptor, max(0, min(limit, end - begin)), begin), size)
    finally:
        os.close(descriptor)


def pieces(path: Path) -> Iterator[bytes]:
    """The whole log as it is now, with a line where something is missing. Raises OSError."""
    offset = 0
    while True:
        page = read_page(path, offset, CHUNK_BYTES)
        if page.offset > offset:
            yield gap_line(page.offset - offset)
        yield page.data
        offset = page.offset + len(page.data)
        if not page.data:
            return


def gap_line(count: int) -> bytes:
    """The line that stands for ``count`` bytes that are not kept."""
    return f"\nstenella: {count} bytes of this log are not kept here\n".encode()


def settle(path: Path, limit: int) -> str:
    """Cut the log of an ended task to ``limit`` bytes; a sentence about it, empty if it is whole.

    May be called again, also after a crash in its middle. Needs room for a second copy; raises
    OSError where there is none, and the log stays as it is.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        found = os.fstat(descriptor)
        told = _cut_before(descriptor, found.st_size)
        if told is not None:
            return _sentence(*told[:2])
        if found.st_size <= limit:
            return ""
        hole, behind = _hole(descriptor, found.st_size)
        head = min(head_bytes(limit), hole)
        room = max(0, limit - head_bytes(limit) - 2 * LINE_BYTES_MAX)
        tail = max(found.st_size - room, behind)
        cut = tail - head
        _copy(path, descriptor, found, head, tail, cut)
    finally:
        os.close(descriptor)
    return _sentence(cut, found.st_size)


def _copy(
    path: Path, descriptor: int, found: os.stat_result, head: int, tail: int, cut: int
) -> None:
    """Put head, line, tail and line in the log's place, in one step."""
    fresh = path.with_name(path.name + ".cut")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with open(os.open(fresh, flags, 0o600), "wb") as file:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
            last = f"\nstenella: {cut} of {found.st_size} bytes of this log are not kept: {WHY}\n"
            _append(file, descriptor, 0, head)
            file.write(gap_line(cut))
            _append(file, descriptor, tail, found.st_size)
            file.write(last.encode())
        os.rename(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _append(file: BinaryIO, descriptor: int, begin: int, end: int) -> None:
    while chunk := os.pread(descriptor, min(CHUNK_BYTES, end - begin), begin):
        file.write(chunk)
        begin += len(chunk)


def _data_from(descriptor: int, offset: int, size: int) -> tuple[int, int]:
    """The first stretch of data at or behind ``offset``."""
    if offset >= size:
        return size, size
    try:
        begin = os.lseek(descriptor, offset, os.SEEK_DATA)
        return begin, os.lseek(descriptor, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # it was emptied meanwhile
            return size, size
        return offset, size  # a file system that knows no holes


def _hole(descriptor: int, size: int) -> tuple[int, int]:
    """Begin and end of the hole that the warden has made; both the end if there is none."""
    _, hole = _data_from(descriptor, 0, size)
    behind, _ = _data_from(descriptor, hole, size)
    return hole, behind if hole < size else 0


def _cut_before(descriptor: int, size: int) -> tuple[int, int, int] | None:
    """How much of how much is not kept and where the tail ends, if the last lines say so."""
    start = max(0, size - LAST_BYTES)
    told = _LAST_LINE.search(os.pread(descriptor, LAST_BYTES, start))
    return (int(told[1]), int(told[2]), start + told.start()) if told else None


def _within(descriptor: int, size: int, offset: int) -> int:
    """Where the rest behind ``offset`` of the log as it was stands now."""
    told = _cut_before(descriptor, size)
    if told is None:
        return size
    _, was, end = told
    return max(0, end - max(0, was - offset))


def _sentence(cut: int, of: int) -> str:
    return f"{cut:,} of the {of:,} bytes of its log are not kept: {WHY}"
