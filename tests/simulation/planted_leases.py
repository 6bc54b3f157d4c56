"""Bugs planted around leases, deaths and what is kept."""

from typing import Any

from stenella.actors.base import Context
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.liveness import Terms
from stenella.actors.master.registry import Registry
from stenella.actors.worker.executor import Executor
from stenella.actors.worker.membership import Membership
from stenella.actors.worker.messages import Leased
from stenella.actors.worker.warden import Warden
from stenella.protocol.commands import TaskExecuteRequest
from stenella.protocol.states import TaskState

from .bugs import CALM, WARDENS_DIE, Bug
from .bugs import master as in_master
from .bugs import worker as in_worker
from .parts import Parts


class OutlivesTheLease(Warden):
    def _stop_overdue(self) -> Any:
        return []


class StartsAfterTheLease(Warden):
    def _start(self, message: Any) -> Any:
        leases, self.leases = self.leases, {}
        effects = super()._start(message)
        self.leases = leases
        return effects


class CountsFromReceipt(Membership):
    """The lease runs from the answer, not from the sending of what was answered."""

    def _renew(self, number: int, ctx: Context) -> None:
        if number in self.sent_ms:
            self.sent_ms[number] = ctx.now_ms
        super()._renew(number, ctx)


class ToldOnce(Executor):
    """A new warden is not told of the lease."""

    def _hear_warden(self, said: dict[str, Any], ctx: Context) -> None:
        self.__dict__["meeting"] = said["say"] == "records"
        super()._hear_warden(said, ctx)
        self.__dict__["meeting"] = False

    def _pass_on_lease(self, ctx: Context) -> None:
        if not self.__dict__.get("meeting"):
            super()._pass_on_lease(ctx)


class TakesWhatOvertakesTheWelcome(Executor):
    """Found by the simulation: what it began lived by no lease."""

    def receive(self, message: Any, ctx: Context) -> None:
        if self.lease is None and isinstance(message, TaskExecuteRequest):
            self.lease = Leased(0, 0, 0)
        super().receive(message, ctx)


class Impatient(Terms, frozen=True):
    @property
    def patience_ms(self) -> int:
        return self.lease_ms


class ReplacesAtTheLease(Registry):
    """The graces are for others."""

    def _look_for_silent(self, ctx: Context) -> None:
        mine = {name: getattr(self.terms, name) for name in Terms.__struct_fields__}
        self.terms = Impatient(**mine)
        super()._look_for_silent(ctx)


class DiesUnwritten(Registry):
    """What a worker had is replaced, and nothing says that it is dead."""

    def _declare_dead(self, known: Any, silent_ms: int, ctx: Context) -> None:
        super()._declare_dead(known, silent_ms, ctx)
        known.row.dead_at = None


class LooksAtNoWarden(Registry):
    """Silence is enough, also where the warden can be watched."""

    def _look_for_silent(self, ctx: Context) -> None:
        for known in self.workers.values():
            known.warden_gone = True
        super()._look_for_silent(ctx)


class TriesForEver(EventPersister):
    def _bound_failovers(self, row: Any) -> None:
        pass


class ForgetsPlacedOnes(EventPersister):
    """What was placed on the dead worker and not yet heard of stays there."""

    def _hand_over(self, dead: Any, ctx: Context) -> None:
        had = self.on_worker.get(dead.worker, {})
        placed = {n: row for n, row in had.items() if row.state == TaskState.DISPATCH}
        for number in placed:
            del had[number]
        super()._hand_over(dead, ctx)
        had |= placed


class ReplacesWhatIsKept(EventPersister):
    def _keep(self, row: Any, message: str, since_ms: int, ctx: Context) -> None:
        self._lose(row, "worker_lost", message, ctx)


#: Workers are cut off for longer than their leases, while long tasks run there.
CUT_OFF: dict[str, Any] = CALM | {
    "workers": 2,
    "leased": 1.0,
    "lease_ms": 5_000,
    "fence_grace_ms": 1_000,
    "cut_interval_ms": 6_000,
    "cut_ms_max": 25_000,
    "task_ms_max": 20_000,
    "noops": 0.0,
    "failing": 0.0,
    "instances": 8,
}
CLOSE_BY: dict[str, Any] = CUT_OFF | {"leased": 0.0}
DEAF: dict[str, Any] = {"deaf": 0.6, "fence_grace_ms": 4_000}

PLANTED_LEASES = [
    Bug(
        "a warden that ignores its deadline", "I14", Parts(warden=OutlivesTheLease), CUT_OFF, seed=2
    ),
    Bug(
        "a start after the lease",
        "I14",
        Parts(warden=StartsAfterTheLease),
        CUT_OFF | {"freeze_ms": 3_000, "freeze_ms_max": 12_000, "cut_interval_ms": 0},
        seed=2,
    ),
    Bug(
        "a lease from the receipt of its answer",
        "I14",
        in_worker(membership=CountsFromReceipt),
        CUT_OFF | {"delay_ms_max": 3_000, "fence_grace_ms": 300},
    ),
    Bug(
        "a new warden without the lease",
        "I14",
        in_worker(executor=ToldOnce),
        CUT_OFF | WARDENS_DIE | {"crash_point": 0.0},
        seed=23,
    ),
    Bug(
        "a request that overtakes the Welcome",
        "I14",
        in_worker(executor=TakesWhatOvertakesTheWelcome),
        CUT_OFF
        | {"delay_ms_max": 3_000, "fifo": False, "worker_crash_ms": 3_000, "down_ms_max": 1},
        seed=9,
    ),
    Bug("replaced at the lease", "I14", in_master(registry=ReplacesAtTheLease), CUT_OFF | DEAF),
    Bug("a death that is not on disk", "I12", in_master(registry=DiesUnwritten), CUT_OFF, seed=1),
    Bug(
        "a watched warden is not looked at",
        "I14",
        in_master(registry=LooksAtNoWarden),
        CLOSE_BY,
        seed=1,
    ),
    Bug(
        "lost workers without end",
        "I18",
        in_master(event_persister=TriesForEver),
        {"poison": 0.5, "noops": 0.0, "task_ms_max": 4_000},
        seed=1,
    ),
    Bug(
        "what was placed on the dead is forgotten",
        "I36",
        in_master(event_persister=ForgetsPlacedOnes),
        CUT_OFF | {"delay_ms_max": 1_000, "lose_ms": 3_000, "tasks_max": 12, "workers": 3},
    ),
    Bug(
        "what was to be kept is replaced",
        "I12",
        in_master(event_persister=ReplacesWhatIsKept),
        CUT_OFF | {"keeping": 1.0},
        seed=12,
    ),
]
