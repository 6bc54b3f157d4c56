"""The queue of one group and type: which worker its head goes to."""

from stenella.actors.master.capacity import Slots
from stenella.actors.master.ready_queue import STALE_MAX, Key, ReadyQueue


def open_slots(name: str = "w1") -> Slots:
    slots = Slots(name)
    slots.groups, slots.types = ["default"], frozenset(["shell"])
    slots.count, slots.silent = 2, False
    slots.note(0)
    return slots


def test_a_worker_that_was_forgotten_and_is_back_is_no_match_for_itself() -> None:
    # Found by the simulation: same name, load and stamp, and the workers themselves were compared.
    queue: ReadyQueue[Slots] = ReadyQueue("default", "shell")
    former, present = open_slots(), open_slots()
    queue.offer(former)
    queue.offer(present)
    former.note(0)  # as it is when it is forgotten

    assert queue.taker() is present


def test_what_is_removed_is_not_the_head_and_counts_for_nobody() -> None:
    queue: ReadyQueue[Slots] = ReadyQueue("default", "shell")
    for number in (1, 2, 3):
        queue.push(Key(0, number, number))

    queue.remove(1)
    queue.remove(1)

    assert (queue.head(), queue.ahead(3)) == (Key(0, 2, 2), 1)
    assert [queue.pop().task_instance_id, queue.pop().task_instance_id] == [2, 3]
    assert (queue.head(), queue.ids) == (None, {})


def test_what_is_removed_and_comes_again_has_its_new_place_only() -> None:
    queue: ReadyQueue[Slots] = ReadyQueue("default", "shell")
    queue.push(Key(0, 1, 1))
    queue.push(Key(5, 2, 2))
    queue.remove(1)
    queue.push(Key(9, 3, 1))

    assert [queue.pop() for _ in range(2) if queue.head()] == [Key(5, 2, 2), Key(9, 3, 1)]
    assert queue.head() is None


def test_what_was_removed_does_not_pile_up() -> None:
    queue: ReadyQueue[Slots] = ReadyQueue("default", "shell")
    for number in range(10_000):
        queue.push(Key(0, number, number))
        queue.remove(number - 1)

    assert len(queue._keys) <= STALE_MAX + 3
