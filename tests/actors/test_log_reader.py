"""Pages of logs."""

import pytest

from stenella.actors.base import LogPage, ReadLog
from stenella.actors.worker.log_reader import PAGE_BYTES_MAX, LogReader
from stenella.protocol.commands import LogChunk, LogRead, Refused

from .builders import MASTER
from .recorder import Recorder, of


def ask(offset: int = 0, limit: int = 4_096) -> LogRead:
    return LogRead(
        request_id="r",
        task_instance_id=10,
        attempt=2,
        offset=offset,
        limit=limit,
        workflow_instance_id=7,
    )


def test_a_log_is_named_by_ids_never_by_a_path() -> None:
    asked = Recorder().give(LogReader(MASTER), ask(offset=5))

    assert asked == [("perform", ReadLog(ask(offset=5), "7/10.2.log", 5, 4_096))]


@pytest.mark.parametrize(
    ("limit", "taken"),
    [(PAGE_BYTES_MAX, PAGE_BYTES_MAX), (PAGE_BYTES_MAX + 1, PAGE_BYTES_MAX)],
)
def test_a_page_fits_into_a_frame(limit: int, taken: int) -> None:
    [read] = of(Recorder().give(LogReader(MASTER), ask(limit=limit)), "perform")

    assert read.limit == taken


def test_a_page_goes_to_the_master_with_its_place() -> None:
    ctx, reader = Recorder(), LogReader(MASTER)
    ctx.give(reader, ask(offset=5))
    assert reader.held() == 1

    asked = ctx.give(reader, LogPage(ask(offset=5), b"rest", 9, True, 5))

    chunk = LogChunk(request_id="r", attempt=2, offset=5, data=b"rest", size=9, complete=False)
    assert asked == [("send", MASTER, chunk)]
    assert reader.held() == 0


def test_a_log_that_is_not_there_is_refused_and_not_an_empty_one() -> None:
    ctx, reader = Recorder(), LogReader(MASTER)
    ctx.give(reader, ask())

    [(_, _, refusal)] = ctx.give(reader, LogPage(ask(), b"", 0, False, 0))

    assert isinstance(refusal, Refused)
    assert (refusal.request_id, refusal.exit_code, refusal.code) == ("r", 3, "not_found")
    assert reader.held() == 0
