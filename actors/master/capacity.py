"""The workers as the dispatcher sees them, and why a task is placed on none of them. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ...protocol.launch import INSTANT_TYPES

#: Of the types that hold no slot so many are under way to a worker at once: a request takes 300
#: bytes and 30 µs of its worker, so these are a frame of 75 KB that keeps it busy for 8 ms.
INSTANT_MAX = 256
#: Why a worker is given nothing, as people read it.
CLOSED = {
    "silent": "not heard",
    "draining": "draining",
    "no_disk": "short of disk",
    "refused": "has just refused",
}

#: What a person can do about a cause of `why_waits`, or what happens by itself; ``{group}`` is its.
NEXT = {
    "no_worker": "start one: `stenella worker start --number N --group {group}`",
    "unknown_type": "start a worker that has the type, of the same group",
    "silent": "it is placed when a worker is heard again; see `stenella worker ls`",
    "draining": "it is placed after `stenella worker resume NAME`, or on another worker",
    "no_disk": "free some disk there; it is placed by itself then",
    "refused": "the worker is asked again after its next heartbeat that shows room",
    "no_slot": "it is placed as soon as one is free",
    "shutdown": "it goes on at the next `stenella up`",
}


class Slots:
    """A worker as the dispatcher sees it. ``live``: dispatch_id → task instance id; ``instant``
    the same, of the types that hold no slot.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.boot = ""
        self.peer = b""
        self.groups: list[str] = []
        self.types: frozenset[str] = frozenset()
        self.count = 0
        self.live: dict[int, int] = {}
        self.instant: dict[int, int] = {}
        self.placed_max = 0  # highest dispatch_id given to it by this master
        self.silent = True
        self.draining = False
        self.no_disk = False
        self.refused_at_beat: int | None = None  # it said no: wait for a later beat with room
        self.refused_types: set[str] = set()
        self.beat = 0
        self.stamp = 0  # rises with every change
        self.noted = "silent"  # `closed`, when `note` was last called …
        self.noted_at = 0  # … and since when, wall

    @property
    def closed(self) -> str:
        """Why it is given nothing, whatever it has free; empty: it may be."""
        if self.silent:
            return "silent"
        if self.draining:
            return "draining"
        if self.no_disk:
            return "no_disk"
        return "refused" if self.refused_at_beat is not None else ""

    def load(self, task_type: str) -> float | None:
        """The share of its room for this type that is taken; None: it is given none of it now."""
        is_instant = task_type in INSTANT_TYPES
        taken = len(self.instant) if is_instant else len(self.live)
        room = INSTANT_MAX if is_instant else self.count
        return None if self.noted or taken >= room else taken / room

    def place(self, dispatch_id: int, task_instance_id: int, task_type: str) -> None:
        """It is given one more; `free` takes it back."""
        self.stamp += 1
        held = self.instant if task_type in INSTANT_TYPES else self.live
        held[dispatch_id] = task_instance_id

    def free(self, dispatch_id: int) -> None:
        """A dispatch is over; unknown ones are ignored."""
        self.stamp += 1
        if self.live.pop(dispatch_id, None) is None:
            self.instant.pop(dispatch_id, None)

    def takes(self, group: str, task_type: str) -> bool:
        """Whether it is of the group and has the type."""
        return (
            group in self.groups and task_type in self.types and task_type not in self.refused_types
        )

    def note(self, wall_ms: int) -> None:
        """After each change but `place` and `free`: why it is given nothing, and since when."""
        self.stamp += 1
        if self.closed != self.noted:
            self.noted, self.noted_at = self.closed, wall_ms


@dataclass(frozen=True)
class Waits:
    """Why a task is placed nowhere: a stable word, a sentence, and since when (wall)."""

    cause: str  # no_worker, unknown_type, silent, draining, no_disk, refused, closed, no_slot
    sentence: str
    since: int


def why_waits(workers: Iterable[Slots], group: str, task_type: str, queued_at: int) -> Waits:
    """What keeps a task of this group and type, queued at ``queued_at`` (wall), from a worker."""
    of_group = [slots for slots in workers if group in slots.groups]
    if not of_group:
        text = f"no worker is in group {group}"
        return Waits("no_worker", text, queued_at)
    takers = [slots for slots in of_group if slots.takes(group, task_type)]
    if not takers:
        text = f"no worker in group {group} takes tasks of type {task_type}"
        return Waits("unknown_type", text, queued_at)
    reasons = Counter(slots.closed for slots in takers)
    if "" in reasons:
        slots_count = sum(slots.count for slots in takers if not slots.closed)
        plural = "the one slot" if slots_count == 1 else f"every one of {slots_count} slots"
        text = f"{plural} in group {group} is taken"
        return Waits("no_slot", text, queued_at)
    # None is open since the last of them closed.
    since = max(queued_at, *(slots.noted_at for slots in takers))
    parts = [f"{count} {CLOSED[reason]}" for reason, count in sorted(reasons.items())]
    cause = next(iter(reasons)) if len(reasons) == 1 else "closed"
    count = len(takers)
    plural = "the one worker" if count == 1 else f"none of {count} workers"
    verb = "takes nothing" if count == 1 else "takes anything"
    return Waits(cause, f"{plural} in group {group} {verb}: {', '.join(parts)}", since)
