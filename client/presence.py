"""Whether a cluster lives in a home; asks its locks only, so it costs nothing."""

from ..home import locks
from ..home.layout import Home


def is_held(home: Home) -> bool:
    """Whether a supervisor or a master of this home lives, ready or not."""
    return any(locks.holder(path) is not None for path in (home.supervisor_lock, home.master_lock))
