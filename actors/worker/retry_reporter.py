"""Worker actor: says when an unacknowledged callback is to be sent again.

The callback sender tells it what is outstanding and what is settled; membership tells it that the
master appeared. Invariant: whatever is outstanding has a time in ``due``, and a timer runs for the
earliest of them or sooner; so a lost frame costs a repeat, never a result.
"""

from typing import assert_never

from ..backoff import repeat_after_ms
from ..base import Boot, Context, Timer
from .messages import OwnerAppeared, Resend, Settled, Unacknowledged

Inbox = Boot | Unacknowledged | Settled | OwnerAppeared | Timer


class RetryReporter:
    """Owns when each outstanding dispatch is due, and how often it was sent."""

    def __init__(self) -> None:
        self.due_ms: dict[int, int] = {}
        self.sent: dict[int, int] = {}
        self.timer_ms: int | None = None  # when the one timer fires

    def held(self) -> int:
        """Dispatches with an outstanding callback."""
        return len(self.due_ms)

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                return
            case Unacknowledged():
                self.sent[message.dispatch_id] = 1
                self._arm(message.dispatch_id, ctx)
            case Settled():
                self.due_ms.pop(message.dispatch_id, None)
                self.sent.pop(message.dispatch_id, None)
            case OwnerAppeared():
                self._resend(list(self.due_ms), ctx)
            case Timer():
                self.timer_ms = None
                self._resend([d for d, due in self.due_ms.items() if due <= ctx.now_ms], ctx)
            case _:
                assert_never(message)
        if self.timer_ms is None and self.due_ms:
            self.timer_ms = min(self.due_ms.values())
            ctx.set_timer("due", max(0, self.timer_ms - ctx.now_ms))

    def _resend(self, dispatch_ids: list[int], ctx: Context) -> None:
        for dispatch_id in dispatch_ids:
            self.sent[dispatch_id] += 1
            self._arm(dispatch_id, ctx)
        if dispatch_ids:
            ctx.tell("callback_sender", Resend(dispatch_ids))

    def _arm(self, dispatch_id: int, ctx: Context) -> None:
        due_ms = ctx.now_ms + repeat_after_ms(self.sent[dispatch_id])
        self.due_ms[dispatch_id] = due_ms
        if self.timer_ms is not None and due_ms < self.timer_ms:
            self.timer_ms = None
