"""Whoever watches an instance hears of its end when it is on disk, not when he asks next."""

from typing import TYPE_CHECKING

from stenella.protocol.commands import InstanceChanged, InstanceWatch

from .story import Violation

if TYPE_CHECKING:
    from .rows import Rows
    from .world import World

#: From the commit of an end to its being read: a slow disk holds back what was thought before;
#: a watch is held for 10 s at most.
SOON_MS = 8_000


class Watches:
    """Knows when ends were committed, and what watchers are told afterwards."""

    def __init__(self, world: "World", rows: "Rows") -> None:
        self.world, self.rows = world, rows
        self.ended_ms: dict[int, int] = {}

    def on_commit(self) -> None:
        """Notes the ends in it."""
        for row in self.rows.just_ended:
            self.ended_ms.setdefault(row["id"], self.world.now_ms)

    def on_send(self, changed: InstanceChanged) -> None:
        """Nothing new is said of what has ended only in the moment before that is read."""
        if changed.page["instance"] is not None:
            return
        for client in self.world.clients:
            pending = client.pending.get(changed.request_id)
            if pending is None or not isinstance(pending.request, InstanceWatch):
                continue
            number = pending.request.workflow_instance_id
            ended_ms = self.ended_ms.get(number, self.world.now_ms)
            # What a thread has committed meanwhile is not known to a loop that stood still, and
            # what was thought before a commit waits for it, however long the disk refuses that.
            master = self.world.master
            refused_until_ms = max(master.stalled_until_ms, master.disk_full_until_ms)
            late_ms = self.world.now_ms - max(ended_ms, master.went_on_ms, refused_until_ms)
            if late_ms > SOON_MS:
                text = f"nothing new of instance {number}, which ended {late_ms} ms ago"
                raise Violation("a watcher hears of the end", text)
