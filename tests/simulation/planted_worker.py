"""Bugs planted in the worker's actors and in the warden's rules."""

from typing import Any

import msgspec

from stenella.actors.base import Context
from stenella.actors.worker.callback_sender import CallbackSender
from stenella.actors.worker.executor import Executor
from stenella.actors.worker.retry_reporter import RetryReporter
from stenella.actors.worker.warden import Warden
from stenella.protocol.commands import TaskExecuteRequest


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


class RunsInSilence(Executor):
    """Only the RESULT of a process is told, however long it runs."""

    def _look_at_begun(self, ctx: Context) -> None:
        pass


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


class ObeysFormerMasters(Executor):
    """A request of an older epoch is as good as any."""

    def receive(self, message: Any, ctx: Context) -> None:
        if isinstance(message, TaskExecuteRequest) and message.epoch < self.epoch:
            self._answer(message, ctx)
        else:
            super().receive(message, ctx)


class KeepsWhatIsOver(Executor):
    def _forget(self, dispatch_id: int, ctx: Context) -> None:
        self.attempts.pop(dispatch_id, None)


class BelievesTheClock(Executor):
    """An end is when the wall clock says so, though it may have been set back."""

    def _report_end(self, attempt: Any, *args: Any) -> None:
        start, attempt.row.start_time = attempt.row.start_time, None
        attempt.ended = attempt.ended | {
            "end_time": min(attempt.ended["end_time"], args[-1].wall_ms)
        }
        super()._report_end(attempt, *args)
        attempt.row.start_time = start


class TakesSilenceForSuccess(Executor):
    """An output that is missing is none that can be found."""

    def _collect(self, attempt: Any, ended: Any, ctx: Context) -> None:
        if ended.get("silent"):
            attempt.row.outputs, attempt.row.required = "{}", "[]"
        super()._collect(attempt, ended, ctx)


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

    def _take(self, message: Any) -> Any:
        """One of the two processes ends first, and news of the other are about nothing."""
        try:
            return super()._take(message)
        except KeyError:
            return []


class SpawnsUnrecorded(Warden):
    """``starting`` is not in the log when the process begins."""

    def _start(self, message: Any) -> Any:
        effects = super()._start(message)
        return [effect for effect in effects if effect[0] != "record"]


class LooksAtLogsOnce(Warden):
    """What a task writes later fills the disk."""

    def _logs_due(self, message: Any) -> Any:
        return [effect for effect in super()._logs_due(message) if effect[0] != "timer"]


class LooksAtTracesTooSoon(Warden):
    """What is left of an attempt when its main process has ended may still write."""

    def _swept(self, message: Any) -> Any:
        live: Any = self.live.get(message["dispatch_id"])
        if live is None:
            return []
        live.first = getattr(live, "first", message["silent"])
        return super()._swept(message | {"silent": live.first})


class EndsWithoutSweep(Warden):
    """A former warden's processes are called lost while they run."""

    def _open(self, message: Any) -> Any:
        effects = [self._rewrite()]
        for dispatch_id in list(self.live):
            effects += self._conclude(dispatch_id)
        return effects
