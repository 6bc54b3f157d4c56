"""What a planted bug is: a subclass of one of the product's own, put in its place.

The product has no switch for it: it is put there when the world is built. The weathers are options
in which bugs of some kind show quickly.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stenella.actors.base import Actor
from stenella.actors.master.role import master_actors
from stenella.actors.worker.role import worker_actors

from .options import WEATHER, Options
from .parts import Parts


def swapped(**classes: type[Any]) -> Callable[..., dict[str, Actor]]:
    """A role whose actors of these names become of these classes, state and all."""
    worker = {"membership", "executor", "callback_sender", "retry_reporter", "log_reader"}
    role = worker_actors if set(classes) <= worker else master_actors

    def actors(*args: Any, **settings: Any) -> dict[str, Actor]:
        made: dict[str, Any] = role(*args, **settings)
        for name, planted in classes.items():
            made[name].__class__ = planted
        return made

    return actors


def master(**classes: type[Any]) -> Parts:
    """With these actors in the master."""
    return Parts(master_actors=swapped(**classes))


def worker(**classes: type[Any]) -> Parts:
    """With these actors in the workers."""
    return Parts(worker_actors=swapped(**classes))


@dataclass(frozen=True)
class Bug:
    """A bug, the invariants that it breaks, and where it shows.

    ``weather``: options in which it shows quickly. ``seed``: one that caught it when somebody
    looked last; it is tried first, and found again by the search when it has gone stale.
    """

    name: str
    breaks: str
    parts: Parts
    weather: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


ORDERED: dict[str, Any] = {"orders_ms": 1_000, "task_ms_max": 4_000, "noops": 0.0, "instances": 8}
SLOW_DISK: dict[str, Any] = {"commit_ms_max": 500, "cycle_ms_max": 1}
LOSSY: dict[str, Any] = {"loss": 0.3, "repeats": 0.3, "delay_ms_max": 300}
OUT_OF_ORDER: dict[str, Any] = {"repeats": 0.3, "delay_ms_max": 3_000, "fifo": False}
WARDENS_DIE: dict[str, Any] = {"warden_crash_ms": 3_000, "crash_point": 0.01, "noops": 0.0}
WORKERS_DIE: dict[str, Any] = {"worker_crash_ms": 3_000, "noops": 0.0, "task_ms_max": 4_000}
FAILING: dict[str, Any] = {"failing": 0.5, "noops": 0.0}
CALM: dict[str, Any] = {name: getattr(Options(seed=0), name) for name in WEATHER}
SLOW_FILES: dict[str, Any] = {"file_ms_max": 3_000, "noops": 0.0, "commit_ms_max": 1}
FULL: dict[str, Any] = {"slots": 1, "workers": 1, "instances": 8}
