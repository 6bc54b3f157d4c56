"""How many files a master may have open: each connection is one.

libzmq takes a connection before anybody can refuse it, and where there is no descriptor left it
tries again without a pause. So there are as many as the system allows, and connections are turned
away while some are left.
"""

import logging
import os
import resource
import time

log = logging.getLogger(__name__)

#: Kept for the database, the log files, and what is opened for a moment.
KEPT = 32
LOG_S_MIN = 10.0  # between two lines about it


def raise_limit() -> int:
    """Let this process open what the hard limit allows (usually far more); how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Room:
    """Whether there is a descriptor for one more connection, of ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._logged_s = -LOG_S_MIN

    def __call__(self) -> bool:
        """A new descriptor is the lowest that is free: its number says how many are taken."""
        try:
            lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            lowest = self._limit  # none is left at all
        else:
            os.close(lowest)
        if self._limit == resource.RLIM_INFINITY or lowest < self._limit - KEPT:
            return True
        if time.monotonic() - self._logged_s >= LOG_S_MIN:
            self._logged_s = time.monotonic()
            log.error(
                "turned away: %d files may be open and nearly all are; raise the hard limit where "
                "the cluster is started (ulimit -Hn, LimitNOFILE= of a unit)",
                self._limit,
            )
        return False
