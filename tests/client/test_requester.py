"""Many requests under way at the same time, at a door that answers in its own order."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stenella.client.requester import WINDOW, Requester
from stenella.home.layout import Home, open_home
from stenella.protocol.commands import Command, FromClient, InstancePage, Refused, StatusRead
from stenella.protocol.errors import RefusedInState

from .door import Door, page

pytestmark = pytest.mark.live


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def asking(home: Home) -> Iterator[Requester]:
    made = Requester(home.root, None, None, limit_s=20)
    yield made
    made.close()


def reads(count: int) -> list[StatusRead]:
    return [StatusRead(request_id=f"r{number}") for number in range(count)]


def test_answers_are_given_as_they_come(home: Home, asking: Requester) -> None:
    def backwards(request: FromClient, _: int) -> list[Command]:
        if len(door.requests) < 3:
            return []
        return [page(earlier, earlier.request_id) for earlier in reversed(door.requests)]

    with closing(Door(home, backwards)) as door:
        found = [(name, reply.page) for name, reply in asking.ask_each(reads(3), InstancePage)]

    assert found == [("r2", "r2"), ("r1", "r1"), ("r0", "r0")]


def test_no_more_are_under_way_than_the_window_has(home: Home, asking: Requester) -> None:
    def all_at_once(request: FromClient, _: int) -> list[Command]:
        if len(door.requests) not in (WINDOW, WINDOW + 5):
            return []
        return [page(earlier, 0) for earlier in door.requests]

    with closing(Door(home, all_at_once)) as door:
        found = [name for name, _ in asking.ask_each(reads(WINDOW + 5), InstancePage)]

    assert found == [request.request_id for request in reads(WINDOW + 5)]
    assert len(door.requests) == WINDOW + 5


@pytest.mark.slow
def test_only_what_was_not_answered_is_asked_again(home: Home, asking: Requester) -> None:
    def loses_one(request: FromClient, copies: int) -> list[Command]:
        return [] if request.request_id == "r1" and copies == 1 else [page(request, 0)]

    with closing(Door(home, loses_one)) as door:
        found = [name for name, _ in asking.ask_each(reads(3), InstancePage)]

    assert found == ["r0", "r2", "r1"]
    assert [request.request_id for request in door.requests] == ["r0", "r1", "r2", "r1"]


def test_the_first_refusal_is_raised(home: Home, asking: Requester) -> None:
    def refuses(request: FromClient, _: int) -> list[Command]:
        if request.request_id != "r1":
            return [page(request, 0)]
        name = request.request_id
        return [Refused(request_id=name, exit_code=6, code="refused", message="no")]

    with closing(Door(home, refuses)), pytest.raises(RefusedInState, match="no"):
        list(asking.ask_each(reads(3), InstancePage))
