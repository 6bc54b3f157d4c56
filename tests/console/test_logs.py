"""``logs`` of a task whose worker is away: told, and not as if it had written nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from stenella.home import locks
from stenella.home.layout import Home
from stenella.protocol.commands import (
    Command,
    FromClient,
    InstanceChanged,
    InstanceRead,
    InstanceWatch,
    LogChunk,
    LogRead,
    Refused,
)

from ..client.door import Door, page
from .conftest import Call
from .playing import START_S, task

pytestmark = pytest.mark.live

AWAY = "the log is on far, which is not connected"
LOGS = {1: b"from near\n", 2: b"from far\n"}


class Cluster:
    """``a`` has run on near, ``b`` runs on far, which is away for so many questions."""

    def __init__(self) -> None:
        self.refusals_left = 1_000_000
        self.watches_left = 0  # until the end

    def answer(self, request: FromClient, _copy: int) -> list[Command]:
        tasks = [task(1, "a", "SUCCESS"), task(2, "b", "RUNNING_EXECUTION") | {"worker": "far"}]
        instance: dict[str, Any] = {"workflow_instance_id": 7, "workflow": "w", "dry_run": False}
        instance |= {"state": "RUNNING_EXECUTION", "start_time": START_S, "end_time": None}
        match request:
            case InstanceRead():
                return [page(request, {**instance, "tasks": tasks})]
            case InstanceWatch():
                self.watches_left -= 1
                if self.watches_left < 0:
                    tasks[1] |= {"state": "SUCCESS", "end_time": START_S + 9}
                    instance |= {"state": "SUCCESS", "end_time": START_S + 9}
                changes = {"instance": instance, "counts": {}, "tasks": tasks, "last": 1}
                return [InstanceChanged(request_id=request.request_id, page=changes)]
            case LogRead():
                return [self.log(request)]
        raise AssertionError(request)

    def log(self, request: LogRead) -> Command:
        if request.task_instance_id == 2 and self.refusals_left:
            self.refusals_left -= 1
            return Refused(
                request_id=request.request_id, exit_code=6, code="worker_away", message=AWAY
            )
        log = LOGS[request.task_instance_id]
        return LogChunk(
            request_id=request.request_id,
            attempt=1,
            offset=request.offset,
            data=log[request.offset : request.offset + request.limit],
            size=len(log),
            complete=False,
        )


@pytest.fixture
def cluster(home: Home) -> Iterator[Cluster]:
    played = Cluster()
    lock = locks.hold(home.master_lock, "the master")
    door = Door(home, played.answer)
    yield played
    door.close()
    lock.release()


def test_of_one_task_it_is_an_error(call: Call, cluster: Cluster) -> None:
    outcome = call("logs", "7/b")
    told = call("logs", "7/b", "--json")

    assert (outcome.code, outcome.out) == (6, "")
    assert AWAY in outcome.err
    assert (told.code, told.document["error"]["code"]) == (6, "worker_away")


def test_of_an_instance_the_others_are_shown(call: Call, cluster: Cluster) -> None:
    outcome = call("logs", 7)
    told = call("logs", 7, "--json")

    assert (outcome.code, outcome.out) == (6, "a │ from near\n")
    assert outcome.err == f"{AWAY}\n"
    assert told.code == 6
    assert [row["text"] for row in told.document] == ["from near\n", None]


def test_who_follows_is_told_once_and_reads_on_when_the_worker_is_back(
    call: Call, cluster: Cluster
) -> None:
    cluster.refusals_left, cluster.watches_left = 2, 4

    outcome = call("logs", "7/b", "-f")

    assert (outcome.code, outcome.out, outcome.err) == (0, "from far\n", f"{AWAY}\n")


def test_who_follows_to_an_end_that_cannot_be_read_is_told_so(call: Call, cluster: Cluster) -> None:
    outcome = call("logs", 7, "-f")

    assert (outcome.code, outcome.out, outcome.err) == (6, "a │ from near\n", f"{AWAY}\n")
