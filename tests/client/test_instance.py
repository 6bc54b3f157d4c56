"""`Instance` against a door that plays its run: waiting, what came of it, logs."""

from collections.abc import Callable
from typing import Any

import pytest

from stenella.client.client import Client
from stenella.protocol.commands import (
    Command,
    FromClient,
    InstanceChanged,
    InstanceRead,
    InstanceWatch,
    LogChunk,
    LogRead,
)
from stenella.protocol.errors import NotFound, WaitTimeout, WorkflowFailed

from .door import Door, Script, page

pytestmark = pytest.mark.live

Open = Callable[[Script], Door]


def run_of(states: list[str]) -> Script:
    """An instance that goes through ``states``, one a watch, and then can be read."""
    watches = 0

    def answer(request: FromClient, _copy: int) -> list[Command]:
        nonlocal watches
        task = {"task_instance_id": 3, "name": "a", "type": "shell", "state": states[-1]}
        tasks = [{**task, "reason": "exit_nonzero", "outputs": {"rows": 5}}]
        if isinstance(request, InstanceWatch):
            state = states[min(watches, len(states) - 1)]
            watches += 1
            instance = {"workflow_instance_id": request.workflow_instance_id, "state": state}
            document = {"instance": instance, "counts": {}, "tasks": tasks, "last": watches}
            return [
                InstanceChanged(request_id=request.request_id, page={**document, "next_node": None})
            ]
        assert isinstance(request, InstanceRead)
        ids = {"workflow_instance_id": 7, "dry_run": False}
        return [page(request, {**ids, "state": states[-1], "tasks": tasks})]

    return answer


def test_wait_goes_on_after_the_last_event_until_the_end(open_door: Open, client: Client) -> None:
    door = open_door(run_of(["SUBMITTED_SUCCESS", "RUNNING_EXECUTION", "SUCCESS"]))

    document = client.instance(7).wait()

    assert (document["state"], document["tasks"][0]["name"]) == ("SUCCESS", "a")
    assert [type(request) for request in door.requests] == [InstanceWatch] * 3


def test_tasks_that_do_not_fit_the_news_of_an_end_are_read_after_it(
    open_door: Open, client: Client
) -> None:
    def answer(request: FromClient, _copy: int) -> list[Command]:
        instance = {"workflow_instance_id": 7, "state": "SUCCESS"}
        if isinstance(request, InstanceWatch):
            news = {"instance": instance, "counts": {}, "tasks": ["a"], "next_node": 1, "last": 0}
            return [InstanceChanged(request_id=request.request_id, page=news)]
        assert isinstance(request, InstanceRead)
        assert request.from_node == 1
        return [page(request, {**instance, "tasks": ["b"]})]

    open_door(answer)

    assert client.instance(7).wait()["tasks"] == ["a", "b"]


def test_wait_gives_up_at_its_time_and_says_that_the_instance_goes_on(
    open_door: Open, client: Client
) -> None:
    open_door(run_of(["RUNNING_EXECUTION"]))

    with pytest.raises(WaitTimeout, match=r"instance 7 has .* it goes on"):
        client.instance(7).wait(timeout=0)
    with pytest.raises(WaitTimeout, match="2 instances have"):
        client.wait_many([client.instance(7), client.instance(8)], timeout=0)


@pytest.mark.slow
def test_a_busy_instance_is_not_watched_more_than_ten_times_a_second(
    open_door: Open, client: Client
) -> None:
    door = open_door(run_of(["RUNNING_EXECUTION"]))

    with pytest.raises(WaitTimeout):
        client.instance(7).wait(timeout=1)

    assert len(door.requests) < 200  # ever slower in its first second; else some thousands


def test_many_are_waited_for_together_and_given_in_their_order(
    open_door: Open, client: Client
) -> None:
    def backwards(request: FromClient, _copy: int) -> list[Command]:
        if len(door.requests) < 3:
            return []
        answer = run_of(["SUCCESS"])
        return [answer(earlier, 1)[0] for earlier in reversed(door.requests)]

    door = open_door(backwards)
    instances = [client.instance(number) for number in (7, 9, 8, 7)]

    documents = client.wait_many(instances)

    assert [document["workflow_instance_id"] for document in documents] == [7, 9, 8, 7]
    assert len(door.requests) == 3


def test_check_names_what_failed(open_door: Open, client: Client) -> None:
    open_door(run_of(["FAILURE"]))

    with pytest.raises(WorkflowFailed, match=r"7 is FAILURE: a \(exit_nonzero\)"):
        client.instance(7).check()


def test_outputs_are_by_task_and_name(open_door: Open, client: Client) -> None:
    open_door(run_of(["SUCCESS"]))

    assert client.instance(7).outputs == {"a": {"rows": 5}}


def test_a_log_is_read_page_by_page(open_door: Open, client: Client) -> None:
    log = "größer\n".encode()
    instance_reads = run_of(["SUCCESS"])

    def answer(request: FromClient, copy: int) -> list[Command]:
        if not isinstance(request, LogRead):
            return instance_reads(request, copy)
        chunk = log[request.offset : request.offset + 3]
        return [
            LogChunk(
                request_id=request.request_id,
                attempt=1,
                offset=request.offset,
                data=chunk,
                size=len(log),
                complete=True,
            )
        ]

    open_door(answer)

    assert client.instance(7).logs("a") == "größer\n"
    with pytest.raises(NotFound):
        client.instance(7).logs("b")


@pytest.mark.parametrize("fields", [{"type": "noop"}, {"dry_run": True}])
def test_what_writes_nothing_has_an_empty_log_and_nobody_is_asked(
    open_door: Open, client: Client, fields: dict[str, Any]
) -> None:
    task = {"task_instance_id": 3, "name": "a", "type": "shell"} | fields
    whole = {"workflow_instance_id": 7, "dry_run": False, "tasks": [task]} | fields
    door = open_door(lambda request, _: [page(request, whole)])

    assert client.instance(7).logs("a") == ""
    assert [type(request) for request in door.requests] == [InstanceRead]
