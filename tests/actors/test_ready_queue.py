"""The queue of one group and type: which worker its head goes to."""

from stenella.actors.master.capacity import Slots
from stenella.actors.master.ready_queue import ReadyQueue


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
