"""Which attempt is where: placed, taken back, and found again where a worker lists what it has.

Part of the event persister (see `task_rows`).
"""

from ...protocol.commands import AttemptReport, TaskExecuteRequest, Verdict
from ...protocol.rows import TaskInstanceRow
from ...protocol.states import Event, TaskState
from ...workflow.durations import utc
from ..base import Context
from .messages import (
    Answered,
    Ended,
    Judge,
    NotPlaced,
    Place,
    Placed,
    PlacedAll,
    Return,
    SendAgain,
    Verdicts,
    WorkerDead,
)
from .reconcile import Judgement, judge_listed, judge_missing
from .requests import compose
from .task_ends import TaskEnds
from .task_rows import STATE

T, E = TaskState, Event


class Judging:
    """A listing of which some rows are still being loaded."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.verdicts: list[Verdict] = []
        self.loading: dict[int, list[AttemptReport]] = {}  # task instance id → behind its load


class Placing(TaskEnds):
    """Places and returns; listings, of which some may wait for a load."""

    def __init__(self, master: int, epoch: int, kill_grace_ms: int, failover_max: int) -> None:
        super().__init__(master, epoch, kill_grace_ms, failover_max)
        self.judging: dict[str, Judging] = {}
        self.boots: dict[str, str] = {}  # worker → the boot that was judged last; "": it is dead

    def _place(self, places: list[Place], ctx: Context) -> None:
        placed = []
        for place in places:
            ctx.look_at(place)
            request = self._place_one(place, ctx)
            if request is not None:
                placed.append(Placed(place.worker, request))
        if placed:
            ctx.tell("dispatcher", PlacedAll(placed))

    def _place_one(self, place: Place, ctx: Context) -> TaskExecuteRequest | None:
        row = self.tasks.get(place.task_instance_id)
        if row is None or row.state != T.SUBMITTED_SUCCESS or self._is_stopping(row):
            ctx.tell("dispatcher", NotPlaced(place.worker, place.dispatch_id))
            return None
        if self.boots.get(place.worker, place.boot) != place.boot:
            # Decided before a new boot was judged: what goes to the old one is never heard of.
            ctx.tell("dispatcher", self._ready(row, returned_from=place.dispatch_id))
            ctx.tell("dispatcher", NotPlaced(place.worker, place.dispatch_id))
            return None
        row.state, row.worker, row.boot = T.DISPATCH, place.worker, place.boot
        row.dispatch_id, row.seq, row.eligible_at = place.dispatch_id, 0, 0
        self._record(row, E.DISPATCH, T.SUBMITTED_SUCCESS, ctx, actor="dispatcher")
        instance = self.instances[row.workflow_instance_id]
        request, problem = compose(instance, row, self.epoch, self.kill_grace_ms)
        if request is not None:
            return request
        row.state, row.reason, row.message = T.FAILURE, "bad_parameter", problem
        row.end_time = ctx.wall_ms
        self._record(row, E.RESULT, T.DISPATCH, ctx)
        ctx.tell("dispatcher", NotPlaced(place.worker, place.dispatch_id))
        self._tell_ended(row, ctx)
        return None

    def _is_stopping(self, row: TaskInstanceRow) -> bool:
        return self.instances[row.workflow_instance_id].stopping

    def _take_back(self, back: Return, ctx: Context) -> None:
        row = self.tasks.get(back.task_instance_id)
        if row is None or row.dispatch_id != back.dispatch_id or row.state != T.DISPATCH:
            return
        if back.reason == "quarantined":
            self._fail_unbegun(row, ctx)
        else:
            self._return_row(row, back.reason, ctx)

    def _fail_unbegun(self, row: TaskInstanceRow, ctx: Context) -> None:
        """Its request crashes workers: no other one is to try it."""
        assert row.worker is not None
        ctx.tell("dispatcher", Ended(row.worker, row.dispatch_id))
        row.state, row.reason, row.end_time = T.FAILURE, "quarantined", ctx.wall_ms
        row.message = f"the request has crashed worker {row.worker} twice and was never begun"
        self._record(row, E.RESULT, T.DISPATCH, ctx)
        self._tell_ended(row, ctx)

    def _return_row(self, row: TaskInstanceRow, reason: str, ctx: Context) -> None:
        """Certainly never begun: eligible again, or killed if that was asked."""
        assert row.worker is not None
        row.state = T.SUBMITTED_SUCCESS
        self._is_heard_of(row)
        self._record(row, E.RETURNED, T.DISPATCH, ctx, detail=reason)
        if row.kill_reason is None:  # before its slot is free, or another would take its place
            ctx.tell("dispatcher", self._ready(row, returned_from=row.dispatch_id))
        ctx.tell("dispatcher", Ended(row.worker, row.dispatch_id))
        if row.kill_reason is not None:
            self._end_killed(row, ctx)

    # --- reconciliation --------------------------------------------------------------------------

    def _judge(self, judge: Judge, ctx: Context) -> None:
        judging = self.judging[judge.worker] = Judging(judge)
        self._judge_known(judging, ctx)

    def _judge_known(self, judging: Judging, ctx: Context) -> None:
        """Conclude if all rows are known; else load those that are not, or are no longer."""
        told = {verdict.dispatch_id for verdict in judging.verdicts}
        for report in judging.judge.attempts:
            if report.dispatch_id in told or report.task_instance_id in self.tasks:
                continue
            judging.loading.setdefault(report.task_instance_id, []).append(report)
            self._load(report.task_instance_id, ctx)
        if not judging.loading:
            self._conclude_judging(judging, ctx)

    def _conclude_judging(self, judging: Judging, ctx: Context) -> None:
        """All rows are known: verdicts first, so that the Welcome leaves before any request."""
        judge = judging.judge
        del self.judging[judge.worker]
        # Once per boot: a second listing may be older than what was placed there since.
        is_first = self.boots.get(judge.worker) != judge.boot
        self.boots[judge.worker] = judge.boot
        listed = [r for r in judge.attempts if r.task_instance_id in self.tasks]
        verdicts = [*judging.verdicts, *(self._verdict(r, judge) for r in listed)]
        ctx.tell("registry", Verdicts(judge.worker, judge.boot, verdicts))
        for report in listed:
            row = self.tasks[report.task_instance_id]
            if self._is_its_own(row, report, judge):
                self._apply_judgement(row, self._judge_listed(row, report, judge), judge, ctx)
        if judge.judge_missing and is_first:
            self._judge_missing(judge, ctx)

    def _judge_missing(self, judge: Judge, ctx: Context) -> None:
        listed = {report.dispatch_id for report in judge.attempts}
        for row in list(self.on_worker.get(judge.worker, {}).values()):
            if row.dispatch_id not in listed:
                judgement = judge_missing(
                    STATE[row.state],
                    same_boot=row.boot == judge.boot,
                    known_journal=self._knows_journal(row, judge),
                )
                self._apply_judgement(row, judgement, judge, ctx)

    def _is_its_own(self, row: TaskInstanceRow, report: AttemptReport, judge: Judge) -> bool:
        return row.worker == judge.worker and row.dispatch_id == report.dispatch_id

    def _judge_listed(self, row: TaskInstanceRow, report: AttemptReport, judge: Judge) -> Judgement:
        state = STATE[row.state]
        return judge_listed(state, report.phase, known_journal=self._knows_journal(row, judge))

    def _knows_journal(self, row: TaskInstanceRow, judge: Judge) -> bool:
        """Not of what was parked: its worker may have had lives that nobody judged it by."""
        return judge.known_journal and row.boot in (judge.boot, judge.former_boot)

    def _verdict(self, report: AttemptReport, judge: Judge) -> Verdict:
        row = self.tasks[report.task_instance_id]
        keeps = (
            self._is_its_own(row, report, judge)
            and self._judge_listed(row, report, judge) == "keep"
        )
        verdict = "keep" if keeps else "fenced"
        return Verdict(report.task_instance_id, report.dispatch_id, verdict)

    def _apply_judgement(
        self, row: TaskInstanceRow, judgement: str, judge: Judge, ctx: Context
    ) -> None:
        before = STATE[row.state]
        match judgement:
            case "keep":
                ctx.tell("dispatcher", Answered(row.dispatch_id))
                if row.boot != judge.boot or row.unreachable_at is not None:
                    row.boot = judge.boot
                    self._is_heard_of(row)
                    self._record(row, E.KEPT, before, ctx)
                if row.kill_reason is not None:
                    self._send_kill(row, ctx)
            case "again":
                if row.unreachable_at is not None:
                    self._is_heard_of(row)
                    self._record(row, E.KEPT, before, ctx)
                instance = self.instances[row.workflow_instance_id]
                request, _ = compose(instance, row, self.epoch, self.kill_grace_ms)
                if request is not None:
                    ctx.tell("dispatcher", SendAgain(judge.worker, request))
                if row.kill_reason is not None:
                    self._send_kill(row, ctx)
            case "returned":
                self._return_row(row, "never_began", ctx)
            case "lost":
                if before == T.RUNNING_EXECUTION:
                    self._bury(row, judge.worker, "running_not_listed", ctx)
                text = f"worker {row.worker} came back without it"
                if row.unreachable_at is not None:
                    self._fail_kept(row, text, ctx)
                else:
                    self._lose(row, "lost", text, ctx)

    def _hand_over(self, dead: WorkerDead, ctx: Context) -> None:
        """Nothing of the worker can run any more, but for what is to be kept."""
        self.boots[dead.worker] = ""  # what was decided before is not placed there
        where, since = f"worker {dead.worker} ({dead.host})", utc(dead.since_ms)
        for row in list(self.on_worker.get(dead.worker, {}).values()):
            if self.instances[row.workflow_instance_id].task(row).on_isolation == "kill":
                text = f"{where} was not heard after {since} and was declared dead"
                self._lose(row, "worker_lost", text, ctx)
            elif row.unreachable_at is None:
                self._keep(row, f"{where} unreachable since {since}, kept", dead.since_ms, ctx)
