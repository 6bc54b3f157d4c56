"""Waits that an actor keeps by key, on one timer of its own; purely in memory.

What must survive a restart is a wall time in a row; `resumed_ms` is what is left of it.
"""

import heapq

from .base import Context

#: Entries of waits that are over or were called off are thrown out when there are more than twice
#: as many entries as waits, and so many besides.
STALE_MAX = 64


def resumed_ms(due_wall_ms: int, full_ms: int, ctx: Context) -> int:
    """What is left of a wait that was cut off, whatever the clock has done since (DESIGN 3)."""
    return min(max(0, due_wall_ms - ctx.wall_ms), full_ms)


class Deadlines:
    """At most one wait per key. ``timer``: the name of the owner's timer."""

    def __init__(self, timer: str) -> None:
        self.timer = timer
        self.due_ms: dict[int, int] = {}  # monotonic
        self._heap: list[tuple[int, int]] = []
        self._armed_ms: int | None = None

    def __len__(self) -> int:
        return len(self.due_ms)

    def set(self, key: int, wait_ms: int, ctx: Context) -> None:
        """Wait from now on; a former wait of that key is called off."""
        self.due_ms[key] = ctx.now_ms + wait_ms
        heapq.heappush(self._heap, (self.due_ms[key], key))
        self._arm(ctx)

    def cancel(self, key: int) -> None:
        """Call off a wait, if there is one."""
        if self.due_ms.pop(key, None) is None:
            return
        if len(self._heap) > 2 * len(self.due_ms) + STALE_MAX:
            self._heap = [(due_ms, key) for key, due_ms in self.due_ms.items()]
            heapq.heapify(self._heap)

    def take(self, most: int, ctx: Context) -> list[int]:
        """The keys that are due, at most so many, in the order in which they became due.

        To be called when the timer fires; the others are due at its next firing.
        """
        self._armed_ms = None
        keys: list[int] = []
        while self._heap and self._heap[0][0] <= ctx.now_ms and len(keys) < most:
            due_ms, key = heapq.heappop(self._heap)
            if self.due_ms.get(key) == due_ms:
                del self.due_ms[key]
                keys.append(key)
        self._arm(ctx)
        return keys

    def _arm(self, ctx: Context) -> None:
        while self._heap and self.due_ms.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap and (self._armed_ms is None or self._heap[0][0] < self._armed_ms):
            self._armed_ms = self._heap[0][0]
            ctx.set_timer(self.timer, max(0, self._armed_ms - ctx.now_ms))
