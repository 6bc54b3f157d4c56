"""Master actor: looks now and then whether everything live has somebody who acts next.

Every ``SWEEP_MS`` it sends a few thousand live rows the way of `explain`, in slices, and reads what
comes back. Invariant of a sound master: nothing lacks an owner in two sweeps running without having
changed in between. What does is a bug of ours; it is kept, and `doctor` shows it.
"""

from typing import Any, assert_never

import msgspec

from ..base import Boot, Context, Timer
from .cause import Cause
from .messages import Explained, Stuck, Sweep, TellStuck

#: Longer than any turn, repeat or commit of a sound master takes; short for a person who waits.
SWEEP_MS = 30_000
#: Rows asked about in one turn (some 10 µs each), and in one sweep: 0.2 % of a core. With more live
#: rows, several sweeps go round.
SLICE = 500
ROWS_MAX = 5_000
#: Enough to see what is wrong; a fault of this kind repeats itself.
STUCK_MAX = 100


class NextSlice(msgspec.Struct, frozen=True):
    """To oneself: go on, after what else has arrived."""


Inbox = Boot | Timer | NextSlice | Explained | TellStuck


class Sweeper:
    """Owns what was found without an owner, by task instance id; an instance's is negative."""

    def __init__(self) -> None:
        self.suspects: dict[int, int] = {}  # → its event_no
        self.stuck: dict[int, dict[str, Any]] = {}
        self.asked = 0  # rows, in this sweep

    def held(self) -> int:
        """Nothing waits here."""
        return 0

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                ctx.set_timer("sweep", SWEEP_MS)
            case Timer():
                self.asked = SLICE
                again = [number for number in self.suspects if number > 0]
                ctx.tell("workflow_executor", Sweep(SLICE, again, begins=True))
                ctx.set_timer("sweep", SWEEP_MS)
            case NextSlice():
                self.asked += SLICE
                ctx.tell("workflow_executor", Sweep(SLICE, [], begins=False))
            case Explained():
                for cause in message.causes:
                    self._judge(cause, ctx.wall_ms)
                if message.more and self.asked < ROWS_MAX:
                    ctx.next_turn(NextSlice())
            case TellStuck():
                ctx.tell("gateway", Stuck(message.request_id, list(self.stuck.values())))
            case _:
                assert_never(message)

    def _judge(self, cause: Cause, wall_ms: int) -> None:
        number = cause.task_instance_id
        assert number is not None
        if cause.owner:
            self.suspects.pop(number, None)
            self.stuck.pop(number, None)
        elif self.suspects.get(number) != cause.event_no:
            self.suspects[number] = cause.event_no
        elif number in self.stuck or len(self.stuck) < STUCK_MAX:
            self.stuck.setdefault(number, cause.document() | {"found": wall_ms / 1_000})
