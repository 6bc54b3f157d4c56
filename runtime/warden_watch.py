"""The master's eye on the wardens of its own machine: says when one is gone with all it ran.

One greenlet per worker waits on the warden's pidfd. A warden that was killed leaves its tasks
behind; until the last process that carries the worker's marks has ended, they may still run.
"""

import os
from collections.abc import Callable

import gevent
from gevent import Greenlet
from gevent.hub import get_hub
from gevent.threadpool import ThreadPool

from ..actors.base import WardenGone, WatchWarden
from . import machine

#: Between two looks for what a dead warden left; a new life of its worker sweeps it meanwhile.
LOOK_S = 1.0
MARKER = "STENELLA_ATTEMPT="  # as `warden_tasks` puts it into every environment


class WardenWatch:
    """Watches one warden per worker; ``gone`` is called once for each that has ended."""

    def __init__(self, cluster: str, gone: Callable[[WardenGone], None]) -> None:
        self.cluster = cluster
        self.gone = gone
        self._looking = ThreadPool(1)
        self._watching: dict[str, Greenlet[..., None]] = {}

    def watch(self, asked: WatchWarden) -> None:
        """Begin; what was watched for the same worker before is let go."""
        former = self._watching.pop(asked.worker, None)
        if former is not None:
            former.kill(block=False)
        self._watching[asked.worker] = gevent.spawn(self._follow, asked)

    def _follow(self, asked: WatchWarden) -> None:
        _wait_for_end(asked.pid, asked.start_ticks)
        marks = f"{MARKER}{self.cluster}.{asked.worker}.".encode()
        while self._looking.apply(machine.carriers, (marks,)):
            gevent.sleep(LOOK_S)
        self.gone(WardenGone(asked.worker, asked.pid, asked.start_ticks))


def _wait_for_end(pid: int, start_ticks: int) -> None:
    """Return when that very process is no more; at once if it is not there."""
    try:
        pidfd = os.pidfd_open(pid)
    except (OSError, OverflowError):
        return
    try:
        if machine.start_ticks(pid) == start_ticks:
            get_hub().wait(get_hub().loop.io(pidfd, 1))
    finally:
        os.close(pidfd)
