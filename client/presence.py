"""Whether a cluster lives in a home; asks its locks only, so it costs nothing."""

import os

from ..home import locks
from ..home.layout import Home

#: For who has no home of the cluster: where its master takes clients, if not where the key says,
#: and the key's file.
MASTER_VARIABLE, KEY_VARIABLE = "STENELLA_MASTER", "STENELLA_KEY"


def elsewhere() -> tuple[str | None, str | None] | None:
    """Address and key that the environment names instead of a home; None: it names neither."""
    named = os.environ.get(MASTER_VARIABLE) or None, os.environ.get(KEY_VARIABLE) or None
    return named if any(named) else None


def elsewhere_text() -> str:
    """The same for people: ``STENELLA_KEY=c.key``."""
    named = ((name, os.environ.get(name)) for name in (MASTER_VARIABLE, KEY_VARIABLE))
    return " ".join(f"{name}={value}" for name, value in named if value)


def is_held(home: Home) -> bool:
    """Whether a supervisor or a master of this home lives, ready or not."""
    return any(locks.holder(path) is not None for path in (home.supervisor_lock, home.master_lock))
