"""The measures of one actor's mailbox, as `debug mailboxes` shows them."""

from collections import deque
from typing import Any

#: Enough to place the 99th percentile of `receive` without keeping history.
BUSY_SAMPLES = 512
#: Kept for `debug peek`: references to what was received last, a few MB at the very most.
RECENT = 8


class Mailbox:
    """The measures of one actor's mailbox."""

    def __init__(self) -> None:
        self.depth = 0
        self.high_water = 0
        self.handled = 0
        self.arrived_ms: deque[int] = deque()  # of what waits at the intake, oldest first
        self.busy_us: deque[int] = deque(maxlen=BUSY_SAMPLES)
        self.recent: deque[Any] = deque(maxlen=RECENT)  # oldest first
        self.rejected: dict[str, int] = {}

    def enter(self) -> None:
        """Count one message more."""
        self.depth += 1
        if self.depth > self.high_water:
            self.high_water = self.depth

    def reject(self, reason: str) -> None:
        """Count one message that was not taken."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def measures(self, now_ms: int) -> dict[str, Any]:
        """Everything measured, for people. ``oldest_ms``: how long the oldest has waited."""
        return {
            "depth": self.depth,
            "high_water": self.high_water,
            "oldest_ms": now_ms - self.arrived_ms[0] if self.arrived_ms else 0,
            "handled": self.handled,
            "busy_us_p99": p99(self.busy_us),
            "rejected": dict(self.rejected),
        }


def p99(samples: deque[int]) -> int:
    """The 99th percentile; 0 of nothing."""
    return sorted(samples)[int(len(samples) * 0.99)] if samples else 0
