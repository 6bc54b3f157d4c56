"""Bugs planted in the master's actors."""

from typing import Any

import msgspec

from stenella.actors.base import Context
from stenella.actors.master.capacity import Slots
from stenella.actors.master.dispatcher import Dispatcher
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.gateway import Gateway
from stenella.actors.master.known import Known
from stenella.actors.master.registry import Registry
from stenella.actors.master.workflow_executor import WorkflowExecutor


class TakesAnybody(Known):
    def gives_way_to(self, register: Any, terms: Any) -> bool:
        return True


class TakesClones(Registry):
    """Whoever has the key is the worker."""

    def _register(self, register: Any, ctx: Context) -> None:
        for known in self.workers.values():
            known.__class__ = TakesAnybody
        super()._register(register, ctx)


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


class KnowsNotWhereItIs(EventPersister):
    """What a former life had placed is not found again when its worker registers or dies."""

    def _recover(self, row: Any, ctx: Context) -> None:
        super()._recover(row, ctx)
        if row.worker is not None:
            self.on_worker.get(row.worker, {}).pop(row.id, None)


class FreesASlotTwice(Dispatcher):
    def _free(self, worker: str, dispatch_id: int, ctx: Context) -> None:
        super()._free(worker, dispatch_id, ctx)
        slots = self._slots(worker)
        if slots.live:
            del slots.live[next(iter(slots.live))]
            self._changed(slots, ctx)


class AsksRefusersAgain(Dispatcher):
    def _request_answered(self, ack: Any, ctx: Context) -> None:
        super()._request_answered(ack, ctx)
        for slots in self.workers.values():
            slots.refused_at_beat, slots.no_disk = None, False
            self._changed(slots, ctx)


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


class JudgesMissingAgain(EventPersister):
    """Found with a seed: a listing made before a placement was judged after it."""

    def _conclude_judging(self, judging: Any, ctx: Context) -> None:
        self.boots.pop(judging.judge.worker, None)
        super()._conclude_judging(judging, ctx)


class JudgesEveryListing(Registry):
    def _register(self, register: Any, ctx: Context) -> None:
        known = self.workers.get(register.worker)
        if known is not None:
            known.boot = ""
        super()._register(register, ctx)


class AnswersAgain(Gateway):
    """A request that was carried out is carried out again."""

    def _judge_intent(self, loaded: Any, ctx: Context) -> None:
        super()._judge_intent(msgspec.structs.replace(loaded, rows=[]), ctx)


class RefusesWhatIsDone(Gateway):
    """While the disk stalls a repeat is refused, though its answer only waits for the commit."""

    def _take_intent(self, intent: Any, ctx: Context) -> None:
        self.answered.clear()
        super()._take_intent(intent, ctx)


class TakesAnybodysWord(EventPersister):
    """Whoever says something of an attempt is believed."""

    def _judge_callback(
        self, callback: Any, row: Any, peer: bytes, sender: str, ctx: Context
    ) -> None:
        super()._judge_callback(callback, row, peer, row.worker, ctx)


class StopsOnlyWhatRuns(EventPersister):
    """What waits for its turn is neither killed nor placed."""

    def _kill(self, row: Any, reason: str, ctx: Context) -> None:
        if row.worker is not None:
            super()._kill(row, reason, ctx)


class BelievesAbandonedAfterReboots(EventPersister):
    """What a worker calls abandoned was never begun, whatever the power cut took."""

    def _judge_listed(self, row: Any, report: Any, judge: Any) -> Any:
        return super()._judge_listed(
            row, report, msgspec.structs.replace(judge, known_journal=True)
        )


class HaltsAtAnyFailure(WorkflowExecutor):
    def _count_failure(self, live: Any, node: int, state: Any, ctx: Context) -> None:
        super()._count_failure(live, node, state, ctx)
        if live.row.id in self.live and not live.stopping:
            self._halt(live, "failure_strategy", ctx)


class LetsRunWhatRuns(WorkflowExecutor):
    """`failure_strategy: end` starts nothing new, and waits."""

    def _halt(self, live: Any, reason: str, ctx: Context) -> None:
        if reason != "failure_strategy":
            super()._halt(live, reason, ctx)
            return
        live.stopping = True
        live.ready.clear()
        self._advance(live, ctx)


class ForgetsAChild(WorkflowExecutor):
    def _advance(self, live: Any, ctx: Context) -> None:
        if len(live.ready) > 1:
            live.ready.pop()
        super()._advance(live, ctx)


class MakesChildrenTwice(WorkflowExecutor):
    def _advance(self, live: Any, ctx: Context) -> None:
        live.ready.extend(list(live.ready)[:1])
        super()._advance(live, ctx)


class NeedsOneParent(WorkflowExecutor):
    def _advance(self, live: Any, ctx: Context) -> None:
        for node, missing in enumerate(live.missing):
            parents = len(live.version.graph.parents[node])
            if 0 < missing < parents and not live.has_row[node] and node not in live.ready:
                live.ready.append(node)
        super()._advance(live, ctx)
