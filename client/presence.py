"""Whether a cluster lives in a home; asks its locks only, so it costs nothing."""

import os

from ..home import locks
from ..home.layout import Home

#: For who has no home with keys of the cluster: where its master takes clients, and a key's file.
MASTER_VARIABLE, KEY_VARIABLE = "STENELLA_MASTER", "STENELLA_KEY"


def master_elsewhere() -> str | None:
    """The master that the environment names instead of that of a home."""
    return os.environ.get(MASTER_VARIABLE) or None


def is_held(home: Home) -> bool:
    """Whether a supervisor or a master of this home lives, ready or not."""
    return any(locks.holder(path) is not None for path in (home.supervisor_lock, home.master_lock))
