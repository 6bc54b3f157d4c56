"""`Client` against a door that answers, repeats itself, keeps silent, leaves and comes back."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from stenella.actors.master.gateway import LIST_LIMIT_MAX
from stenella.client.client import Client
from stenella.home import endpoints
from stenella.home.layout import Home
from stenella.protocol.commands import (
    Command,
    FromClient,
    InstanceList,
    InstancePage,
    Refused,
    StatusRead,
    Submit,
)
from stenella.protocol.errors import (
    DefinitionRefused,
    RefusedInState,
    Unreachable,
    Usage,
    WaitTimeout,
)
from stenella.workflow.definition import decode

from .door import CLUSTER, Door, Script, page, result

pytestmark = pytest.mark.live

WORKFLOW = {
    "name": "w",
    "params": {"n": {"type": "integer"}},
    "tasks": [{"name": "a", "type": "noop"}],
}
FINE: dict[str, list[Any]] = {"masters": [], "workers": []}
OTHER = {"masters": [{"id": 1, "pid": 2, "endpoint": ""}], "workers": []}
Open = Callable[[Script], Door]


def test_a_submit_is_answered_with_its_instance(open_door: Open, client: Client) -> None:
    door = open_door(lambda request, _: [result(request, workflow_instance_id=7)])

    instance = client.submit(WORKFLOW, {"n": "3"}, "r1", submit_dir="/")

    (request,) = door.requests
    assert instance.id == 7
    assert isinstance(request, Submit)
    assert (request.request_id, request.params, request.submit_dir) == ("r1", {"n": "3"}, "/")
    assert msgspec.json.decode(request.definition)["name"] == "w"


def test_a_file_is_submitted_from_where_the_program_runs_if_not_said_otherwise(
    open_door: Open, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door(lambda request, _: [result(request, workflow_instance_id=7)])
    (tmp_path / "job.sh").write_text("#!/bin/sh\npwd\n")
    monkeypatch.chdir(tmp_path)

    client.submit("job.sh")
    client.submit(tmp_path / "job.sh", submit_dir="/")
    client.submit(WORKFLOW, {"n": 1})

    submits = [request for request in door.requests if isinstance(request, Submit)]
    assert [submit.submit_dir for submit in submits] == [str(tmp_path), "/", None]
    folders = [decode(submit.definition).tasks[0].working_dir for submit in submits]
    assert folders == [str(tmp_path), "/", None]


def test_many_submits_bring_the_definition_once_and_do_not_wait_for_each_other(
    open_door: Open, client: Client
) -> None:
    def backwards(request: FromClient, _copy: int) -> list[Command]:
        assert isinstance(request, Submit)
        if request.definition:
            return [result(request, workflow_instance_id=1)]
        if len(door.requests) < 3:
            return []
        numbers = [(door.requests[place], 1 + place) for place in (2, 1)]
        return [result(earlier, workflow_instance_id=number) for earlier, number in numbers]

    door = open_door(backwards)

    instances = client.submit_many(WORKFLOW, [{"n": 4}, {"n": 5}, {"n": 6}], ["a", "b", "c"])

    assert [instance.id for instance in instances] == [1, 2, 3]
    requests = [request for request in door.requests if isinstance(request, Submit)]
    sent = [(r.request_id, r.params["n"], bool(r.definition)) for r in requests]
    assert sent == [("a", 4, True), ("b", 5, False), ("c", 6, False)]


def test_of_many_submits_none_is_sent_if_the_parameters_of_one_are_wrong(
    open_door: Open, client: Client
) -> None:
    door = open_door(lambda request, _: [])

    with pytest.raises(Usage):
        client.submit_many(WORKFLOW, [{"n": 4}, {"m": 5}])
    assert client.submit_many(WORKFLOW, []) == []
    assert door.requests == []


def test_the_digest_of_a_submit_tells_its_contents_apart(open_door: Open, client: Client) -> None:
    door = open_door(lambda request, _: [result(request, workflow_instance_id=7)])

    for number in (1, 1, 2):
        client.submit(WORKFLOW, {"n": number})

    first, again, other = (r.digest for r in door.requests if isinstance(r, Submit))
    assert first == again != other


@pytest.mark.slow
def test_a_lost_answer_is_asked_for_again_with_the_same_id(open_door: Open, client: Client) -> None:
    door = open_door(lambda request, copy: [page(request, FINE)] if copy == 2 else [])

    assert client.status() == FINE

    assert len({request.request_id for request in door.requests}) == 1
    assert len(door.requests) == 2


def test_as_many_instances_come_as_are_asked_for_whatever_a_master_gives_at_a_time(
    open_door: Open, client: Client
) -> None:
    def newest(request: FromClient, _copy: int) -> list[Command]:
        assert isinstance(request, InstanceList)
        last = min(request.before or 3_001, 3_001) - 1
        ids = range(last, max(0, last - min(request.limit, LIST_LIMIT_MAX)), -1)
        return [page(request, [{"workflow_instance_id": number} for number in ids])]

    open_door(newest)

    def ids(limit: int, before: int = 0) -> list[int]:
        return [found["workflow_instance_id"] for found in client.instances(limit, before)]

    assert ids(2_500) == list(range(3_000, 500, -1))
    assert ids(5_000, before=2_001) == list(range(2_000, 0, -1))
    assert ids(2) == [3_000, 2_999]
    assert ids(0) == []


def test_answers_to_other_requests_are_dropped(open_door: Open, client: Client) -> None:
    old = InstancePage(request_id="of yesterday", page=FINE)
    open_door(lambda request, _: [old, page(request, OTHER), page(request, FINE)])

    assert [client.status(), client.status()] == [OTHER, OTHER]


def test_a_refusal_is_raised_as_what_it_is(open_door: Open, client: Client) -> None:
    def refuse(request: FromClient, _: int) -> list[Command]:
        busy = Refused(request_id=request.request_id, exit_code=6, code="busy", message="no room")
        return [busy]

    open_door(refuse)

    with pytest.raises(RefusedInState, match="no room") as refusal:
        client.status()
    assert refusal.value.document()["code"] == "busy"


def test_an_answer_that_never_comes_ends_with_the_request_id(open_door: Open, home: Home) -> None:
    open_door(lambda _request, _copy: [])

    with Client(home.root, limit_s=0.1) as client, pytest.raises(WaitTimeout, match="r7") as end:
        client.submit(WORKFLOW, {"n": 1}, "r7")
    assert end.value.exit_code == 7


def test_without_a_home_nobody_is_reachable(tmp_path: Path) -> None:
    with Client(tmp_path / "nowhere") as client, pytest.raises(Unreachable, match="up --detach"):
        client.status()
    assert not (tmp_path / "nowhere").exists()


def test_a_home_without_a_master_is_told_at_once(home: Home) -> None:
    started = time.monotonic()

    with Client(home.root) as client, pytest.raises(Unreachable, match="no cluster is up"):
        client.status()
    assert time.monotonic() - started < 2


def test_a_wrong_key_is_told_within_three_seconds(open_door: Open, client: Client) -> None:
    door = open_door(lambda request, _: [page(request, FINE)])
    door.publish(zmq.curve_keypair()[0])
    started = time.monotonic()

    with pytest.raises(Unreachable, match="key refused"):
        client.status()
    assert time.monotonic() - started < 3


def test_a_master_by_its_endpoint_is_met_with_the_keys_of_the_home(
    open_door: Open, home: Home
) -> None:
    door = open_door(lambda request, _: [page(request, FINE)])
    endpoints.remove(home)

    with Client(home.root, door.endpoint) as client:
        assert client.status() == FINE


@pytest.mark.slow
def test_a_master_that_comes_back_elsewhere_gets_the_same_request(
    open_door: Open, client: Client
) -> None:
    first_taken = threading.Event()

    def keep_silent(_request: FromClient, _copy: int) -> list[Command]:
        first_taken.set()
        return []

    first = open_door(keep_silent)
    later: list[Door] = []

    def restart() -> None:
        first_taken.wait(10)
        first.close()
        later.append(open_door(lambda request, _: [page(request, FINE)]))

    restarter = threading.Thread(target=restart)
    restarter.start()
    answer = client.status()
    restarter.join(10)

    assert answer == FINE
    assert first.endpoint != later[0].endpoint
    assert first.requests[0] == later[0].requests[0]


def test_a_master_that_left_on_purpose_is_not_waited_for(
    open_door: Open, home: Home, client: Client
) -> None:
    door = open_door(lambda request, _: [page(request, FINE)])
    client.status()
    endpoints.remove(home)
    door.close()
    started = time.monotonic()

    with pytest.raises(Unreachable):
        client.status()
    assert time.monotonic() - started < 3


def test_a_master_of_another_version_is_named_as_such(home: Home, client: Client) -> None:
    class OtherVersion(Door):
        def _serve(self) -> None:
            while not self._leave.is_set():
                if self._socket.poll(10):
                    peer, _body = self._socket.recv_multipart()
                    frame = msgspec.msgpack.encode((99, CLUSTER, "master", "b", []))
                    self._socket.send_multipart([peer, frame])
            self._context.destroy(linger=0)

    door = OtherVersion(home, lambda _request, _copy: [])
    try:
        with pytest.raises(RefusedInState, match="another version"):
            client.status()
    finally:
        door.close()


def test_a_bad_definition_is_refused_before_anybody_is_asked(
    open_door: Open, client: Client
) -> None:
    door = open_door(lambda _request, _copy: [])

    with pytest.raises(DefinitionRefused) as refusal:
        client.submit({"name": "w", "tasks": [{"name": "a", "kind": "noop"}]})
    assert [problem.path for problem in refusal.value.problems] == ["tasks[0].kind", "tasks[0]"]
    assert door.requests == []


def test_wrong_parameters_are_refused_before_anybody_is_asked(
    open_door: Open, client: Client
) -> None:
    door = open_door(lambda _request, _copy: [])

    with pytest.raises(Usage):
        client.submit(WORKFLOW, {"m": 1})
    assert door.requests == []


def test_requests_of_one_client_share_a_connection(open_door: Open, client: Client) -> None:
    door = open_door(lambda request, _: [page(request, FINE)])

    for _ in range(3):
        client.status()

    assert [type(request) for request in door.requests] == [StatusRead] * 3
