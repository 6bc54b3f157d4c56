"""Whether there is a descriptor for one more connection."""

import os

from stenella.runtime.descriptors import KEPT, Room


def test_there_is_room_until_only_those_that_are_kept_are_left() -> None:
    lowest = os.dup(0)
    os.close(lowest)

    assert Room(lowest + KEPT + 1)()
    assert not Room(lowest + KEPT)()
