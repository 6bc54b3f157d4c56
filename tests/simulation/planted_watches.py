"""Bugs planted in how the master's gateway tells of ends."""

from typing import Any

from stenella.actors.base import Context
from stenella.actors.master.gateway import Gateway

from .bugs import CALM, Bug, master


class ForgetsThatItEnded(Gateway):
    """What has ended counts as live, so nobody looks at it any more."""

    def _take_touch(self, workflow_instance_id: int, ended: bool, ctx: Context) -> None:
        super()._take_touch(workflow_instance_id, False, ctx)


class LooksBeforeItIsWritten(Gateway):
    """The end is read when it is thought: committed rows do not have it yet."""

    def _take_touch(self, workflow_instance_id: int, ended: bool, ctx: Context) -> None:
        super()._take_touch(workflow_instance_id, False, ctx)
        if ended and self.live is not None:
            self.live.discard(workflow_instance_id)
            for opened in self.watched.get(workflow_instance_id, ()):
                if not opened.querying:
                    self._ask_changes(opened, ctx)


class LooksOnceOnly(Gateway):
    """Who comes between an end and its commit is shown what was there before, and no more."""

    def _touch(self, workflow_instance_id: int, ctx: Context) -> None:
        for opened in self.watched.get(workflow_instance_id, ()):
            opened.is_new = False
        super()._touch(workflow_instance_id, ctx)


ENDS: dict[str, Any] = {"instances": 8, "commit_ms_max": 200, "cycle_ms_max": 1}

PLANTED_WATCHES = [
    Bug(
        "what has ended counts as live",
        "whoever waits is answered",
        master(gateway=ForgetsThatItEnded),
        CALM | ENDS,
    ),
    Bug(
        "an end is looked at before it is written",
        "a watcher hears of the end",
        master(gateway=LooksBeforeItIsWritten),
        CALM | ENDS,
    ),
    Bug(
        "who comes between an end and its commit does not look again",
        "a watcher hears of the end",
        master(gateway=LooksOnceOnly),
        CALM | ENDS,
    ),
]
