"""The turn: what is taken, in which order it is thought, when it is written and released."""

from collections.abc import Callable
from typing import Any

import pytest

from stenella.actors.base import Actor, Boot, Context, Discard, OnDisk, Timer
from stenella.actors.turn import ROW_BYTES, Limits, Load, Perform, Query, Released, Send, Turn
from stenella.protocol.commands import Heartbeat, HeartbeatAck, StatusRead
from stenella.protocol.rows import Counters, DeadLetter, JournalAttempt, JournalNode, WorkerRow

PEER = b"w1"
BOOT = 1  # every actor gets one first
BEAT = Heartbeat(
    boot="b",
    number=1,
    sent_ms=0,
    free_slots=1,
    load=0.0,
    memory_free_bytes=0,
    disk_free_bytes=0,
    hub_lag_ms=0,
)
ACK = HeartbeatAck(number=1, epoch=1, to_boot="b", welcomed=True, settled_below=0)
ANSWER = StatusRead(request_id="r")
Act = Callable[[Context], None]


class Script:
    """An actor that does what the message says, and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def receive(self, message: Any, ctx: Context) -> None:
        if not isinstance(message, Boot):
            self.got.append(message)
        if callable(message):
            message(ctx)

    def held(self) -> int:
        return 0


def letter() -> DeadLetter:
    return DeadLetter(at=0, actor="a", sender="s", reason="r", body="{}")


def node_row(life: int) -> JournalNode:
    return JournalNode(journal="j", cluster="c", life=life, epoch=0)


def worker_row() -> WorkerRow:
    return WorkerRow(
        id="w",
        boot="b",
        life=1,
        kernel_boot="k",
        journal="j",
        groups="[]",
        slots=1,
        types="[]",
        version="0",
        pid=1,
        host="h",
        registered_at=0,
    )


def writes(ctx: Context) -> None:
    ctx.append(letter())


def answers(ctx: Context) -> None:
    ctx.send(PEER, ANSWER)


def write_and_answer(ctx: Context) -> None:
    writes(ctx)
    answers(ctx)


class Bench:
    """A turn with two scripted actors, and the steps a performer takes."""

    def __init__(self, limits: Limits | None = None, *, recovering: bool = False) -> None:
        self.one, self.two = Script(), Script()
        actors: dict[str, Actor] = {"one": self.one, "two": self.two}
        self.turn = Turn(
            "node",
            actors,
            limits or Limits(),
            counters=Counters(),
            recovering=recovering,
        )
        self.think()

    def offer(self, message: Any, actor: str = "one", **more: Any) -> str:
        return self.turn.offer(actor, message, **more)

    def think(self, now_ms: int = 0) -> list[Released]:
        return self.turn.think(now_ms, 1_000 + now_ms)

    def commit(self) -> list[Released]:
        assert self.turn.form() is not None
        self.turn.committed()
        return self.turn.release()


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- releasing -----------------------------------------------------------------------------------


def test_an_answer_leaves_only_after_the_commit_of_its_turn(bench: Bench) -> None:
    bench.offer(write_and_answer)
    bench.think()

    assert bench.turn.release() == []
    assert bench.turn.form() is not None
    assert bench.turn.release() == []
    bench.turn.committed()
    assert bench.turn.release() == [Send(PEER, ANSWER)]


def test_a_turn_without_writes_waits_for_the_commit_in_flight(bench: Bench) -> None:
    bench.offer(writes)
    bench.think()
    bench.turn.form()
    bench.offer(answers)
    bench.think()

    assert bench.turn.release() == []
    bench.turn.committed()
    assert bench.turn.release() == [Send(PEER, ANSWER)]


def test_a_turn_without_writes_waits_for_writes_that_are_not_yet_formed(bench: Bench) -> None:
    bench.offer(writes)
    bench.offer(answers)
    bench.think()

    assert bench.turn.release() == []
    assert bench.commit() == [Send(PEER, ANSWER)]


def test_a_quiet_node_answers_without_a_commit(bench: Bench) -> None:
    bench.offer(answers)
    bench.think()

    assert bench.turn.form() is None
    assert bench.turn.release() == [Send(PEER, ANSWER)]


def test_what_is_thought_during_a_commit_waits_for_the_next(bench: Bench) -> None:
    bench.offer(write_and_answer)
    bench.think()
    bench.turn.form()
    bench.offer(writes)
    bench.offer(lambda ctx: ctx.send(b"w2", ANSWER))
    bench.think()

    assert bench.turn.form() is None
    bench.turn.committed()
    assert bench.turn.release() == [Send(PEER, ANSWER)]
    assert bench.commit() == [Send(b"w2", ANSWER)]


def test_effects_are_released_in_the_order_they_were_asked_for(bench: Bench) -> None:
    def ask(ctx: Context) -> None:
        ctx.load("intent", "r")
        answers(ctx)
        ctx.perform(Discard(7))

    bench.offer(ask)
    bench.think()

    assert bench.turn.release() == [
        Load("one", "intent", ("r",)),
        Send(PEER, ANSWER),
        Perform("one", Discard(7)),
    ]


def test_what_reveals_no_task_state_is_sent_ahead_of_the_commit(bench: Bench) -> None:
    def ask(ctx: Context) -> None:
        writes(ctx)
        ctx.send_now(PEER, ACK)
        ctx.query("instance", "token", 7)

    bench.offer(ask)

    assert bench.think() == [Send(PEER, ACK), Query("one", "instance", "token", (7,))]


# --- batches -------------------------------------------------------------------------------------


def test_a_batch_has_the_last_image_of_each_row_and_its_stored_number(bench: Bench) -> None:
    row = worker_row()
    bench.offer(lambda ctx: ctx.write(row))
    bench.offer(lambda ctx: ctx.write(row))
    bench.think()

    batch = bench.turn.form()

    assert batch is not None
    (image,) = batch.versioned[WorkerRow]
    event_no, stored_no, *_ = image
    assert (event_no, stored_no) == (2, 0)
    assert (row.event_no, row.stored_no) == (2, 2)


def test_an_image_is_what_the_row_was_when_the_batch_was_formed(bench: Bench) -> None:
    row = worker_row()
    bench.offer(lambda ctx: ctx.write(row))
    bench.think()
    batch = bench.turn.form()

    row.host = "elsewhere"

    assert batch is not None
    assert "elsewhere" not in batch.versioned[WorkerRow][0]


def test_of_a_put_and_a_delete_the_last_counts(bench: Bench) -> None:
    bench.offer(lambda ctx: ctx.put(node_row(1)))
    bench.offer(lambda ctx: ctx.put(node_row(2)))
    bench.offer(lambda ctx: ctx.delete(JournalAttempt, 7))
    bench.think()

    batch = bench.turn.form()

    assert batch is not None
    assert batch.put[JournalNode] == [(1, "j", "c", 2, 0, 0)]
    assert batch.deleted[JournalAttempt] == [7]


def test_ids_rise_without_gaps_and_travel_with_the_batch(bench: Bench) -> None:
    given: list[int] = []
    bench.offer(lambda ctx: given.append(ctx.new_id("dispatch")))
    bench.offer(lambda ctx: given.append(ctx.new_id("dispatch")))
    bench.offer(writes)
    bench.think()

    batch = bench.turn.form()

    assert given == [1, 2]
    assert batch is not None
    assert batch.counters == Counters(dispatch=3)


def test_commits_are_numbered_one_by_one(bench: Bench) -> None:
    numbers = []
    for _ in range(2):
        bench.offer(writes)
        bench.think()
        batch = bench.turn.form()
        assert batch is not None
        numbers.append(batch.commit_no)
        bench.turn.committed()

    assert numbers == [1, 2]


def test_a_stall_lasts_from_the_first_failure_to_the_commit(bench: Bench) -> None:
    bench.offer(writes)
    bench.think()
    bench.turn.form()
    bench.turn.failed(100)
    bench.turn.failed(200)

    bench.think(now_ms=350)
    stalled_ms = bench.turn.stalled_ms
    bench.turn.committed()

    assert (stalled_ms, bench.turn.stalled_ms) == (250, 0)


# --- taking --------------------------------------------------------------------------------------


def test_a_turn_takes_no_more_than_its_bound_but_all_that_follows() -> None:
    bench = Bench(Limits(turn_messages=2))
    for number in range(3):
        bench.offer(number, peer=PEER)
    bench.offer(lambda ctx: ctx.tell("two", "follows"))

    bench.think()
    first = list(bench.one.got)
    bench.think()

    assert first == [0, 1]
    assert bench.one.got[:3] == [0, 1, 2]
    assert bench.two.got == ["follows"]


def test_heartbeats_are_taken_first(bench: Bench) -> None:
    bench.offer("result", peer=PEER)
    bench.offer(BEAT, peer=PEER)

    bench.think()

    assert bench.one.got == [BEAT, "result"]


def test_the_rest_of_long_work_comes_after_what_has_arrived(bench: Bench) -> None:
    bench.offer(lambda ctx: ctx.next_turn("rest"))
    bench.think()
    bench.offer("arrived")

    bench.think()

    assert bench.one.got[1:] == ["rest", "arrived"]


def test_a_full_mailbox_refuses_from_outside_only_and_counts_why() -> None:
    bench = Bench(Limits(mailbox_max=1))
    bench.offer("first", peer=PEER)

    assert bench.offer("second", peer=PEER) == "busy"
    assert bench.offer(BEAT, peer=PEER) == ""
    assert bench.offer(OnDisk(None)) == ""
    assert bench.turn.mailboxes["one"].rejected == {"busy": 1}


def test_while_recovering_only_heartbeats_come_in() -> None:
    bench = Bench(recovering=True)

    refused = bench.offer("result", peer=PEER)
    taken = bench.offer(BEAT, peer=PEER)
    bench.offer(lambda ctx: ctx.recovered())
    bench.think()

    assert (refused, taken) == ("recovering", "")
    assert bench.offer("result", peer=PEER) == ""


def test_nothing_offered_is_lost_or_counted_twice(bench: Bench) -> None:
    for number in range(5):
        bench.offer(number, peer=PEER)
    bench.think()

    (row,) = (row for row in bench.turn.inspect() if row["actor"] == "one")

    assert (row["depth"], row["handled"], row["high_water"]) == (0, BOOT + 5, 5)


# --- timers --------------------------------------------------------------------------------------


def test_a_timer_fires_once_when_it_is_due(bench: Bench) -> None:
    bench.offer(lambda ctx: ctx.set_timer("due", 50))
    bench.think()

    bench.think(now_ms=49)
    early = Timer("due") in bench.one.got
    bench.think(now_ms=50)
    bench.think(now_ms=60)

    assert not early
    assert bench.one.got.count(Timer("due")) == 1


def test_a_timer_replaces_an_earlier_one_of_its_name(bench: Bench) -> None:
    bench.offer(lambda ctx: ctx.set_timer("due", 50))
    bench.offer(lambda ctx: ctx.set_timer("due", 80))
    bench.think()

    assert bench.turn.next_due() == 80


# --- ahead ---------------------------------------------------------------------------------------


def ahead() -> Bench:
    """A node at the bound of what it may think before its disk has caught up."""
    bench = Bench(Limits(ahead_bytes=ROW_BYTES))
    bench.offer(writes)
    bench.think()
    bench.turn.form()
    bench.offer(writes)
    bench.think()
    return bench


def test_at_the_bound_only_heartbeats_are_taken() -> None:
    bench = ahead()
    bench.offer("result", peer=PEER)
    bench.offer(BEAT, peer=PEER)

    bench.think()

    assert BEAT in bench.one.got
    assert "result" not in bench.one.got


def test_at_the_bound_a_node_rests_although_a_timer_is_over() -> None:
    bench = Bench(Limits(ahead_bytes=ROW_BYTES))
    bench.offer(lambda ctx: ctx.set_timer("due", 10))
    bench.offer(lambda ctx: ctx.set_timer("beat", 90))
    bench.offer(writes)
    bench.think()
    bench.turn.form()
    bench.offer(writes)
    bench.think()

    assert not bench.turn.has_work(20)
    assert bench.turn.next_due() == 90


def test_what_was_held_back_at_the_bound_comes_after_the_commit() -> None:
    bench = Bench(Limits(ahead_bytes=ROW_BYTES))
    bench.offer(lambda ctx: ctx.set_timer("due", 10))
    bench.offer(writes)
    bench.think()
    bench.turn.form()
    bench.offer(writes)
    bench.think()
    bench.think(now_ms=20)
    held_back = Timer("due") in bench.one.got
    bench.turn.committed()
    bench.turn.release()
    bench.turn.form()

    bench.think(now_ms=20)

    assert not held_back
    assert Timer("due") in bench.one.got


def test_the_bytes_of_messages_count_until_they_are_on_disk() -> None:
    bench = Bench(Limits(ahead_bytes=1_000))
    bench.offer(writes)
    bench.think()
    bench.turn.form()
    bench.offer("large", peer=PEER, size=1_000)
    bench.think()

    assert bench.turn.is_ahead
    bench.turn.committed()
    bench.turn.release()
    assert not bench.turn.is_ahead
