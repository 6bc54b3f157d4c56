"""Who runs what, and how often it is said (DESIGN sections 3 and 5)."""

from typing import Any

import pytest

from stenella.actors.base import Boot, Timer
from stenella.actors.master.capacity import INSTANT_MAX
from stenella.actors.master.dispatcher import Dispatcher, PlaceReady
from stenella.actors.master.messages import (
    Answered,
    DrainAll,
    Ended,
    NotPlaced,
    Occupied,
    Place,
    PlaceAll,
    Placed,
    PlacedAll,
    Return,
    SendAgain,
    SendKill,
    Withdrawn,
    WorkerSilent,
)
from stenella.protocol.commands import HeartbeatAck

from .builders import (
    EPOCH,
    PEER,
    accepted,
    beat,
    kill,
    killed,
    ready,
    refused,
    request,
    worker_up,
)
from .recorder import Recorder, of, told

TABLE_MS = (1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 40_000, 100_000, 100_000)


def dispatcher(ctx: Recorder, *messages: Any) -> Dispatcher:
    """A dispatcher that has received these; the first dispatch it makes is 100."""
    made = Dispatcher(EPOCH)
    ctx.counters.dispatch = 100
    for message in (Boot(), *messages):
        step(ctx, made, message)
    return made


def step(
    ctx: Recorder, made: Dispatcher, message: Any, peer: bytes = b"", sender: str = ""
) -> list[tuple[Any, ...]]:
    """Let it receive, and place what it says it will place at the end of this moment."""
    asked = ctx.give(made, message, peer, sender)
    place = ("tell", "dispatcher", PlaceReady())
    if place in asked:
        asked.remove(place)
        asked += ctx.give(made, PlaceReady())
    return asked


def places(asked: list[tuple[Any, ...]]) -> list[tuple[int, str]]:
    """What is to be placed where, by this one message."""
    messages = told(asked, "event_persister")
    found = [place for message in messages for place in message.places]
    return [(place.task_instance_id, place.worker) for place in found]


def hear(ctx: Recorder, made: Dispatcher, answer: Any, sender: str = "w1") -> list[Any]:
    """An answer from a worker's key."""
    return step(ctx, made, answer, PEER, sender)


def comes_back(ctx: Recorder, made: Dispatcher) -> list[tuple[int, str]]:
    """The persister's answer to a `Return` of task 10, dispatch 100; what is placed then."""
    asked = step(ctx, made, ready(10, returned_from=100)) + step(ctx, made, Ended("w1", 100))
    return places(asked)


PLACED = PlacedAll([Placed("w1", request())])
#: Task 10 is placed on w1 (one slot) as dispatch 100, and its request is on its way.
SENT = (worker_up(), ready(10), PLACED)


# --- choosing ------------------------------------------------------------------------------------


def test_a_ready_task_is_placed_on_a_worker_with_a_free_slot() -> None:
    ctx = Recorder()

    asked = step(ctx, dispatcher(ctx, worker_up()), ready(10))

    assert asked == [("tell", "event_persister", PlaceAll([Place(10, "w1", "b1", 100)]))]


def test_a_task_waits_until_a_worker_comes_up() -> None:
    ctx = Recorder()
    waiting = dispatcher(ctx, ready(10))

    assert waiting.held() == 1
    assert places(step(ctx, waiting, worker_up())) == [(10, "w1")]


def test_a_full_worker_is_given_nothing() -> None:
    ctx = Recorder()
    full = dispatcher(ctx, worker_up(slots=2), ready(10), ready(11))

    assert step(ctx, full, ready(12)) == []
    assert places(step(ctx, full, Ended("w1", 101))) == [(12, "w1")]


def test_a_slot_is_held_from_the_placing_on_and_free_when_it_is_not_placed() -> None:
    ctx = Recorder()
    full = dispatcher(ctx, worker_up(slots=2), *(ready(number) for number in range(10, 14)))

    refused = [*ctx.give(full, NotPlaced("w1", 100)), *ctx.give(full, NotPlaced("w1", 101))]

    assert refused == [("next_turn", PlaceReady())]  # what follows may be refused, too, and so on
    ctx.wait(1)
    assert places(ctx.give(full, PlaceReady())) == [(12, "w1"), (13, "w1")]
    assert ctx.give(full, NotPlaced("w1", 102)) == [("next_turn", PlaceReady())]


def test_a_slot_that_the_rows_say_is_held_is_held() -> None:
    ctx = Recorder()
    full = dispatcher(ctx, Occupied("w1", 7, 99, "shell"), worker_up())

    assert step(ctx, full, ready(10)) == []
    assert places(step(ctx, full, Ended("w1", 7))) == [(10, "w1")]


def test_what_holds_no_slot_goes_to_a_full_worker_up_to_a_number() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(slots=1), ready(10))

    placed = [
        place
        for number in range(INSTANT_MAX + 5)
        for place in places(step(ctx, made, ready(100 + number, task_type="noop")))
    ]

    assert placed == [(100 + number, "w1") for number in range(INSTANT_MAX)]
    assert places(step(ctx, made, ready(11))) == []
    assert len(places(step(ctx, made, Ended("w1", 101)))) == 1


def test_what_ends_before_it_is_placed_waits_no_more() -> None:
    ctx = Recorder()
    waiting = dispatcher(ctx, ready(10), ready(11), ready(12, wait_ms=1_000))
    assert waiting.held() == 3

    for number in (10, 12):
        assert step(ctx, waiting, Withdrawn(number, "default", "shell")) == []

    assert waiting.held() == 1
    assert places(step(ctx, waiting, worker_up())) == [(11, "w1")]
    ctx.now_ms += 1_000
    assert places(step(ctx, waiting, Timer("due"))) == []
    assert waiting.held() == 0


def test_a_silent_worker_is_given_nothing_until_it_beats() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), WorkerSilent("w1"))

    assert step(ctx, made, ready(10)) == []
    assert places(step(ctx, made, beat())) == [(10, "w1")]


def test_a_draining_worker_is_given_nothing() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), beat(draining=True))

    assert step(ctx, made, ready(10)) == []
    assert places(step(ctx, made, beat(number=2))) == [(10, "w1")]


def test_nothing_is_placed_once_the_cluster_goes_down() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), DrainAll("r", 0, False))

    assert step(ctx, made, ready(10)) == []


@pytest.mark.parametrize("wanted", [{"group": "big"}, {"task_type": "sql"}])
def test_only_a_worker_of_the_group_that_has_the_type_is_chosen(wanted: dict[str, str]) -> None:
    ctx = Recorder()
    fit: dict[str, Any] = {"groups": ["default", "big"], "types": ["shell", "sql"]}
    made = dispatcher(ctx, worker_up("w1", slots=9))

    assert step(ctx, made, ready(10, **wanted)) == []
    assert places(step(ctx, made, worker_up("w2", **fit))) == [(10, "w2")]


def test_the_least_loaded_worker_comes_first() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up("w1", slots=4), worker_up("w2", slots=2))

    chosen = [places(step(ctx, made, ready(number)))[0][1] for number in range(10, 16)]

    assert chosen == ["w1", "w2", "w1", "w1", "w2", "w1"]  # by the share of slots that is taken


def test_first_come_first_served_across_the_types_of_a_group() -> None:
    ctx = Recorder()
    types = ("shell", "noop", "noop", "shell")
    keys = [ready(10 + i, task_type=task_type) for i, task_type in enumerate(types)]
    made = dispatcher(ctx, *keys)

    assert [number for number, _ in places(step(ctx, made, worker_up(slots=9)))] == [10, 11, 12, 13]


def test_a_type_that_nobody_has_holds_up_no_other() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, ready(10, task_type="sql"), ready(11))

    assert places(step(ctx, made, worker_up(slots=9))) == [(11, "w1")]


def test_what_was_placed_before_goes_back_to_the_head() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), ready(10), ready(11), ready(10, returned_from=100))

    assert places(step(ctx, made, Ended("w1", 100))) == [(10, "w1")]


def test_a_retry_holds_no_slot_until_its_wait_is_over() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up())

    assert step(ctx, made, ready(10, wait_ms=7_000)) == [("set_timer", "due", 7_000)]
    assert made.held() == 1
    ctx.wait(6_999)
    assert places(step(ctx, made, Timer("due"))) == []
    ctx.wait(1)
    assert places(step(ctx, made, Timer("due"))) == [(10, "w1")]


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["draining", "no_slot", "no_disk"])
def test_a_worker_that_refused_is_asked_nothing_before_its_next_beat_with_room(reason: str) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, beat(number=5, free_slots=0))

    assert hear(ctx, made, refused(reason)) == [
        ("tell", "event_persister", Return(10, 100, reason))
    ]
    assert comes_back(ctx, made) == []
    assert places(step(ctx, made, beat(number=5, free_slots=1))) == []
    assert places(step(ctx, made, beat(number=6, free_slots=0))) == []
    assert places(step(ctx, made, beat(number=7, free_slots=1))) == [(10, "w1")]


def test_a_registration_makes_a_refusal_void() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT)
    hear(ctx, made, refused("no_slot"))

    assert comes_back(ctx, made) == []
    assert places(step(ctx, made, worker_up())) == [(10, "w1")]


def test_a_worker_that_does_not_know_a_type_is_asked_for_others_only() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT)
    hear(ctx, made, refused("unknown_type"))

    assert comes_back(ctx, made) == []
    assert places(step(ctx, made, beat(number=9))) == []
    assert places(step(ctx, made, ready(11, task_type="noop"))) == [(11, "w1")]


def test_a_new_boot_may_know_the_type() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT)
    hear(ctx, made, refused("unknown_type"))
    comes_back(ctx, made)

    assert places(step(ctx, made, worker_up(boot="b2"))) == [(10, "w1")]


def test_a_request_killed_before_it_came_closes_no_worker() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, ready(11))

    asked = hear(ctx, made, refused("never_began"))

    assert told(asked, "event_persister") == [Return(10, 100, "never_began")]
    assert places(step(ctx, made, Ended("w1", 100))) == [(11, "w1")]


@pytest.mark.parametrize(
    ("answer", "sender"),
    [
        (refused("no_slot"), "w2"),
        (refused("no_slot", epoch=EPOCH - 1), "w1"),
        (refused("no_slot", dispatch_id=99), "w1"),
        (refused("fenced"), "w1"),
        (accepted(), "w2"),
        (accepted(epoch=EPOCH - 1), "w1"),
    ],
)
def test_an_answer_of_another_worker_epoch_or_dispatch_is_ignored(answer: Any, sender: str) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT)

    assert hear(ctx, made, answer, sender) == []
    ctx.wait(TABLE_MS[0])
    assert of(step(ctx, made, Timer("due")), "send") == [request()]


# --- repeats -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (PLACED, request()),
        (SendAgain("w1", request()), request()),
        (SendKill("w1", kill()), kill()),
    ],
)
def test_requests_and_kills_are_repeated_by_the_table(message: Any, sent: Any) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up())

    asked = step(ctx, made, message)

    for wait_ms in TABLE_MS:
        assert (of(asked, "send"), of(asked, "set_timer")) == ([sent], [wait_ms])
        ctx.wait(wait_ms)
        asked = step(ctx, made, Timer("due"))


def test_each_is_repeated_when_it_is_due_itself() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT)
    ctx.wait(600)
    step(ctx, made, PlacedAll([Placed("w1", request(dispatch_id=101))]))

    ctx.wait(400)
    assert of(step(ctx, made, Timer("due")), "send") == [request()]
    ctx.wait(600)
    assert of(step(ctx, made, Timer("due")), "send") == [request(dispatch_id=101)]


@pytest.mark.parametrize("answer", [accepted(), Answered(100), Ended("w1", 100)])
def test_what_is_answered_is_not_repeated(answer: Any) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT)
    hear(ctx, made, answer)

    ctx.wait(TABLE_MS[0])
    assert of(step(ctx, made, Timer("due")), "send") == []
    assert made.held() == 0


@pytest.mark.parametrize("outcome", ["killing", "ended"])
def test_any_answer_to_a_kill_stops_its_repeating(outcome: str) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, Answered(100), SendKill("w1", kill()))

    assert hear(ctx, made, killed(outcome)) == []
    ctx.wait(TABLE_MS[0])
    assert of(step(ctx, made, Timer("due")), "send") == []


def test_a_kill_of_what_never_began_gives_it_back_and_stops_its_request_too() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, SendKill("w1", kill()))

    asked = hear(ctx, made, killed("never_began"))

    assert asked == [("tell", "event_persister", Return(10, 100, "never_began"))]
    assert made.held() == 0


@pytest.mark.parametrize(("epoch", "sender"), [(EPOCH, "w2"), (EPOCH - 1, "w1")])
def test_a_kill_answer_of_another_worker_or_epoch_is_ignored(epoch: int, sender: str) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, SendKill("w1", kill()))

    assert hear(ctx, made, killed("never_began", epoch=epoch), sender) == []
    assert made.held() == 2


def test_a_welcomed_worker_is_sent_at_once_what_it_has_not_answered() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, SendKill("w1", kill()))

    asked = step(ctx, made, worker_up(peer=b"w1-anew"))

    assert [entry[1:] for entry in asked if entry[0] == "send"] == [
        (b"w1-anew", request()),
        (b"w1-anew", kill()),
    ]


def test_nothing_for_an_old_boot_is_sent_to_a_new_one() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, SendKill("w1", kill()))

    assert of(step(ctx, made, worker_up(boot="b2")), "send") == []
    assert made.held() == 0
    ctx.wait(TABLE_MS[-1])
    assert of(step(ctx, made, Timer("due")), "send") == []


# --- settled_below -------------------------------------------------------------------------------


def settled(asked: list[tuple[Any, ...]]) -> int:
    [ack] = of(asked, "send_now")
    assert isinstance(ack, HeartbeatAck)
    return ack.settled_below


def test_a_beat_is_answered_with_its_number_epoch_and_boot() -> None:
    ctx = Recorder()
    ack = HeartbeatAck(number=4, epoch=EPOCH, to_boot="b1", welcomed=True, settled_below=0)

    assert step(ctx, dispatcher(ctx, worker_up()), beat(number=4)) == [("send_now", PEER, ack)]


@pytest.mark.parametrize("unanswered", [PLACED, SendKill("w1", kill())])
def test_settled_is_what_lies_below_the_lowest_without_an_answer(unanswered: Any) -> None:
    ctx = Recorder()
    later = PlacedAll([Placed("w1", request(dispatch_id=105))])
    held = Occupied("w1", 100, 10, "shell")
    made = dispatcher(ctx, worker_up(), held, unanswered, later, Answered(105))

    assert settled(step(ctx, made, beat())) == 100


def test_when_all_is_answered_settled_is_what_lies_below_the_next() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, Answered(100))

    assert settled(step(ctx, made, beat())) == 101


def test_a_dispatch_that_is_being_placed_is_never_called_settled() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *SENT, Answered(100), Ended("w1", 100))
    assert places(step(ctx, made, ready(11))) == [(11, "w1")]  # 101, not yet among the requests

    assert settled(step(ctx, made, beat())) <= 101


def test_what_another_worker_has_not_answered_is_not_this_ones() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, PlacedAll([Placed("w2", request(dispatch_id=50))]), *SENT, Answered(100))

    assert settled(step(ctx, made, beat())) == 101
