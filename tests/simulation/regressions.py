"""Bugs that the simulation has found in the product, put back as they were.

They show that what found them would find them again; `test_pinned.py` plays the same weather with
the product as it is.
"""

from typing import Any

from stenella.actors.base import Context, ToWarden
from stenella.actors.master.dispatcher import Dispatcher
from stenella.actors.master.gateway import Gateway
from stenella.actors.master.known import Known
from stenella.actors.master.liveness import Terms
from stenella.actors.master.registry import Registry
from stenella.actors.master.workflow_executor import WorkflowExecutor
from stenella.actors.turn import Turn
from stenella.actors.worker.callback_sender import CallbackSender
from stenella.actors.worker.executor import Executor
from stenella.protocol.commands import WorkerRegister

from .bugs import CALM, FAILING, LOSSY, ORDERED, OUT_OF_ORDER, SLOW_DISK, WORKERS_DIE, Bug
from .bugs import master as in_master
from .bugs import worker as in_worker
from .parts import Parts
from .regressions_parked import FOUND_PARKED


class ForgetsItsTimer(Dispatcher):
    """The one timer was not armed again for what was not yet due."""

    def _look_at_due(self, ctx: Context) -> None:
        later = [due for due in self.waits if due[0] > ctx.now_ms]
        super()._look_at_due(ctx)
        if later and not self.requests and not self.kills:
            ctx.set_timer("due", 10**9)


class CountsAnew(CallbackSender):
    """After a power cut a RESULT had the number of a RUNNING that the master had, and was lost."""

    def _least_seq(self, fact: Any) -> int:
        return 1


POWER_FAILS = {
    "reboot_ms": 4_000,
    "power_cut": True,
    "file_ms_max": 2_000,
    "commit_ms_max": 20,
    "repeats": 0.0,
    **dict.fromkeys(("dry", "poison", "deaf", "kills", "stops"), 0.0),
    "storm_ms": 0,
}
BUSY = {"tasks_max": 12, "instances": 8, "slots": 2, "turn_messages": 1_000, "mailbox_max": 1_000}
OF_ATTEMPT = ("task_instance_id", "workflow_instance_id", "attempt", "dispatch_id", "epoch")


class Spins(Turn):
    """At the bound of thinking ahead, a timer that was held back kept the node busy."""

    def has_work(self, now_ms: int) -> bool:
        due = [timer[0] for timer in self._timers if self._is_set(timer)]
        return super().has_work(now_ms) or (bool(due) and min(due) <= now_ms)


class AsksOnce(Gateway):
    """A log's page that was lost between worker and master was never asked for again."""

    def _take(self, request: Any, ctx: Context) -> None:
        if request.request_id in self.open:
            self.open[request.request_id].peer = ctx.peer
        else:
            super()._take(request, ctx)

    def _look_at_waiting(self, ctx: Context) -> None:
        for opened in self.open.values():
            if type(opened.request).__name__ == "LogRead":
                opened.until_ms = 0
        super()._look_at_waiting(ctx)


class SpeaksUnasked(CallbackSender):
    """A life that the master had not taken reported at once: a clone called running ones lost."""

    def _send(self, dispatch_id: int, ctx: Context) -> None:
        self.welcomed = True
        super()._send(dispatch_id, ctx)


class TakesLateFolders(Known):
    """On the master's machine a copied folder was taken while the former warden had attempts."""

    def _has_the_warden(self, register: WorkerRegister) -> bool:
        return True


class TakesFoldersOfTheLate(Registry):
    def _register(self, register: Any, ctx: Context) -> None:
        for known in self.workers.values():
            known.__class__ = TakesLateFolders
        super()._register(register, ctx)


class TakesThemInTheGap(Known):
    """A copied folder was taken while the worker and its warden began anew, results and all."""

    def _has_the_warden(self, register: WorkerRegister) -> bool:
        return self.warden_gone or super()._has_the_warden(register)


class TakesFoldersInTheGap(Registry):
    def _register(self, register: Any, ctx: Context) -> None:
        for known in self.workers.values():
            known.__class__ = TakesThemInTheGap
        super()._register(register, ctx)


class BarsFormerKernels(Known):
    """After a clone had been the worker for a while, the original was refused for good."""

    def gives_way_to(self, register: WorkerRegister, terms: Terms) -> bool:
        barred = register.kernel_boot in self.former_kernels
        return not barred and super().gives_way_to(register, terms)


class TakesFormerLives(Registry):
    """Of a forgotten worker any registration was taken, also one that was long on its way."""

    def _register(self, register: Any, ctx: Context) -> None:
        known = self.workers.get(register.worker)
        if known is not None and known.is_hidden and known.asking is None:
            known.row.life = 0
        super()._register(register, ctx)


class BarsTheOriginal(Registry):
    def _register(self, register: Any, ctx: Context) -> None:
        for known in self.workers.values():
            known.__class__ = BarsFormerKernels
        super()._register(register, ctx)


class StartsAtAnyWarden(Executor):
    """A watched worker began attempts at a new warden when it was dead to its master already."""

    def _change_warden(self, warden: tuple[int, int]) -> None:
        self.warden = warden


class StartsWhereverItIs(Executor):
    """A start that was thought before its warden was lost was handed to the next one."""

    def _start(self, attempt: Any, launch: Any, ctx: Context) -> None:
        warden: Any = self.warden
        self.warden = None  # type: ignore[assignment]
        super()._start(attempt, launch, ctx)
        self.warden = warden


class RenewsWhenItCanWrite(Executor):
    """A lease was passed on after the commit: a disk that was full for longer ended what ran."""

    def _pass_on_lease(self, ctx: Context) -> None:
        of = self.lease
        if of is not None:
            until = {"until_ms": of.until_ms, "grace_ms": of.fence_grace_ms}
            ctx.perform(ToWarden({"do": "lease", "owner": of.owner, **until}))


class KillsWhenItCanWrite(Executor):
    """A kill waited for the commit: the task that filled the disk could not be ended."""

    def _kill(self, attempt: Any, intent: str, grace_ms: int, ctx: Context) -> None:
        attempt.row.kill_reason = attempt.row.kill_reason or intent
        ctx.put(attempt.row)
        kill = {"do": "kill", "dispatch_id": attempt.row.dispatch_id}
        ctx.perform(ToWarden(kill | {"intent": intent, "grace_ms": grace_ms}))


class GoesOnHalfRecovered(WorkflowExecutor):
    """What ended a task while its instance was recovered had all of it begun once more."""

    def _advance(self, live: Any, ctx: Context) -> None:
        live.recovering = False
        super()._advance(live, ctx)


#: Workers that stand still, and wardens that die meanwhile.
ASLEEP = {
    "leased": 0.0,
    "warden_crash_ms": 3_000,
    "crash_point": 0.01,
    "freeze_ms": 5_000,
    "freeze_ms_max": 40_000,
    "lease_ms": 5_000,
    "fence_grace_ms": 1_000,
    "cycle_ms_max": 100,
    "commit_ms_max": 20,
    "noops": 0.0,
    "task_ms_max": 4_000,
    "instances": 8,
}

CLONED = {
    "twin_ms": 3_000,
    "worker_crash_ms": 3_000,
    "down_ms_max": 3_000,
    "noops": 0.0,
    "task_ms_max": 4_000,
    "instances": 8,
}

#: Disks are full for longer than a lease, while long tasks run.
FULL_FOR_LONG = {
    "disk_full_ms": 6_000,
    "disk_full_ms_max": 40_000,
    "leased": 1.0,
    "lease_ms": 5_000,
    "fence_grace_ms": 1_000,
    "noops": 0.0,
    "task_ms_max": 20_000,
    "instances": 8,
    "turn_messages": 1_000,
    "mailbox_max": 100_000,
    "ahead_bytes": 16 * 1024 * 1024,
}

#: Workers come and go while people have them forgotten.
FORGOTTEN = {
    "orders_ms": 300,
    "worker_crash_ms": 3_000,
    "down_ms_max": 6_000,
    "noops": 0.5,
    "workers": 2,
    "instances": 4,
}


FOUND = [
    Bug(
        "a clone has its say",
        "§5, I12",
        in_worker(callback_sender=SpeaksUnasked),
        CALM | CLONED,
        seed=2,
    ),
    Bug(
        "a copied folder is taken while the former warden has attempts",
        "§5, I12",
        in_master(registry=TakesFoldersOfTheLate),
        CALM | CLONED | {"leased": 0.0},
        seed=16,
    ),
    Bug(
        "a copied folder is taken between two lives",
        "I15",
        in_master(registry=TakesFoldersInTheGap),
        CALM | CLONED | {"leased": 0.0, "shutdowns": 3_000, "worker_crash_ms": 0},
        seed=17,
    ),
    Bug(
        "the original is barred after a clone",
        "I36",
        in_master(registry=BarsTheOriginal),
        CALM | CLONED | {"leased": 1.0, "cut_interval_ms": 3_000, "cut_ms_max": 60_000},
        seed=3,
    ),
    Bug(
        "a start at a warden that the master does not know",
        "I15, I12",
        in_worker(executor=StartsAtAnyWarden),
        CALM | ASLEEP,
        seed=7,
    ),
    Bug(
        "a start that another warden was to have",
        "I15, I12",
        in_worker(executor=StartsWhereverItIs),
        CALM | ASLEEP,
        seed=93,
    ),
    Bug(
        "a late frame of a former life after `worker rm`",
        "§5",
        in_master(registry=TakesFormerLives),
        CALM | OUT_OF_ORDER | FORGOTTEN,
        seed=4,
    ),
    Bug(
        "a lease that waits for the disk",
        "I14",
        in_worker(executor=RenewsWhenItCanWrite),
        CALM | FULL_FOR_LONG,
        seed=1,
    ),
    Bug(
        "a kill that waits for the disk",
        "I20",
        in_worker(executor=KillsWhenItCanWrite),
        CALM | FULL_FOR_LONG | {"storm_ms": 1_000, "failing": 0.0, "slots": 4},
        seed=2,
    ),
    Bug("the dispatcher's timer", "I36", in_master(dispatcher=ForgetsItsTimer), FAILING, seed=1),
    Bug(
        "a RESULT with the number of a RUNNING",
        "I36, I15",
        in_worker(callback_sender=CountsAnew),
        CALM | WORKERS_DIE | LOSSY | POWER_FAILS,
        seed=15,
    ),
    Bug(
        "an end in the middle of the recovery",
        "§4",
        in_master(workflow_executor=GoesOnHalfRecovered),
        ORDERED
        | {"orders_ms": 600, "delay_ms_max": 3_000, "fifo": False, "repeats": 0.3}
        | {"worker_crash_ms": 2_000},
        seed=36,
    ),
    Bug("a node that spins", "rests", Parts(turn=Spins), SLOW_DISK | {"ahead_bytes": 400}),
    *FOUND_PARKED,
    Bug("a log asked for once", "I36", in_master(gateway=AsksOnce), {"loss": 0.3, "noops": 0.0}),
]
