"""Worker actor: answers pages of a task's log, by the attempt's ids, never by a path."""

from typing import assert_never

from ...protocol.commands import LogChunk, LogRead, Refused
from ..base import Boot, Context, LogPage, ReadLog

#: A page on the wire; well below the frame limit, above a screenful.
PAGE_BYTES_MAX = 256 * 1024

Inbox = Boot | LogRead | LogPage


class LogReader:
    """Owns nothing; each request is one read on the file thread."""

    def __init__(self, master: bytes) -> None:
        self.master = master
        self.reading = 0

    def held(self) -> int:
        """Reads under way."""
        return self.reading

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                return
            case LogRead():
                self.reading += 1
                name = log_name(
                    message.workflow_instance_id, message.task_instance_id, message.attempt
                )
                limit = min(message.limit, PAGE_BYTES_MAX)
                ctx.perform(ReadLog(message, name, message.offset, limit))
            case LogPage():
                self.reading -= 1
                ctx.send(self.master, _answer(message.token, message))
            case _:
                assert_never(message)


def _answer(request: LogRead, page: LogPage) -> LogChunk | Refused:
    """An empty log and none at all are not the same: for the second there may be last words."""
    if not page.exists:
        return Refused(
            request_id=request.request_id,
            exit_code=3,
            code="not_found",
            message="its worker has no log of this attempt: none yet, or it was removed",
        )
    return LogChunk(
        request_id=request.request_id,
        attempt=request.attempt,
        offset=page.offset,
        data=page.data,
        size=page.size,
        complete=False,
    )


def log_name(workflow_instance_id: int, task_instance_id: int, attempt: int) -> str:
    """Where a log lies below the worker's ``logs`` folder; made of ids only."""
    return f"{workflow_instance_id}/{task_instance_id}.{attempt}.log"
