"""Bugs planted in how tasks are stopped and killed; each must be caught (see `planted.py`)."""

from typing import Any

import msgspec

from stenella.actors.base import Context
from stenella.actors.master.dispatcher import Dispatcher
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.messages import Withdrawn
from stenella.actors.master.workflow_executor import WorkflowExecutor
from stenella.actors.worker.executor import Executor
from stenella.actors.worker.warden import Warden

from .bugs import CALM, FAILING, LOSSY, WARDENS_DIE, Bug, master, worker
from .parts import Parts

KILLS: dict[str, Any] = {"kills": 1.0, "instances": 8, "tasks_max": 12}
SLOW_TO_DIE: dict[str, Any] = {"stubborn": 1.0, "deaf": 1.0, "noops": 0.0, "task_ms_max": 4_000}


ODD: dict[str, Any] = {"odd": 1.0, "noops": 0.0, "instances": 8, "safety_ms": 20_000}


class TriesAKilledTaskAgain(WorkflowExecutor):
    def _take_end(self, ended: Any, ctx: Context) -> None:
        super()._take_end(msgspec.structs.replace(ended, is_to_end=False), ctx)


class KillsWithoutWriting(EventPersister):
    """The request goes out, the intent stays in memory."""

    def _kill(self, row: Any, reason: str, ctx: Context) -> None:
        if row.worker is not None and row.kill_reason is None:
            row.kill_reason = reason
            self._send_kill(row, ctx)
        else:
            super()._kill(row, reason, ctx)


class ForgetsTheKillOfWhatIsLost(EventPersister):
    """It was lost, so another attempt begins, whoever had asked for its end."""

    def _apply(self, callback: Any, row: Any, ctx: Context) -> None:
        if getattr(callback, "status", "") == "NEED_FAULT_TOLERANCE":
            row.kill_reason = None
        super()._apply(callback, row, ctx)


class KillsWithoutJournal(Executor):
    def _kill(self, attempt: Any, intent: str, grace_ms: int, ctx: Context) -> None:
        attempt.row.kill_reason = intent
        super()._kill(attempt, intent, grace_ms, ctx)


class KeepsWhatWasWithdrawn(Dispatcher):
    """What was killed while it waited for a slot stays in the queue, and is counted there."""

    def _withdraw(self, withdrawn: Withdrawn) -> None:
        pass


class TellsOnce(Executor):
    """That something cannot be killed is said once, and may be lost."""

    def _tell_stuck(self, ctx: Context) -> None:
        super()._tell_stuck(ctx)
        for attempt in self.attempts.values():
            attempt.stuck = []


class EndsWithItsMainProcess(Warden):
    """What it leaves behind is not looked for."""

    def _exited(self, message: Any) -> Any:
        sweep = super()._exited(message)
        return [*sweep, *self._conclude(message["dispatch_id"])]


class NeverCounts(Warden):
    """Whoever forks without end is left alone."""

    def _counted(self, message: Any) -> Any:
        return []


class TakesAnyKillForOurs(Executor):
    """That the system killed for want of memory is not looked at."""

    def _collect(self, attempt: Any, ended: Any, ctx: Context) -> None:
        super()._collect(attempt, ended | {"oom": ""}, ctx)


PLANTED_KILLS = [
    Bug(
        "what was killed waits on",
        "what waits for a slot is to run",
        master(dispatcher=KeepsWhatWasWithdrawn),
        CALM | KILLS | {"slots": 1, "workers": 1},
    ),
    Bug(
        "a killed task is tried again",
        "I19",
        master(workflow_executor=TriesAKilledTaskAgain),
        CALM | KILLS | FAILING | {"task_ms_max": 4_000},
    ),
    Bug("a kill that is not written", "I6", master(event_persister=KillsWithoutWriting), KILLS),
    Bug(
        "a kill that a loss makes forgotten",
        "I19",
        master(event_persister=ForgetsTheKillOfWhatIsLost),
        KILLS | SLOW_TO_DIE | WARDENS_DIE,
    ),
    Bug("a kill that is not journalled", "§5", worker(executor=KillsWithoutJournal), KILLS),
    Bug(
        "what cannot be killed is told once",
        "§6: kill_failed is visible",
        worker(executor=TellsOnce),
        CALM | KILLS | SLOW_TO_DIE | {"loss": 0.5, "safety_ms": 20_000},
    ),
    Bug(
        "an attempt ends with its main process",
        "I20",
        Parts(warden=EndsWithItsMainProcess),
        CALM | LOSSY | {"littering": 1.0, "noops": 0.0},
    ),
    Bug("nobody counts processes", "B30", Parts(warden=NeverCounts), CALM | ODD),
    Bug("a want of memory is not told", "F26", worker(executor=TakesAnyKillForOurs), CALM | ODD),
]
