"""Bugs planted on purpose: each must be caught, or the simulation is decoration.

A bug is a subclass of one of the product's own classes, put in its place when the world is built;
the product has no switch for it. `PLANTED` says what each breaks and in which weather it shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stenella.actors import roles
from stenella.actors.base import Actor, Context
from stenella.actors.master.capacity import Slots
from stenella.actors.master.dispatcher import Dispatcher
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.registry import Registry
from stenella.actors.master.workflow_executor import WorkflowExecutor
from stenella.actors.turn import Released, Turn
from stenella.actors.worker.callback_sender import CallbackSender
from stenella.actors.worker.executor import Executor
from stenella.actors.worker.retry_reporter import RetryReporter
from stenella.actors.worker.warden import Warden
from stenella.protocol.commands import (
    Command,
    TaskExecuteResponseAck,
    TaskExecuteRunningAck,
    WorkerWelcome,
)

from .options import WEATHER, Options
from .parts import Parts

ACKS = (TaskExecuteRunningAck, TaskExecuteResponseAck)


def swapped(**classes: type[Any]) -> Callable[..., dict[str, Actor]]:
    """A role whose actors of these names become of these classes, state and all."""
    worker = {"membership", "executor", "callback_sender", "retry_reporter", "log_reader"}
    role = roles.worker_actors if set(classes) <= worker else roles.master_actors

    def actors(*args: Any, **settings: Any) -> dict[str, Actor]:
        made: dict[str, Any] = role(*args, **settings)
        for name, planted in classes.items():
            made[name].__class__ = planted
        return made

    return actors


# --- the turn ------------------------------------------------------------------------------------


class AcksBeforeCommit(Turn):
    def send(self, peer: bytes, command: Command) -> None:
        (self.send_now if isinstance(command, ACKS) else super().send)(peer, command)


class WelcomesBeforeCommit(Turn):
    def send(self, peer: bytes, command: Command) -> None:
        (self.send_now if isinstance(command, WorkerWelcome) else super().send)(peer, command)


class ReleasesQuietTurnsEarly(Turn):
    """What was thought without a write does not wait for the writes before it."""

    def think(self, now_ms: int, wall_ms: int) -> list[Released]:
        already, writes = len(self._thought), self._has_writes
        at_once = super().think(now_ms, wall_ms)
        if not writes and not self._has_writes:
            at_once += self._thought[already:]
            del self._thought[already:]
        return at_once


# --- the master ----------------------------------------------------------------------------------


class KnowsNoSeq(EventPersister):
    def _judge_callback(
        self, callback: Any, row: Any, peer: bytes, sender: str, ctx: Context
    ) -> None:
        if callback.dispatch_id == row.dispatch_id:
            row.seq = 0
        super()._judge_callback(callback, row, peer, sender, ctx)


class KeepsTheAttemptNumber(EventPersister):
    def _retry(self, retry: Any, ctx: Context) -> None:
        self.tasks[retry.task_instance_id].attempt -= 1
        super()._retry(retry, ctx)


class ForgetsAnEvent(EventPersister):
    def _append_event(self, row: Any, event: Any, before: Any, ctx: Context, **more: Any) -> None:
        if event != event.RUNNING:
            super()._append_event(row, event, before, ctx, **more)


class FreesASlotTwice(Dispatcher):
    def _free(self, worker: str, dispatch_id: int) -> None:
        super()._free(worker, dispatch_id)
        live = self._slots(worker).live
        if live:
            del live[next(iter(live))]


class AsksRefusersAgain(Dispatcher):
    def _request_answered(self, ack: Any, ctx: Context) -> None:
        super()._request_answered(ack, ctx)
        for slots in self.workers.values():
            slots.refused_at_beat, slots.no_disk = None, False


class TakesUpDrainedOnes(Dispatcher):
    """A registration makes a worker open, whatever a person wants."""

    def _take_up(self, up: Any, ctx: Context) -> None:
        super()._take_up(msgspec.structs.replace(up, draining=False), ctx)


class BelievesTheWorkersSlots(Dispatcher):
    """What the worker says it has is placed there, though a person wants fewer."""

    def _hear(self, beat: Any, ctx: Context) -> None:
        count = self._slots(beat.worker).count
        super()._hear(msgspec.structs.replace(beat, slots=max(count, beat.slots, 4)), ctx)


class IgnoresGroups(Slots):
    def takes(self, group: str, task_type: str) -> bool:
        return task_type in self.types


class PlacesInAnyGroup(Dispatcher):
    def _slots(self, worker: str) -> Slots:
        return self.workers.setdefault(worker, IgnoresGroups(worker))


class JudgesEveryListing(Registry):
    def _register(self, register: Any, ctx: Context) -> None:
        known = self.workers.get(register.worker)
        if known is not None:
            known.boot = ""
        super()._register(register, ctx)


class NeedsOneParent(WorkflowExecutor):
    def _advance(self, live: Any, ctx: Context) -> None:
        for node, missing in enumerate(live.missing):
            parents = len(live.version.graph.parents[node])
            if 0 < missing < parents and not live.has_row[node] and node not in live.ready:
                live.ready.append(node)
        super()._advance(live, ctx)


# --- the worker ----------------------------------------------------------------------------------


class NeverRepeats(RetryReporter):
    def receive(self, message: Any, ctx: Context) -> None:
        pass


class ForgetsRefusals(Executor):
    def _answer(self, request: Any, ctx: Context) -> None:
        super()._answer(request, ctx)
        self._forget_refusals()

    def _answer_kill(self, request: Any, ctx: Context) -> None:
        super()._answer_kill(request, ctx)
        self._forget_refusals()

    def _forget_refusals(self) -> None:
        self.answered = {d: said for d, said in self.answered.items() if not said}


class RegistersAtOnce(Executor):
    def _meet_warden(self, ctx: Context) -> None:
        if self.warden_records is None and not self.recovered:
            self.warden_records = {}
        super()._meet_warden(ctx)


class RunsWhatIsDry(Executor):
    def _answer(self, request: Any, ctx: Context) -> None:
        super()._answer(msgspec.structs.replace(request, dry_run=False), ctx)


class PreparesInSilence(Executor):
    def _look_at_preparing(self, ctx: Context) -> None:
        self.preparing.clear()


class FailsUnannounced(Executor):
    """A failed preparation is told as if it had never been RUNNING."""

    def _fail(self, attempt: Any, reason: str, message: str, ctx: Context) -> None:
        attempt.row.phase = "failing"
        super()._fail(attempt, reason, message, ctx)


class TakesBackWhatItCalledRunning(Executor):
    """Killed in its preparation, after RUNNING was told: it says that it never began."""

    def _is_untouched(self, attempt: Any) -> bool:
        unbegun = attempt.row.phase == "accepted" and attempt.request is not None
        return unbegun and attempt.launch is None


class CallsAdoptedOnesAbandoned(Executor):
    def _listed(self, attempt: Any) -> Any:
        listed = super()._listed(attempt)
        adopted = attempt.request is None and listed.phase in ("accepted", "begun")
        return msgspec.structs.replace(listed, phase="abandoned") if adopted else listed


class ForgetsAtAnyAck(CallbackSender):
    def _acknowledge(self, ack: Any, ctx: Context) -> None:
        super()._acknowledge(ack, ctx)
        self._forget(ack.dispatch_id, ctx)


# --- the warden ----------------------------------------------------------------------------------


class StartsAgain(Warden):
    def _start(self, message: Any) -> Any:
        self.attempts.pop(message["dispatch_id"], None)
        self.live.pop(message["dispatch_id"], None)
        return super()._start(message)


class SpawnsUnrecorded(Warden):
    """``starting`` is not in the log when the process begins."""

    def _start(self, message: Any) -> Any:
        effects = super()._start(message)
        return [effect for effect in effects if effect[0] != "record"]


class EndsWithoutSweep(Warden):
    """A former warden's processes are called lost while they run."""

    def _open(self, message: Any) -> Any:
        effects = [self._rewrite()]
        for dispatch_id in list(self.live):
            effects += self._conclude(dispatch_id)
        return effects


# --- the table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bug:
    """A planted bug. ``weather``: options in which it shows quickly."""

    name: str
    breaks: str
    parts: Parts
    weather: dict[str, Any] = field(default_factory=dict)


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


def master(**classes: type[Any]) -> Parts:
    """With these actors in the master."""
    return Parts(master_actors=swapped(**classes))


def worker(**classes: type[Any]) -> Parts:
    """With these actors in the workers."""
    return Parts(worker_actors=swapped(**classes))


PLANTED = [
    Bug("ack before commit", "I6", Parts(turn=AcksBeforeCommit), SLOW_DISK),
    Bug(
        "a turn without writes is released early",
        "I6: it acknowledges a copy of what is being committed",
        Parts(turn=ReleasesQuietTurnsEarly),
        SLOW_DISK | {"repeats": 0.3, "delay_ms_max": 20},
    ),
    Bug("Welcome before the worker's row", "§5", Parts(turn=WelcomesBeforeCommit), SLOW_DISK),
    Bug("dedup off", "I5", master(event_persister=KnowsNoSeq), LOSSY),
    Bug(
        "a retry keeps the attempt number",
        "I12",
        master(event_persister=KeepsTheAttemptNumber),
        FAILING,
    ),
    Bug("an event is not written", "I3, I9", master(event_persister=ForgetsAnEvent)),
    Bug("a slot is freed twice", "I28", master(dispatcher=FreesASlotTwice), FULL | {"slots": 2}),
    Bug(
        "who refused is asked again at once",
        "a refused task is no hot loop",
        master(dispatcher=AsksRefusersAgain),
        CALM | {"disk_ms": 1_000, "delay_ms_max": 2, "workers": 1, "noops": 0.0, "instances": 8},
    ),
    Bug(
        "a drained worker that registers is given tasks",
        "a drained worker is given nothing",
        master(dispatcher=TakesUpDrainedOnes),
        CALM | ORDERED | {"worker_crash_ms": 1_500},
    ),
    Bug(
        "more slots than a person wants",
        "I28",
        master(dispatcher=BelievesTheWorkersSlots),
        CALM | ORDERED | FULL | {"slots": 1},
    ),
    Bug(
        "a worker of another group",
        "a task goes to a worker of its group",
        master(dispatcher=PlacesInAnyGroup),
        CALM | {"workers": 2, "big": 0.6},
    ),
    Bug(
        "a stale listing is judged",
        "I15: what was placed since is called lost",
        master(registry=JudgesEveryListing),
        OUT_OF_ORDER | {"task_ms_max": 4_000},
    ),
    Bug("one parent is enough", "I16", master(workflow_executor=NeedsOneParent), {"tasks_max": 12}),
    Bug("retry reporter dead", "I36", worker(retry_reporter=NeverRepeats), LOSSY),
    Bug(
        "a refusal is forgotten",
        "I11: a late copy of a refused request is taken",
        worker(executor=ForgetsRefusals),
        OUT_OF_ORDER | FULL | {"slots": 4, "stops": 1.0, "file_ms_max": 2_000, "noops": 0.0},
    ),
    Bug("registers before its warden has answered", "§6", worker(executor=RegistersAtOnce)),
    Bug("a dry run is run", "§6", worker(executor=RunsWhatIsDry), {"dry": 0.5, "noops": 0.0}),
    Bug(
        "a long preparation is kept quiet",
        "§6",
        worker(executor=PreparesInSilence),
        CALM | SLOW_FILES,
    ),
    Bug(
        "a failed preparation was never RUNNING",
        "§6",
        worker(executor=FailsUnannounced),
        CALM | {"odd": 0.5, "noops": 0.0},
    ),
    Bug(
        "what was told to be RUNNING never began",
        "I35: its master waits for a RESULT that does not come",
        worker(executor=TakesBackWhatItCalledRunning),
        CALM | SLOW_FILES | {"stops": 1.0},
    ),
    Bug(
        "what the warden has is called abandoned",
        "I15",
        worker(executor=CallsAdoptedOnesAbandoned),
        WORKERS_DIE,
    ),
    Bug("any ack ends the repeating", "I7", worker(callback_sender=ForgetsAtAnyAck), LOSSY),
    Bug(
        "start is not idempotent",
        "I11",
        Parts(warden=StartsAgain),
        WARDENS_DIE | {"cycle_ms_max": 100, "commit_ms_max": 200, "warden_crash_ms": 500},
    ),
    Bug(
        "a spawn without its record",
        "I11, I15",
        Parts(warden=SpawnsUnrecorded),
        WARDENS_DIE | WORKERS_DIE,
    ),
    Bug(
        "lost while it runs",
        "I12, I35",
        Parts(warden=EndsWithoutSweep),
        WARDENS_DIE | {"task_ms_max": 4_000},
    ),
]
