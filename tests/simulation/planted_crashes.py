"""Bugs planted in what follows a crash: lost answers of commits, suspects, quarantine, parking."""

from typing import Any

import msgspec

from stenella.actors.base import Context
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.suspects import Suspect, Suspicion
from stenella.actors.turn import Turn
from stenella.actors.worker.executor import DRAIN_CHECK_MS, Executor
from stenella.actors.worker.warden import Warden
from stenella.protocol.rows import Batch
from stenella.storage.journal import Journal

from .bugs import CALM, LOSSY, Bug, master, worker
from .parts import Parts


class BelievesLostAnswers(Journal):
    """A commit whose answer was lost counts as done, without a look at its number."""

    def reconnect(self) -> None:
        self.believes = True

    def commit(self, batch: Batch) -> None:
        if getattr(self, "believes", False):
            self.believes = False
        else:
            super().commit(batch)


def nobody(suspects: list[Suspect]) -> list[Suspect]:
    """Nothing is ever quarantined."""
    return []


class Careless(Suspicion):
    def is_careful(self, now_ms: int) -> bool:
        return False


class BlamesCopies(Suspicion):
    """Found by the simulation: two copies in one crash were taken for two crashes."""

    def _window(self) -> list[Suspect]:
        suspects = [msgspec.structs.replace(s, sole=True) for s in super()._window()]
        return suspects * 2 if len(self.taken) > 1 else suspects


class ParksWhatIsNotThere(Suspicion):
    """Found by the simulation: an instance that was never on disk was parked, not its submit."""

    def _to_park(self, instances: Any) -> list[int]:
        self.first_new_instance = 10**9
        return super()._to_park(instances)


def suspecting(kind: type[Suspicion]) -> Parts:
    """With this suspicion in every node."""

    class Suspecting(Turn):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self.suspicion.__class__ = kind

    return Parts(turn=Suspecting)


class JudgesTheParked(EventPersister):
    def _is_parked(self, row: Any) -> bool:
        return False

    def receive(self, message: Any, ctx: Context) -> None:
        try:
            super().receive(message, ctx)
        except KeyError as error:  # its instance is not in memory: the real node would crash
            raise AssertionError(f"judged while it is parked: {message}") from error


class DrainsForEver(Executor):
    """Found by the simulation: of a parked instance no result is acknowledged."""

    def _go_on_draining(self, ctx: Context) -> None:
        if self.attempts and all(a.row.phase == "ended" for a in self.attempts.values()):
            ctx.set_timer("drain", DRAIN_CHECK_MS)
        else:
            super()._go_on_draining(ctx)


class GivesUpAtOnce(Warden):
    """What passes ends the attempt, and costs a try."""

    def _spawn_later(self, message: Any) -> Any:
        failed = {"dispatch_id": message["dispatch_id"], "message": "EAGAIN", "end_time": 1}
        return self._spawn_failed(failed)


UNKNOWN: dict[str, Any] = {"commit_unknown": 0.2}
BUSY: dict[str, Any] = {"instances": 8, "tasks_max": 6, "task_ms_max": 500}

PLANTED_CRASHES = [
    Bug(
        "a lack that passes ends an attempt",
        "F27",
        Parts(warden=GivesUpAtOnce),
        CALM | BUSY | {"scarce": 0.5, "noops": 0.0},
    ),
    Bug("a lost answer is taken for yes", "I6", Parts(journal=BelievesLostAnswers), UNKNOWN),
    Bug(
        "poison is taken again and again",
        "I36",
        Parts(convicted=nobody),
        CALM | BUSY | {"crasher": "result"},
    ),
    Bug(
        "suspects are taken all at once",
        "only poison is parked",
        suspecting(Careless),
        CALM | LOSSY | BUSY | {"crasher": "submit", "commit_ms_max": 500, "cycle_ms_max": 100},
        seed=1,
    ),
    Bug(
        "what is parked is judged",
        "everything else goes on",
        master(event_persister=JudgesTheParked),
        CALM
        | BUSY
        | {
            "crasher": "row",
            "noops": 0.0,
            "master_crash_ms": 3_000,
            "worker_crash_ms": 2_000,
            "task_ms_max": 4_000,
            "down_ms_max": 1,
        },
        seed=2,
    ),
    Bug(
        "copies of a message convict it",
        "only poison is parked",
        suspecting(BlamesCopies),
        CALM | LOSSY | BUSY | {"crasher": "submit", "commit_ms_max": 500, "cycle_ms_max": 100},
    ),
    Bug(
        "an instance is parked that is not on disk",
        "I36",
        suspecting(ParksWhatIsNotThere),
        CALM | BUSY | {"crasher": "placing", "commit_ms_max": 500},
        seed=15,
    ),
    Bug(
        "a drain waits for what nobody takes",
        "I36",
        worker(executor=DrainsForEver),
        CALM | BUSY | {"crasher": "running", "shutdowns": 10_000, "noops": 0.0},
    ),
]
