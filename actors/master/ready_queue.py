"""What waits for a slot: one queue per worker group and task type, in the order in which it goes.

Owned by the dispatcher. A queue holds keys, not tasks: some 170 bytes each (measured), in a heap.
"""

import heapq
from typing import Generic, NamedTuple, Protocol, TypeVar

#: So long a wait makes up for one level of priority. There are 25: what is lowest in everything
#: goes, after four hours, before what is highest and comes then, and nothing starves.
AGE_MS = 600_000
LEVELS = 25
#: Keys and takers that are out of date are thrown out when there are so many more than of others.
STALE_MAX = 64


class Key(NamedTuple):
    """A task that waits. Keys are compared as tuples; the ticket makes the order total."""

    rank_ms: int
    ticket: int
    task_instance_id: int


def rank_ms(now_ms: int, waited_ms: int, level: int, age_ms: int) -> int:
    """The moment at which it would have come if it were of the first level.

    It never changes while it waits, and so ageing costs nothing: a key of a level that is lower by
    n goes first when it came n · ``age_ms`` earlier.
    """
    return now_ms - min(waited_ms, LEVELS * age_ms) + level * age_ms


class Taker(Protocol):
    """A worker, as far as a queue looks at it. ``stamp`` rises when anything of this changes."""

    name: str
    stamp: int

    def load(self, task_type: str) -> float | None: ...

    def takes(self, group: str, task_type: str) -> bool: ...


T = TypeVar("T", bound=Taker)


class ReadyQueue(Generic[T]):
    """The keys of one group and type, and the workers that take them, least loaded first."""

    def __init__(self, group: str, task_type: str) -> None:
        self.group = group
        self.task_type = task_type
        self.ids: dict[int, int] = {}  # of the tasks that wait here → their tickets
        self._keys: list[Key] = []  # theirs, and some of tasks that do not wait any more
        #: Load, name, stamp, and the number of the offer: one that was forgotten and is back has
        #: the same name, perhaps the same stamp.
        self._takers: list[tuple[float, str, int, int, T]] = []
        self._offers = 0
        self._takers_max = STALE_MAX

    def push(self, key: Key) -> None:
        """To its place."""
        heapq.heappush(self._keys, key)
        self.ids[key.task_instance_id] = key.ticket

    def head(self) -> Key | None:
        """The key that goes first."""
        keys = self._keys
        while keys and self.ids.get(keys[0].task_instance_id) != keys[0].ticket:
            heapq.heappop(keys)
        return keys[0] if keys else None

    def pop(self) -> Key:
        """Take out the `head`, of which there is one."""
        key = heapq.heappop(self._keys)
        del self.ids[key.task_instance_id]
        return key

    def remove(self, task_instance_id: int) -> None:
        """It waits no more; one that does not wait here is none."""
        if self.ids.pop(task_instance_id, None) is None:
            return
        if len(self._keys) > 2 * len(self.ids) + STALE_MAX:
            self._keys = self._waiting()
            heapq.heapify(self._keys)

    def _waiting(self) -> list[Key]:
        return [key for key in self._keys if self.ids.get(key.task_instance_id) == key.ticket]

    def ahead(self, task_instance_id: int) -> int:
        """How many go before it; looks at all keys."""
        keys = self._waiting()
        own = next(key for key in keys if key.task_instance_id == task_instance_id)
        return sum(key < own for key in keys)

    def offer(self, taker: T) -> None:
        """What is known of a worker has changed; ``stamp`` has risen since it was last offered."""
        load = taker.load(self.task_type)
        if load is None or not taker.takes(self.group, self.task_type):
            return
        self._offers += 1
        entry = (load, taker.name, taker.stamp, self._offers, taker)
        heapq.heappush(self._takers, entry)
        if len(self._takers) > self._takers_max:
            self._takers = [entry for entry in self._takers if entry[2] == entry[4].stamp]
            heapq.heapify(self._takers)
            self._takers_max = 2 * len(self._takers) + STALE_MAX

    def taker(self) -> T | None:
        """The least loaded worker that takes these."""
        while self._takers:
            _, _, stamp, _, taker = self._takers[0]
            if stamp == taker.stamp:
                return taker
            heapq.heappop(self._takers)
        return None
