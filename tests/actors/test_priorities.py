"""Who goes first: priorities, ageing, groups, and the place of what comes back."""

import tracemalloc
from typing import Any

import pytest

from stenella.actors.master.dispatcher import EMPTY_QUEUES_MAX, Dispatcher
from stenella.actors.master.messages import Ended
from stenella.actors.master.ready_queue import AGE_MS, LEVELS, Key, ReadyQueue
from stenella.actors.master.requests import Instance
from stenella.protocol.states import PRIORITIES

from .builders import instance_row, ready, task, task_row, version, worker_up
from .recorder import Recorder
from .test_dispatcher import dispatcher, places, step


def order(ctx: Recorder, made: Dispatcher) -> list[int]:
    """The tasks in the order in which a worker with room gets them."""
    return [number for number, _ in places(step(ctx, made, worker_up(slots=99)))]


@pytest.mark.parametrize("types", [("shell", "shell", "shell"), ("shell", "noop", "shell")])
def test_priority_comes_before_arrival_also_across_types(types: tuple[str, ...]) -> None:
    ctx = Recorder()
    levels = (20, 3, 12)
    keys = [ready(n, level=levels[n], task_type=types[n]) for n in range(3)]

    assert order(ctx, dispatcher(ctx, *keys)) == [1, 2, 0]


def test_equal_priorities_go_by_arrival() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, *(ready(number) for number in (12, 10, 11)))

    assert order(ctx, made) == [12, 10, 11]


def test_the_priority_of_the_workflow_comes_before_that_of_the_task() -> None:
    levels = []
    for workflow_priority in range(len(PRIORITIES)):
        instance = Instance(
            instance_row(priority=workflow_priority),
            version(*(task(name, priority=name) for name in PRIORITIES)),
        )
        levels += [instance.level_of(task_row(node=node)) for node in range(len(PRIORITIES))]

    assert levels == list(range(LEVELS))


def test_a_wait_makes_up_for_priority_and_nothing_starves() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, ready(10, level=LEVELS - 1))

    ctx.wait((LEVELS - 1) * AGE_MS - 1)
    step(ctx, made, ready(11, level=0))
    ctx.wait(2)
    step(ctx, made, ready(12, level=0))

    assert order(ctx, made) == [11, 10, 12]


def test_what_waited_under_the_former_master_keeps_its_age() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, ready(10, level=0), ready(11, level=12, waited_ms=13 * AGE_MS))

    assert order(ctx, made) == [11, 10]


def test_no_clock_gives_more_age_than_makes_up_for_all_levels() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, ready(10, level=0, waited_ms=10**15))
    ctx.wait(LEVELS * AGE_MS + 1)
    step(ctx, made, ready(11, level=0))

    assert order(ctx, made) == [10, 11]


def test_what_comes_back_goes_to_its_former_place_not_to_the_head() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), ready(10), ready(11), ready(9, level=0))
    # 10 is placed as dispatch 100; of what waits, 9 is more urgent and 11 came later.
    step(ctx, made, ready(10, returned_from=100))

    placed = [places(step(ctx, made, Ended("w1", number)))[0][0] for number in (100, 101, 102)]

    assert placed == [9, 10, 11]


def test_a_group_without_workers_holds_up_no_other() -> None:
    ctx = Recorder()
    dead = [ready(number, group="dead", level=0) for number in range(5)]
    made = dispatcher(ctx, *dead, ready(10, level=24))

    assert order(ctx, made) == [10]
    assert made.held() == 5


def test_what_is_ready_in_the_same_moment_is_placed_by_priority() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up())

    asked = ctx.give(made, ready(10, level=24)) + ctx.give(made, ready(11, level=0))

    [(_, actor, placing)] = asked
    assert actor == "dispatcher"
    assert places(ctx.give(made, placing)) == [(11, "w1")]


def test_queues_of_groups_that_nobody_uses_any_more_do_not_pile_up() -> None:
    ctx = Recorder()
    names = [f"g{number}" for number in range(EMPTY_QUEUES_MAX * 2)]
    made = dispatcher(ctx, worker_up(slots=999, groups=names))

    for number, name in enumerate(names):
        step(ctx, made, ready(number, group=name))

    assert len(made.queues) <= EMPTY_QUEUES_MAX + 1


class Worker:
    """All that a queue asks of one."""

    name = "w"
    stamp = 0

    def is_open(self, task_type: str) -> bool:
        return True

    def load(self, task_type: str) -> float:
        return 0.5

    def takes(self, group: str, task_type: str) -> bool:
        return True


def test_a_workers_former_states_do_not_pile_up() -> None:
    queue: ReadyQueue[Any] = ReadyQueue("default", "shell")
    worker = Worker()

    for _ in range(10_000):
        worker.stamp += 1
        queue.offer(worker)

    assert len(queue._takers) < 200
    assert queue.taker() is worker


@pytest.mark.slow
def test_a_million_keys_take_less_than_200_bytes_each() -> None:
    queue: ReadyQueue[Any] = ReadyQueue("default", "shell")
    count = 500_000  # as full as with a million: tables double
    ids = [10**7 + number for number in range(count)]  # the rows' own
    tracemalloc.start()
    for number, task_instance_id in enumerate(ids):
        queue.push(Key(2**40 + number % 977 * 600_000, 10**6 + number, task_instance_id))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size / count < 200
