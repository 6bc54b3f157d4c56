"""Master actor: the state of every live task instance, and the only writer of its row.

Callbacks come from workers, orders from the workflow executor, placements from the dispatcher,
listings from the registry. Invariants: every change of a row fits the table of transitions and is
appended as an event in the same commit; a callback is judged in the order unknown, dispatch, seq,
state; an Ack is asked for in the turn that writes what it acknowledges; not in memory is not
unknown: the row is loaded first, and messages for it wait behind the load.

Here stand what workers say of an attempt, what the graph wants of a task, and times that are over;
below it `placing` (who has which attempt), `task_ends` (kills and losses), `task_rows` (writing).
"""

from typing import assert_never

import msgspec

from ...protocol.commands import (
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunning,
    TaskExecuteRunningAck,
    Verdict,
)
from ...protocol.rows import DeadLetter, TaskAttempt, TaskInstanceRow
from ...protocol.states import TASK_FINAL, TASK_TO_FAIL_OVER, Event, TaskState, fits
from ...workflow.durations import written
from ..base import Boot, Context, Loaded, Timer
from ..deadlines import resumed_ms
from ..suspects import Redelivered
from .cause import CAUSES_MAX, Cause
from .explain import of_row, preparing, say_parents, say_why
from .messages import (
    AdmitInstance,
    Answered,
    CloseNodes,
    CreateTasks,
    Ended,
    EndInstance,
    Explain,
    Judge,
    KillFailed,
    KillNode,
    KillTasks,
    ManyReady,
    Occupied,
    PlaceAll,
    RecoverTasks,
    Retry,
    Return,
    Sweep,
    WorkerDead,
)
from .placing import Placing
from .requests import Instance
from .task_ends import explain_kill
from .task_rows import ME, STATE, Callback, Waiting, said

T, E = TaskState, Event
#: Tasks killed, or due, in one turn, as `workflow_executor.SLICE`.
SLICE = 500
#: What a worker may report as an end, and the event that it is.
ENDS = {
    "SUCCESS": (T.SUCCESS, E.RESULT),
    "FAILURE": (T.FAILURE, E.RESULT),
    "KILL": (T.KILL, E.RESULT),
    "NEED_FAULT_TOLERANCE": (T.NEED_FAULT_TOLERANCE, E.LOST),
}

Inbox = (
    Boot
    | Loaded
    | Timer
    | AdmitInstance
    | RecoverTasks
    | CreateTasks
    | CloseNodes
    | Retry
    | KillTasks
    | KillNode
    | KillFailed
    | EndInstance
    | PlaceAll
    | Return
    | Judge
    | Explain
    | Sweep
    | WorkerDead
    | TaskExecuteRunning
    | TaskExecuteResponse
    | Redelivered
)


class EventPersister(Placing):
    """All of it, and what a worker says of an attempt."""

    def __init__(self, master: int, epoch: int, kill_grace_ms: int, failover_max: int) -> None:
        super().__init__(master, epoch, kill_grace_ms, failover_max)
        self.to_sweep: list[int] = []  # rows that the sweeper has not yet asked about in its round

    def held(self) -> int:
        """Callbacks and listings behind a load, and deadlines to come."""
        behind = sum(len(waiting) for waiting in self.waiting.values())
        return behind + len(self.judging) + len(self.deadlines) + len(self.kept)

    def instance_of(self, task_instance_id: int) -> int | None:
        """The instance of a live task; None: it is not known here."""
        row = self.tasks.get(task_instance_id)
        return None if row is None else row.workflow_instance_id

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case TaskExecuteRunning() | TaskExecuteResponse():  # first: the most frequent
                self._take_callback(message, ctx.peer, ctx.sender, ctx)
            case PlaceAll():
                self._place(message.places, ctx)
            case Boot():
                return
            case AdmitInstance():
                instance = message.instance
                self.instances[instance.id] = Instance(instance, message.version)
            case RecoverTasks():
                for row in message.rows:
                    self._recover(row, ctx)
            case CreateTasks():
                self._create(message.workflow_instance_id, message.nodes, ctx)
            case CloseNodes():
                for node, state, reason in message.nodes:
                    self._close(message.workflow_instance_id, node, state, reason, ctx)
            case Retry():
                self._retry(message, ctx)
            case KillTasks():
                self._kill_tasks(message, ctx)
            case KillNode():
                self._kill_node(message, ctx)
            case KillFailed():
                self._note_kill_failed(message.worker, message.answer, ctx)
            case EndInstance():
                for row in self.instances.pop(message.workflow_instance_id).rows.values():
                    del self.tasks[row.id]
            case Return():
                self._take_back(message, ctx)
            case Redelivered():
                ctx.delete(DeadLetter, message.letter)
                # A RUNNING is implied by what follows it. Its seq may have been used again since: a
                # power cut takes what the worker's journal had not synced.
                if isinstance(message.command, TaskExecuteResponse):
                    self._take_callback(message.command, b"", message.sender, ctx)
            case Judge():
                self._judge(message, ctx)
            case Explain():
                self._explain(message, ctx)
            case Sweep():
                self._sweep(message, ctx)
            case WorkerDead():
                self._hand_over(message, ctx)
            case Timer(name="lost_after"):
                for task_instance_id in self.kept.take(SLICE, ctx):
                    self._give_up_kept(self.tasks[task_instance_id], ctx)
            case Loaded():
                self._take_loaded(message, ctx)
            case Timer():
                for task_instance_id in self.deadlines.take(SLICE, ctx):
                    self._take_due(self.tasks[task_instance_id], ctx)
            case _:
                assert_never(message)

    # --- rows: made, closed, tried again ---------------------------------------------------------

    def _create(self, workflow_instance_id: int, nodes: list[int], ctx: Context) -> None:
        version = self.instances[workflow_instance_id].version
        ready = []
        for node in nodes:
            row = self._new_row(workflow_instance_id, node, T.SUBMITTED_SUCCESS, ctx)
            self._record(row, E.SUBMIT, None, ctx, actor="workflow_executor")
            if delay_ms := version.task(node).delay_ms:
                row.state, row.eligible_at = T.DELAY_EXECUTION, ctx.wall_ms + delay_ms
                self._record(row, E.DELAY, T.SUBMITTED_SUCCESS, ctx)
                self.deadlines.set(row.id, delay_ms, ctx)
            else:
                ready.append(self._ready(row))
        if ready:
            ctx.tell("dispatcher", ManyReady(ready))

    def _close(
        self, workflow_instance_id: int, node: int, state: TaskState, reason: str, ctx: Context
    ) -> None:
        row = self._new_row(workflow_instance_id, node, state, ctx)
        row.attempt = row.try_no = 0
        row.reason, row.end_time = reason, ctx.wall_ms
        self._record(row, E.SKIP, None, ctx, actor="workflow_executor")

    def _retry(self, retry: Retry, ctx: Context) -> None:
        row = self.tasks[retry.task_instance_id]
        assert row.state in (T.FAILURE, T.NEED_FAULT_TOLERANCE), row.state
        ctx.append(_evidence(row))
        row.state = T.SUBMITTED_SUCCESS
        row.attempt += 1
        row.try_no += retry.costs_try
        row.failover_no += retry.costs_failover
        row.eligible_at = ctx.wall_ms + retry.wait_ms if retry.wait_ms else 0
        row.worker = row.boot = row.host = row.pid = row.exit_code = None
        row.dispatch_id = row.seq = 0
        row.start_time = row.end_time = None
        row.reason = row.message = row.tail = ""
        row.timeout_at, row.warned_at = 0, None
        row.unreachable_at = None
        row.outputs = "{}"
        row.submit_time = ctx.wall_ms
        self._record(row, E.SUBMIT, None, ctx, actor="workflow_executor")
        ctx.tell("dispatcher", self._ready(row, wait_ms=retry.wait_ms))

    # --- deadlines ------------------------------------------------------------------------------

    def _take_due(self, row: TaskInstanceRow, ctx: Context) -> None:
        """A delay is over, or the time of an attempt that is to be told."""
        if row.state == T.DELAY_EXECUTION:
            row.state, row.eligible_at = T.SUBMITTED_SUCCESS, 0
            self._record(row, E.DUE, T.DELAY_EXECUTION, ctx)
            ctx.tell("dispatcher", self._ready(row))
        else:
            self._warn(row, ctx)

    def _begin_timing(self, row: TaskInstanceRow, ctx: Context) -> None:
        """The attempt runs; its clock is ours from the moment we hear of it."""
        timeout = self.instances[row.workflow_instance_id].task(row).timeout
        if timeout is not None and not row.timeout_at:  # a second RUNNING tells of its process
            row.timeout_at = ctx.wall_ms + timeout.after_ms
            if timeout.warns:
                self.deadlines.set(row.id, timeout.after_ms, ctx)

    def _warn(self, row: TaskInstanceRow, ctx: Context) -> None:
        row.warned_at = ctx.wall_ms
        state = STATE[row.state]
        self._record(row, E.TIMEOUT, state, ctx, detail=self._limit_of(row))

    def _limit_of(self, row: TaskInstanceRow) -> str:
        timeout = self.instances[row.workflow_instance_id].task(row).timeout
        return written(timeout.after_ms) if timeout is not None else ""

    def _end_timing(
        self, row: TaskInstanceRow, response: TaskExecuteResponse, ctx: Context
    ) -> None:
        """What was measured decides, if its end comes before we knew that its time was over."""
        timeout = self.instances[row.workflow_instance_id].task(row).timeout
        if (
            timeout is not None
            and timeout.warns
            and row.warned_at is None
            and response.start_time is not None
            and response.end_time - response.start_time >= timeout.after_ms
        ):
            self._warn(row, ctx)

    # --- why something has not ended ------------------------------------------------------------

    def _explain(self, explain: Explain, ctx: Context) -> None:
        """Add the rows that are asked about, and say of each what the row tells."""
        instance = self.instances.get(explain.workflow_instance_id)
        if instance is not None:
            nodes = list(instance.rows) if explain.nodes is None else explain.nodes
            rows = [instance.rows[node] for node in nodes if node in instance.rows]
            live = [row for row in rows if row.state not in TASK_FINAL]
            explain.causes.extend(of_row(row) for row in live[:CAUSES_MAX])
            for cause in explain.causes:
                if cause.parents is not None:
                    say_parents(cause, instance)
        for cause in explain.causes:
            row = self.tasks.get(cause.task_instance_id or 0)
            if row is not None and not cause.owner:
                self._say_why(cause, row, ctx)
        ctx.tell("dispatcher", explain)

    def _say_why(self, cause: Cause, row: TaskInstanceRow, ctx: Context) -> None:
        instance = self.instances[row.workflow_instance_id]
        say_why(cause, row, instance, ctx.wall_ms)
        waits_here = row.id in self.deadlines.due_ms or row.id in self.kept.due_ms
        if row.state == T.DELAY_EXECUTION and waits_here:
            cause.owner = ME
        elif row.unreachable_at is not None:
            cause.owner, left_ms = f"worker {row.worker}", self.kept.due_ms.get(row.id)
            cause.until = None if left_ms is None else ctx.wall_ms + left_ms - ctx.now_ms

    def _sweep(self, sweep: Sweep, ctx: Context) -> None:
        """The next rows of those that were live when this round began."""
        if sweep.begins and not self.to_sweep:
            self.to_sweep = list(reversed(self.tasks))
        count = min(sweep.count - len(sweep.again), len(self.to_sweep))
        ids = [self.to_sweep.pop() for _ in range(count)]
        causes = [*sweep.causes]
        for task_instance_id in dict.fromkeys([*sweep.again, *ids]):
            row = self.tasks.get(task_instance_id)
            if row is not None and row.state not in TASK_FINAL:
                causes.append(of_row(row))
        more = bool(self.to_sweep)
        self._explain(Explain("sweeper", "", causes, more=more), ctx)

    # --- callbacks ------------------------------------------------------------------------------

    def _take_callback(self, callback: Callback, peer: bytes, sender: str, ctx: Context) -> None:
        task_instance_id = callback.task_instance_id
        row = self.tasks.get(task_instance_id)
        if task_instance_id in self.waiting:
            self.waiting[task_instance_id].append(Waiting(callback, peer, sender))
        elif row is not None:
            self._judge_callback(callback, row, peer, sender, ctx)
        else:
            self._load(task_instance_id, ctx)
            self.waiting[task_instance_id].append(Waiting(callback, peer, sender))

    def _judge_callback(
        self, callback: Callback, row: TaskInstanceRow, peer: bytes, sender: str, ctx: Context
    ) -> None:
        is_present = callback.dispatch_id == row.dispatch_id and callback.attempt == row.attempt
        if not is_present or row.state == T.SUBMITTED_SUCCESS:
            self._acknowledge(callback, "fenced", peer, ctx)
            return
        if sender != row.worker:
            self._bury(callback, sender, "not_its_worker", ctx)
            self._acknowledge(callback, "fenced", peer, ctx)
            return
        if callback.seq > row.seq:
            self._apply(callback, row, ctx)
        self._acknowledge(callback, "ok", peer, ctx)

    def _apply(self, callback: Callback, row: TaskInstanceRow, ctx: Context) -> None:
        before = STATE[row.state]
        if isinstance(callback, TaskExecuteRunning):
            after, event = T.RUNNING_EXECUTION, E.RUNNING
        else:
            after, event = ENDS.get(callback.status, (T.FAILURE, E.RESULT))
            if event is E.LOST and row.kill_reason is not None:
                after = T.KILL  # asked for before it was lost; nothing of it is left
        if not fits(before, event, after):
            row.seq = callback.seq
            ctx.write(row)  # only its seq; what was said is kept as evidence
            self._append_event(row, event, before, ctx, detail=said(callback))
            return
        if isinstance(callback, TaskExecuteResponse):
            self._end_timing(row, callback, ctx)
        else:
            self._begin_timing(row, ctx)
        row.state, row.seq, row.unreachable_at = after, callback.seq, None
        row.host, row.pid = callback.host, callback.pid
        if callback.start_time is not None:
            row.start_time = callback.start_time
        if isinstance(callback, TaskExecuteResponse):
            row.end_time, row.exit_code = callback.end_time, callback.exit_code
            row.reason, row.message, row.tail = callback.reason, callback.message, callback.tail
            if row.reason == "timeout":  # the worker does not know its length
                row.message = f"stopped after its timeout of {self._limit_of(row)}"
            row.outputs = msgspec.json.encode(callback.outputs).decode()
            if after is T.KILL and row.kill_reason is not None:
                explain_kill(row, callback.message if event is E.LOST else "")
        else:
            row.reason = row.message = ""  # it may have been kept; it is heard again
            if not callback.pid:
                where = self.instances[row.workflow_instance_id]
                row.reason, row.message = "preparing", preparing(row, where)
            self.kept.cancel(row.id)
        if after is T.NEED_FAULT_TOLERANCE and row.reason != "shutdown":
            self._bound_failovers(row)
            after = STATE[row.state]
        self._record(row, event, before, ctx, actor=f"worker {row.worker}")
        if after in TASK_FINAL:
            assert row.worker is not None
            ctx.tell("dispatcher", Ended(row.worker, row.dispatch_id))
            self._tell_ended(row, ctx)
        else:
            ctx.tell("dispatcher", Answered(row.dispatch_id))

    def _acknowledge(self, callback: Callback, outcome: str, peer: bytes, ctx: Context) -> None:
        if not peer:
            return  # redelivered: its worker has been told long ago
        is_result = isinstance(callback, TaskExecuteResponse)
        kind = TaskExecuteResponseAck if is_result else TaskExecuteRunningAck
        ack = kind(
            task_instance_id=callback.task_instance_id,
            workflow_instance_id=callback.workflow_instance_id,
            attempt=callback.attempt,
            dispatch_id=callback.dispatch_id,
            epoch=callback.epoch,
            seq=callback.seq,
            outcome=outcome,
        )
        ctx.send(peer, ack)

    # --- loading --------------------------------------------------------------------------------

    def _recover(self, row: TaskInstanceRow, ctx: Context) -> None:
        instance = self.instances[row.workflow_instance_id]
        self.tasks[row.id] = instance.rows[row.node] = row
        task = instance.task(row)
        if row.state == T.SUBMITTED_SUCCESS:
            wait_ms = resumed_ms(row.eligible_at, instance.longest_wait_ms(row), ctx)
            waited_ms = max(0, ctx.wall_ms - max(row.submit_time, row.eligible_at))
            ctx.tell("dispatcher", self._ready(row, wait_ms=wait_ms, waited_ms=waited_ms))
        elif row.state == T.DELAY_EXECUTION:
            self.deadlines.set(row.id, resumed_ms(row.eligible_at, task.delay_ms, ctx), ctx)
        elif row.state in TASK_TO_FAIL_OVER:
            if task.timeout and task.timeout.warns and row.timeout_at and row.warned_at is None:
                left_ms = resumed_ms(row.timeout_at, task.timeout.after_ms, ctx)
                self.deadlines.set(row.id, left_ms, ctx)
            assert row.worker is not None
            self._is_on_worker(row)
            ctx.tell("dispatcher", Occupied(row.worker, row.dispatch_id, row.id, row.type))
            self._wait_for_kept(row, ctx)

    def _take_loaded(self, loaded: Loaded, ctx: Context) -> None:
        task_instance_id = loaded.key[0]
        row: TaskInstanceRow | None = loaded.rows[0] if loaded.rows else None
        for waiting in self.waiting.pop(task_instance_id):
            if row is None:
                self._bury(waiting.callback, waiting.sender, "unknown", ctx)
                self._acknowledge(waiting.callback, "unknown", waiting.peer, ctx)
            elif not self._is_parked(row):
                self._judge_callback(waiting.callback, row, waiting.peer, waiting.sender, ctx)
        for judging in list(self.judging.values()):
            reports = judging.loading.pop(task_instance_id, [])
            for report in reports:
                if row is None:
                    self._bury(report, judging.judge.worker, "unknown", ctx)
                if task_instance_id not in self.tasks:
                    verdict = "unknown" if row is None else "fenced"
                    if row is not None and self._is_parked(row):
                        verdict = "keep" if row.dispatch_id == report.dispatch_id else "fenced"
                    judging.verdicts.append(Verdict(task_instance_id, report.dispatch_id, verdict))
            if reports and not judging.loading:
                self._judge_known(judging, ctx)

    def _is_parked(self, row: TaskInstanceRow) -> bool:
        """Loaded because it is not in memory, and yet live: its instance waits for a person.

        What is said of it is not acknowledged, so the worker keeps it.
        """
        return STATE[row.state] not in TASK_FINAL


def _evidence(row: TaskInstanceRow) -> TaskAttempt:
    return TaskAttempt(
        task_instance_id=row.id,
        **{
            name: getattr(row, name)
            for name in TaskAttempt.__struct_fields__
            if name != "task_instance_id"
        },
    )
