"""Bugs planted in waits, limits of time and the order of the queue (see `planted.py`)."""

from typing import Any

import msgspec

from stenella.actors.base import Context
from stenella.actors.master.dispatcher import Dispatcher
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.workflow_executor import WorkflowExecutor
from stenella.actors.worker.executor import Executor
from stenella.actors.worker.warden import Warden

from .bugs import CALM, FAILING, Bug, master, worker
from .parts import Parts

CROWDED: dict[str, Any] = {"slots": 1, "workers": 1, "instances": 8, "tasks_max": 12}
URGENT: dict[str, Any] = {"priorities": True, "task_ms_max": 500, "noops": 0.0}
LIMITED: dict[str, Any] = {"limits": 0.8, "noops": 0.0, "task_ms_max": 4_000}
DELAYED: dict[str, Any] = {"delays": 0.6}
MASTERS_DIE: dict[str, Any] = {"master_crash_ms": 3_000, "commit_ms_max": 2}


class IgnoresPriority(Dispatcher):
    def _enqueue(self, ready: Any, ctx: Context) -> None:
        super()._enqueue(msgspec.structs.replace(ready, level=12), ctx)


class NeverAges(Dispatcher):
    """What is urgent always goes first, and the rest may starve."""

    def _enqueue(self, ready: Any, ctx: Context) -> None:
        self.age_ms = 10**9
        super()._enqueue(ready, ctx)


class ReturnsToTheTail(Dispatcher):
    def _enqueue(self, ready: Any, ctx: Context) -> None:
        super()._enqueue(msgspec.structs.replace(ready, returned_from=0), ctx)


class RetriesAtOnce(EventPersister):
    def _retry(self, retry: Any, ctx: Context) -> None:
        super()._retry(msgspec.structs.replace(retry, wait_ms=0), ctx)


class DropsDelaysAtRestart(EventPersister):
    """A delay that was cut off is taken for one that is over."""

    def _recover(self, row: Any, ctx: Context) -> None:
        row.eligible_at = 0
        super()._recover(row, ctx)


class WarnsAgain(EventPersister):
    def _end_timing(self, row: Any, response: Any, ctx: Context) -> None:
        row.warned_at = None
        super()._end_timing(row, response, ctx)


class WarnsOfEveryEnd(EventPersister):
    """The timer of an attempt that has ended in time goes on."""

    def _end_timing(self, row: Any, response: Any, ctx: Context) -> None:
        timeout = self.instances[row.workflow_instance_id].task(row).timeout
        if timeout is not None and timeout.warns and row.warned_at is None:
            self._warn(row, ctx)


class ForgetsTheLimit(Executor):
    def _time_left_ms(self, attempt: Any, request: Any, ctx: Context) -> int:
        return 0


class OnlyAsksPolitely(Warden):
    """A limit that has passed is TERM and nothing more."""

    def _limit_over(self, message: Any) -> Any:
        return [effect for effect in super()._limit_over(message) if effect[0] != "timer"]


class LimitsFromTheOrder(Warden):
    """The clock starts when the start is asked for; twice as fast, so that it shows."""

    def _start(self, message: Any) -> Any:
        return super()._start(message | {"limit_ms": message["limit_ms"] // 2})


class ForgetsTimeAtRestart(WorkflowExecutor):
    def _resume_limit(self, live: Any, ctx: Context) -> None:
        pass


class CallsATimeoutAStop(WorkflowExecutor):
    def _end(self, live: Any, ctx: Context) -> None:
        if live.row.reason == "timeout":
            live.row.reason = "stopped"
        super()._end(live, ctx)


PLANTED_TIME = [
    Bug(
        "priorities are ignored",
        "I29",
        master(dispatcher=IgnoresPriority),
        CALM | CROWDED | URGENT | {"age_ms": 600_000},
    ),
    Bug(
        "nothing ages",
        "I29",
        master(dispatcher=NeverAges),
        CALM | CROWDED | URGENT | {"age_ms": 100, "task_ms_max": 4_000},
    ),
    Bug(
        "what comes back goes to the tail",
        "I29",
        master(dispatcher=ReturnsToTheTail),
        CALM | URGENT | {"orders_ms": 1_000, "instances": 8, "tasks_max": 12},
        seed=26,
    ),
    Bug("a retry without its wait", "I18", master(event_persister=RetriesAtOnce), CALM | FAILING),
    Bug(
        "a restart ends a delay",
        "I18, I34",
        master(event_persister=DropsDelaysAtRestart),
        CALM | DELAYED | MASTERS_DIE,
    ),
    Bug("warned of twice", "I22", master(event_persister=WarnsAgain), CALM | LIMITED),
    Bug("warned of without need", "I22", master(event_persister=WarnsOfEveryEnd), CALM | LIMITED),
    Bug("a limit that the warden never hears of", "I22", worker(executor=ForgetsTheLimit), LIMITED),
    Bug(
        "a limit that deaf tasks outlive",
        "I22",
        Parts(warden=OnlyAsksPolitely),
        CALM | LIMITED | {"deaf": 1.0},
    ),
    Bug("ended before its time", "I22", Parts(warden=LimitsFromTheOrder), CALM | LIMITED),
    Bug(
        "a restart gives a workflow all time there is",
        "I22",
        master(workflow_executor=ForgetsTimeAtRestart),
        CALM | LIMITED | MASTERS_DIE | {"instances": 8, "tasks_max": 12},
    ),
    Bug(
        "over its time is called stopped",
        "I22",
        master(workflow_executor=CallsATimeoutAStop),
        CALM | LIMITED | {"instances": 8},
    ),
]
