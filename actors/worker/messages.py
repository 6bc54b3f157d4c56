"""What the actors of a worker tell each other; none of it can be decoded from a frame."""

from typing import Any

import msgspec

from ...protocol.commands import (
    AttemptReport,
    OfAttempt,
    TaskExecuteRequest,
    TaskExecuteResponse,
    TaskExecuteRunning,
    Verdict,
)

Callback = TaskExecuteRunning | TaskExecuteResponse


class Message(msgspec.Struct, frozen=True):
    """Base of a message inside the node."""


class ListAttempts(Message, frozen=True):
    """membership → executor: what do you have?"""


class Listing(Message, frozen=True):
    """executor → membership: everything, of this very moment."""

    attempts: list[AttemptReport]


class CountSlots(Message, frozen=True):
    """membership → executor: how many slots are free? A heartbeat is due."""


class FreeSlots(Message, frozen=True):
    """executor → membership: so many."""

    count: int


class Recovered(Message, frozen=True):
    """executor → membership: journal read and warden answered; registering is allowed."""


class BesideWelcome(Message, frozen=True):
    """executor → itself: in one frame with the Welcome, of which membership is about to tell."""

    request: TaskExecuteRequest


class EpochRose(Message, frozen=True):
    """membership → executor: drop everything of lower epochs from now on."""

    epoch: int


class Leased(Message, frozen=True):
    """membership → executor: for how long an owner's attempts may run, for the warden."""

    owner: int
    until_ms: int  # on the clock of ``ctx.now_ms``; 0: there is no lease
    fence_grace_ms: int


class WardenMet(Message, frozen=True):
    """executor → membership: which process the warden is, for a master that can watch it."""

    pid: int
    start_ticks: int


class Judged(Message, frozen=True):
    """membership → executor: the master's verdicts on our listing."""

    verdicts: list[Verdict]


class SettledBelow(Message, frozen=True):
    """membership → executor: every dispatch below is answered; its memory may go."""

    dispatch_id: int


class Drain(Message, frozen=True):
    """membership → executor: take nothing more; after ``wait_ms`` stop or keep what runs."""

    wait_ms: int
    keep: bool


class Adjust(Message, frozen=True):
    """membership → executor: what is refused from now on; what runs goes on."""

    draining: bool
    no_disk: bool
    slots: int


class Drained(Message, frozen=True):
    """executor → membership: done with draining."""


class Report(Message, frozen=True):
    """executor → callback_sender: facts about one attempt, in order; their ``seq`` is still 0."""

    facts: list[Callback]


class Acknowledged(Message, frozen=True):
    """callback_sender → executor: the RESULT is committed at the master."""

    dispatch_id: int


class Fenced(Message, frozen=True):
    """callback_sender → executor: the master does not want this attempt: kill it, drop it."""

    dispatch_id: int


class Drop(Message, frozen=True):
    """executor → callback_sender: nothing more is to be said of this attempt."""

    dispatch_id: int


class Unacknowledged(Message, frozen=True):
    """callback_sender → retry_reporter: sent just now (or to be sent), answer outstanding."""

    dispatch_id: int


class Settled(Message, frozen=True):
    """callback_sender → retry_reporter: nothing outstanding of it any more."""

    dispatch_id: int


class Welcomed(Message, frozen=True):
    """membership → callback_sender: this life is the worker; what it says is asked for."""


class OwnerAppeared(Message, frozen=True):
    """membership → retry_reporter: the master is (again) there."""


class Resend(Message, frozen=True):
    """retry_reporter → callback_sender: due again."""

    dispatch_ids: list[int]


def ids_of(source: Any) -> dict[str, Any]:
    """The five ids of an attempt, to build the next `OfAttempt` from a row or a command."""
    return {name: getattr(source, name) for name in OfAttempt.__struct_fields__}
