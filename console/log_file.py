"""The log of one attempt, read piece by piece: from this home's file, else from its worker.

Going by the file costs nobody a turn; a worker elsewhere is asked through the master.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from ..client.reads import Reads
from ..home.layout import Home
from ..home.logs import CHUNK_BYTES, Page, gap_line, read_page
from ..protocol.errors import NotAllowed, NotFound
from .history import find_log

#: What is looked at for the beginning of the last lines, from the end backwards.
TAIL_STEP_BYTES = 64 * 1024
#: `--tail` of a log whose lines are endless gives at most so much.
TAIL_BYTES_MAX = 16 * 1024 * 1024


class LogFile(Protocol):
    """The bytes of an attempt's log, as far as they are there."""

    def size(self) -> int: ...

    def read(self, offset: int, limit: int) -> Page:
        """Some bytes from ``offset`` on, or from behind what is not kept there; none at the end."""


class LocalLog:
    """A file of this home."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self) -> int:
        return self._path.stat().st_size

    def read(self, offset: int, limit: int) -> Page:
        try:
            return read_page(self._path, offset, limit)
        except OSError as error:
            raise NotAllowed(f"the log {self._path} cannot be read: {error.strerror}") from error


class RemoteLog:
    """A file on a worker that is elsewhere."""

    def __init__(self, client: Reads, task_instance_id: int, attempt: int) -> None:
        self._client = client
        self._task_instance_id = task_instance_id
        self._attempt = attempt

    def size(self) -> int:
        return self._client.log_page(self._task_instance_id, self._attempt, 0, limit=1).size

    def read(self, offset: int, limit: int) -> Page:
        page = self._client.log_page(self._task_instance_id, self._attempt, offset, limit=limit)
        return Page(page.offset, page.data, page.size)


def open_log(
    home: Home | None,
    client: Reads | None,
    workflow_instance_id: int,
    task: dict[str, Any],
    attempt: int,
) -> LogFile | None:
    """None: it is neither in this home nor, if ``client`` may be asked, anywhere else.

    Raises `RefusedInState` where it may be and cannot be had: its worker is away.
    """
    path = find_log(home, workflow_instance_id, task["task_instance_id"], attempt)
    if path is not None:
        return LocalLog(path)
    was_placed = task["worker"] is not None or attempt < task["attempt"]
    if client is None or not was_placed:
        return None
    remote = RemoteLog(client, task["task_instance_id"], attempt)
    try:
        remote.size()
    except NotFound:  # not begun, or removed, and no words of it are left
        return None
    return remote


def pieces(log: LogFile, offset: int) -> Iterator[tuple[int, bytes]]:
    """What is there now, from ``offset`` on, each piece with the offset behind it; a line stands
    for what is not kept.
    """
    while (page := log.read(offset, CHUNK_BYTES)).data:
        if page.offset > offset:
            yield page.offset, gap_line(page.offset - offset)
        offset = page.offset + len(page.data)
        yield offset, page.data


def tail_offset(log: LogFile, lines: int) -> int:
    """Where the last ``lines`` lines begin; a last line that does not end counts, too."""
    end = start = log.size()
    wanted, first = lines, True
    if lines == 0:
        return end
    while start > max(0, end - TAIL_BYTES_MAX):
        step = min(TAIL_STEP_BYTES, start)
        page = log.read(start - step, step)
        chunk = page.data
        if page.offset + len(chunk) != start:
            return start  # what is not kept begins here
        position = len(chunk)
        if first and chunk.endswith(b"\n"):
            position -= 1  # it ends the last line and begins none
        first = False
        while (position := chunk.rfind(b"\n", 0, position)) >= 0:
            wanted -= 1
            if wanted == 0:
                return page.offset + position + 1
        if page.offset > start - step:
            return page.offset
        start -= step
    return start
