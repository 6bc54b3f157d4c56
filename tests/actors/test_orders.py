"""What people want of a worker: written down first, repeated until it does so, kept over lives."""

from typing import Any

import pytest

from stenella.actors.base import Leave, Vitals
from stenella.actors.master.known import Known
from stenella.actors.master.liveness import Terms
from stenella.actors.master.messages import (
    Done,
    Forgettable,
    MayForget,
    NotDone,
    OrderWorker,
    Verdicts,
    WorkerChanged,
    WorkerUp,
)
from stenella.actors.master.registry import Registry
from stenella.actors.worker.membership import Membership
from stenella.actors.worker.messages import Adjust, CountSlots, FreeSlots, Recovered
from stenella.protocol.commands import Heartbeat, WorkerAdjust
from stenella.protocol.rows import WorkerRow

from .builders import (
    EPOCH,
    IDENTITY,
    MASTER,
    TERMS,
    beat,
    heartbeat,
    ready,
    register,
    worker_row,
    worker_up,
)
from .recorder import WALL_MS, Recorder, of, told
from .registries import BEAT_MS, hear, registry, welcomed
from .test_dispatcher import dispatcher, step


def order(word: str, slots: int = 0, worker: str = "w1") -> OrderWorker:
    return OrderWorker("r", worker, word, slots)


def adjust(**fields: Any) -> WorkerAdjust:
    given: dict[str, Any] = {"epoch": EPOCH, "to_boot": "b1", "draining": False, "slots": 2}
    return WorkerAdjust(**given | fields)


def give(ctx: Recorder, made: Registry, *orders: OrderWorker) -> list[Any]:
    asked: list[Any] = []
    for one in orders:
        asked = ctx.give(made, one)
    return asked


# --- the registry --------------------------------------------------------------------------------


def test_a_drain_is_written_answered_and_told_to_dispatcher_and_worker() -> None:
    ctx = Recorder()
    asked = give(ctx, welcomed(ctx), order("drain"))

    assert [type(row) for row in of(asked, "write")] == [WorkerRow]
    assert of(asked, "write")[0].draining_since == WALL_MS
    assert told(asked, "dispatcher") == [WorkerChanged("w1", 2, True)]
    assert of(asked, "send") == [adjust(draining=True)]
    assert told(asked, "gateway") == [Done("r", {"worker": "w1", "state": "draining", "slots": 2})]


def test_an_order_is_repeated_with_each_beat_until_the_worker_says_it_does_so() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    give(ctx, made, order("drain"), order("resize", 5))

    behind = hear(ctx, made, heartbeat(slots=2))
    done = hear(ctx, made, heartbeat(number=2, slots=5, draining=True))

    assert of(behind, "send") == [adjust(draining=True, slots=5)]
    assert of(done, "send") == []


def test_an_order_given_twice_is_written_once() -> None:
    ctx = Recorder()

    asked = give(ctx, welcomed(ctx), order("drain"), order("drain"))

    assert of(asked, "write") == []
    assert len(told(asked, "gateway")) == 1


@pytest.mark.parametrize("boot", ["b1", "b2"])
def test_a_drained_worker_is_drained_after_its_restart_and_the_masters(boot: str) -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(draining_since=5, slots_set=1))

    hear(ctx, made, register(boot=boot, life=3))
    asked = ctx.give(made, Verdicts("w1", boot, []))

    [up] = told(asked, "dispatcher")
    assert (up.slots, up.draining) == (1, True)
    assert of(asked, "write")[0].draining_since == 5
    assert adjust(to_boot=boot, draining=True, slots=1) in of(asked, "send")


def test_a_worker_started_with_another_number_of_slots_has_that_number() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(slots_set=1))

    hear(ctx, made, register(boot="b2", life=3, slots=8))
    asked = ctx.give(made, Verdicts("w1", "b2", []))

    assert told(asked, "dispatcher") == [
        WorkerUp("w1", "b2", b"w1-link", ["default"], 8, ["shell", "noop"], False)
    ]


def test_more_slots_are_used_when_the_worker_goes_by_them_and_fewer_at_once() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    assert told(give(ctx, made, order("resize", 9)), "dispatcher") == [
        WorkerChanged("w1", 2, False)
    ]
    assert told(hear(ctx, made, heartbeat(slots=9)), "dispatcher")[0].slots == 9
    assert told(give(ctx, made, order("resize", 1)), "dispatcher") == [
        WorkerChanged("w1", 1, False)
    ]


def test_a_restart_is_asked_for_until_another_boot_registers() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    first = give(ctx, made, order("restart"))
    again = hear(ctx, made, heartbeat(slots=2))
    hear(ctx, made, register(boot="b2", life=3))
    asked = ctx.give(made, Verdicts("w1", "b2", []))
    after = hear(ctx, made, heartbeat(boot="b2", slots=2))

    assert of(first, "send") == of(again, "send") == [adjust(restart=True)]
    assert [type(c).__name__ for c in of(asked, "send")] == ["WorkerWelcome"]
    assert of(after, "send") == []


@pytest.mark.parametrize(
    ("asked_for", "code"),
    [
        (order("drain", worker="w9"), "not_found"),
        (order("dance"), "usage"),
        (order("resize", 0), "usage"),
        (order("resize", 10_001), "usage"),
        (order("forget"), "refused"),  # it is alive
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(asked_for: OrderWorker, code: str) -> None:
    ctx = Recorder()

    asked = give(ctx, welcomed(ctx), asked_for)

    [answer] = told(asked, "gateway")
    assert isinstance(answer, NotDone)
    assert answer.code == code
    assert of(asked, "write") == []


def test_a_worker_that_left_is_forgotten_unless_something_is_placed_there() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(left_at=3, draining_since=2))

    assert told(give(ctx, made, order("forget")), "dispatcher") == [MayForget("r", "w1")]
    [kept] = told(ctx.give(made, Forgettable("r", "w1", 1)), "gateway")
    assert isinstance(kept, NotDone)
    asked = ctx.give(made, Forgettable("r", "w1", 0))

    assert of(asked, "write")[0].forgotten_at == WALL_MS
    [answer] = told(give(ctx, made, order("drain")), "gateway")
    assert answer.code == "not_found"


def test_a_forgotten_worker_that_comes_back_is_known_again() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(left_at=3))
    ctx.give(made, Forgettable("r", "w1", 0))

    hear(ctx, made, register(boot="b2", life=3))
    asked = ctx.give(made, Verdicts("w1", "b2", []))

    assert of(asked, "write")[0].forgotten_at is None
    assert give(ctx, made, order("drain"))[0][0] == "write"


def test_what_was_forgotten_while_it_was_late_is_replaced_only_when_it_is_dead() -> None:
    known = Known(worker_row(forgotten_at=WALL_MS))
    other = register(boot="b2", journal="j2")

    assert not known.gives_way_to(other, TERMS)
    known.row.dead_at = WALL_MS
    assert known.gives_way_to(other, TERMS)


def test_a_refused_identity_is_shown_beside_the_one_that_is_known() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    hear(ctx, made, register(boot="x", journal="j9", host="elsewhere", pid=4))

    assert "host elsewhere, pid 4" in made.workers["w1"].document(ctx.now_ms)["message"]
    assert made.workers["w1"].document(ctx.now_ms + 20_000)["message"] is None


# --- the dispatcher ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "closed", [worker_up(draining=True), beat(draining=True), beat(no_disk=True)]
)
def test_a_closed_worker_is_given_nothing(closed: Any) -> None:
    ctx = Recorder()

    asked = step(ctx, dispatcher(ctx, worker_up(), closed), ready())

    assert told(asked, "event_persister") == []


def test_fewer_slots_hold_at_once_and_more_give_work_at_once() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(slots=2), ready(10), WorkerChanged("w1", 1, False))

    held = step(ctx, made, ready(11))
    placed = step(ctx, made, WorkerChanged("w1", 2, False))

    assert told(held, "event_persister") == []
    assert [p.task_instance_id for p in told(placed, "event_persister")[0].places] == [11]


def test_only_a_worker_without_live_attempts_is_forgotten() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), worker_up("w2"), ready())

    [busy] = told(step(ctx, made, MayForget("r", "w1")), "registry")
    [idle] = told(step(ctx, made, MayForget("r", "w2")), "registry")

    assert (busy.live, idle.live) == (1, 0)
    assert list(made.workers) == ["w1"]


@pytest.mark.parametrize(
    ("messages", "cause", "words"),
    [
        ([], "no_worker", "no worker is in group default"),
        ([worker_up(groups=["big"])], "no_worker", "no worker is in group default"),
        ([worker_up(types=["noop"])], "unknown_type", "no worker in group default takes tasks"),
        ([worker_up(draining=True)], "draining", "the one worker in group default"),
        (
            [worker_up(draining=True), worker_up("w2"), beat("w2", no_disk=True)],
            "closed",
            "1 draining, 1 short of disk",
        ),
        ([worker_up(), ready(11)], "no_slot", "the one slot in group default"),
    ],
)
def test_the_dispatcher_says_why_a_task_waits(messages: list[Any], cause: str, words: str) -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *messages)
    ctx.wait(1_000)

    waits = made.why("default", "shell", WALL_MS - 5)

    assert waits.cause == cause
    assert words in waits.sentence
    assert waits.since == WALL_MS if cause in ("draining", "closed") else WALL_MS - 5


# --- the worker ----------------------------------------------------------------------------------


def member(ctx: Recorder, *messages: Any) -> Membership:
    made = Membership(IDENTITY, MASTER, EPOCH, BEAT_MS)
    for message in (Recovered(), *messages):
        ctx.give(made, message)
    return made


def test_a_worker_does_as_it_is_told_and_says_so_at_once() -> None:
    ctx = Recorder()
    made = member(ctx)

    asked = ctx.give(made, adjust(draining=True, slots=7))
    [said] = of(ctx.give(made, FreeSlots(6)), "send_now")
    again = ctx.give(made, adjust(draining=True, slots=7))

    assert told(asked, "executor") == [Adjust(draining=True, no_disk=False, slots=7), CountSlots()]
    assert isinstance(said, Heartbeat)
    assert (said.draining, said.slots) == (True, 7)
    assert again == []


@pytest.mark.parametrize("fields", [{"to_boot": "b0"}, {"epoch": EPOCH - 1}])
def test_an_order_for_another_life_or_of_another_epoch_is_dropped(fields: dict[str, Any]) -> None:
    ctx = Recorder()

    assert ctx.give(member(ctx), adjust(draining=True, **fields)) == []


def test_a_worker_that_is_to_restart_leaves_with_its_warden_in_place() -> None:
    ctx = Recorder()

    asked = ctx.give(member(ctx), adjust(restart=True))

    assert of(asked, "perform") == [Leave("restart", again=True)]


def test_a_worker_short_of_disk_refuses_and_says_so() -> None:
    ctx = Recorder()
    made = member(ctx)

    asked = ctx.give(made, Vitals(0.0, 0, 3, 0, no_disk=True))
    [said] = of(ctx.give(made, FreeSlots(2)), "send_now")

    assert told(asked, "executor")[0] == Adjust(draining=False, no_disk=True, slots=2)
    assert said.no_disk


# --- clones on the master's machine --------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "warden_pid", "taken"),
    [(True, 5, True), (True, 6, False), (False, 5, False)],
)
def test_another_journal_on_the_masters_machine_is_taken_only_with_the_same_warden(
    late: bool, warden_pid: int, taken: bool
) -> None:
    terms = Terms(heartbeat_ms=BEAT_MS, lease_ms=60_000, fence_grace_ms=10_000, machine="here")
    known = Known(worker_row(machine="here", warden_pid=5, warden_ticks=7))
    known.late = late
    other = register(boot="b2", journal="j2", machine="here", warden_pid=warden_pid, warden_ticks=7)

    assert known.gives_way_to(other, terms) == taken
    known.row.dead_at = WALL_MS
    assert known.gives_way_to(other, terms)
