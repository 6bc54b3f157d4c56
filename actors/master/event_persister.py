"""Master actor: the state of every live task instance, and the only writer of its row.

Callbacks come from workers, orders from the workflow executor, placements from the dispatcher,
listings from the registry. Invariants: every change of a row fits the table of transitions and is
appended as an event in the same commit; a callback is judged in the order unknown, dispatch, seq,
state; an Ack is asked for in the turn that writes what it acknowledges; not in memory is not
unknown: the row is loaded first, and messages for it wait behind the load.
"""

import json
from itertools import islice
from typing import Any, assert_never

import msgspec

from ...protocol.commands import (
    AttemptReport,
    TaskExecuteRequest,
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunning,
    TaskExecuteRunningAck,
    TaskKillRequest,
    TaskKillResponse,
    Verdict,
)
from ...protocol.reasons import KILLED_WORKERS, WORKER_LOST
from ...protocol.rows import DeadLetter, TaskAttempt, TaskEvent, TaskInstanceRow
from ...protocol.states import (
    TASK_FINAL,
    TASK_TO_FAIL_OVER,
    TASK_UNPLACED,
    Event,
    TaskState,
    fits,
)
from ...workflow.durations import utc, written
from ..base import Boot, Context, Loaded, Timer
from ..deadlines import Deadlines, resumed_ms
from ..suspects import Redelivered
from .cause import CAUSES_MAX, Cause
from .explain import of_row, say_parents, say_why
from .messages import (
    AdmitInstance,
    Answered,
    CloseNodes,
    CreateTasks,
    Done,
    Ended,
    EndInstance,
    Explain,
    InstanceTouched,
    Judge,
    KillFailed,
    KillNode,
    KillTasks,
    ManyReady,
    NotPlaced,
    Occupied,
    Place,
    PlaceAll,
    Placed,
    PlacedAll,
    Ready,
    RecoverTasks,
    Retry,
    Return,
    SendAgain,
    SendKill,
    Sweep,
    TaskEnded,
    Verdicts,
    WorkerDead,
)
from .reconcile import Judgement, judge_listed, judge_missing
from .requests import Instance, already_ended, compose

T, E = TaskState, Event
ME = "event_persister"
#: By the code that a row stores; a lookup takes a tenth of what ``TaskState(code)`` does.
STATE = {state.value: state for state in TaskState}
#: Tasks killed, or due, in one turn, as `workflow_executor.SLICE`.
SLICE = 500
#: Of a dead letter that is kept whole, so that it can be taken again.
SAID_BYTES_MAX = 256 * 1024
#: What a worker may report as an end, and the event that it is.
ENDS = {
    "SUCCESS": (T.SUCCESS, E.RESULT),
    "FAILURE": (T.FAILURE, E.RESULT),
    "KILL": (T.KILL, E.RESULT),
    "NEED_FAULT_TOLERANCE": (T.NEED_FAULT_TOLERANCE, E.LOST),
}
#: Why a task was to end, and the sentence about it.
KILLED = {
    "killed": "killed on request",
    "stopped": "killed, because its workflow was stopped",
    "timeout": "killed, because its workflow took longer than its timeout",
    "failure_strategy": "killed, because another task did not succeed and failure_strategy is end",
}
#: Process ids told one by one; a fork bomb's would not fit a line.
PIDS_TOLD_MAX = 10
Callback = TaskExecuteRunning | TaskExecuteResponse

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


class Waiting:
    """A callback behind a load of its row."""

    def __init__(self, callback: Callback, peer: bytes, sender: str) -> None:
        self.callback, self.peer, self.sender = callback, peer, sender


class Judging:
    """A listing of which some rows are still being loaded."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.verdicts: list[Verdict] = []
        self.loading: dict[int, list[AttemptReport]] = {}  # task instance id → behind its load


class EventPersister:
    """Owns the rows of all tasks of live instances."""

    def __init__(self, master: int, epoch: int, kill_grace_ms: int, failover_max: int) -> None:
        self.master = master
        self.epoch = epoch
        self.kill_grace_ms = kill_grace_ms
        self.failover_max = failover_max
        self.instances: dict[int, Instance] = {}
        self.tasks: dict[int, TaskInstanceRow] = {}
        self.waiting: dict[int, list[Waiting]] = {}  # task instance id → behind its load
        self.judging: dict[str, Judging] = {}
        self.to_sweep: list[int] = []  # rows that the sweeper has not yet asked about in its round
        self.boots: dict[str, str] = {}  # worker → the boot that was judged last; "": it is dead
        self.kept = Deadlines("lost_after")  # by task instance id: until when it may be
        self.touched: dict[int, None] = {}  # instances that changed in turn ``touched_in``
        self.touched_in = 0
        #: By task instance id: ends of delays, and of time limits that are to be told.
        self.deadlines = Deadlines("deadline")

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

    def _new_row(
        self, workflow_instance_id: int, node: int, state: TaskState, ctx: Context
    ) -> TaskInstanceRow:
        instance = self.instances[workflow_instance_id]
        version = instance.version
        row = TaskInstanceRow(
            id=ctx.new_id("task_instance"),
            workflow_instance_id=workflow_instance_id,
            node=node,
            name=version.graph.names[node],
            type=version.task(node).type,
            state=state,
            submit_time=ctx.wall_ms,
        )
        self.tasks[row.id] = instance.rows[node] = row
        return row

    def _ready(self, row: TaskInstanceRow, **more: int) -> Ready:
        instance = self.instances[row.workflow_instance_id]
        group, level = instance.task(row).worker_group, instance.level_of(row)
        return Ready(row.id, group, row.type, level, **more)

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

    def _kill_tasks(self, kill: KillTasks, ctx: Context) -> None:
        """A slice of an instance's tasks; what is not placed yet will not be, from now on."""
        instance = self.instances.get(kill.workflow_instance_id)
        if instance is None:
            return
        instance.stopping = True
        for row in list(islice(instance.rows.values(), kill.first, kill.first + SLICE)):
            self._kill(row, kill.reason, ctx)
        if kill.first + SLICE < len(instance.rows):
            ctx.next_turn(msgspec.structs.replace(kill, first=kill.first + SLICE))

    def _kill(self, row: TaskInstanceRow, reason: str, ctx: Context) -> None:
        if row.state in TASK_UNPLACED:
            row.kill_reason = reason
            self._end_killed(row, ctx)
        elif row.state in TASK_TO_FAIL_OVER:
            if row.kill_reason is None:
                row.kill_reason = reason
                ctx.write(row)
                self._append_event(row, E.KILL, STATE[row.state], ctx, detail=reason)
            if row.unreachable_at is not None:
                self._end_kept(row, ctx)
            else:
                self._send_kill(row, ctx)

    def _kill_node(self, kill: KillNode, ctx: Context) -> None:
        """One task, for a person: repeated it is no error until the task has ended."""
        instance = self.instances[kill.workflow_instance_id]
        row = instance.rows.get(kill.node)
        if row is None:
            row = self._new_row(kill.workflow_instance_id, kill.node, T.KILL, ctx)
            row.attempt = row.try_no = 0
            row.kill_reason = row.reason = "killed"
            row.message, row.end_time = "killed before its turn came", ctx.wall_ms
            self._record(row, E.KILL, None, ctx)
        elif row.state in TASK_FINAL:
            ctx.tell("gateway", already_ended(kill.request_id, row))
            return
        else:
            self._kill(row, "killed", ctx)
        result = {
            "workflow_instance_id": row.workflow_instance_id,
            "task_instance_id": row.id,
            "task": row.name,
            "state": TaskState(row.state).name,
        }
        ctx.tell("gateway", Done(kill.request_id, result))

    def _end_killed(self, row: TaskInstanceRow, ctx: Context) -> None:
        before = STATE[row.state]
        row.state, row.end_time = T.KILL, ctx.wall_ms
        _explain_kill(row, "it had not begun")
        self._record(row, E.KILL, before, ctx)
        self._tell_ended(row, ctx)

    def _note_kill_failed(self, worker: str, answer: TaskKillResponse, ctx: Context) -> None:
        """A state of a live attempt, told again and again: written when it is news."""
        row = self.tasks.get(answer.task_instance_id)
        known = row is not None and row.worker == worker and row.state in TASK_TO_FAIL_OVER
        if row is None or not known or row.dispatch_id != answer.dispatch_id:
            return  # of an attempt that is not the present one: the worker's log has it
        pids = ", ".join(str(pid) for pid in answer.pids[:PIDS_TOLD_MAX])
        more = len(answer.pids) - PIDS_TOLD_MAX
        message = (
            f"KILL does not end process {pids}{f' and {more} more' if more > 0 else ''} on"
            f" {worker}: it waits inside the system or belongs to another user; tried again"
            " every second, and the task ends when it is gone"
        )
        if (row.reason, row.message) == ("kill_failed", message):
            return
        row.reason, row.message = "kill_failed", message
        state = STATE[row.state]
        self._record(row, E.KILL_FAILED, state, ctx, actor=f"worker {worker}", detail=message)

    def _send_kill(self, row: TaskInstanceRow, ctx: Context) -> None:
        assert row.worker is not None
        assert row.boot is not None
        request = TaskKillRequest(
            task_instance_id=row.id,
            workflow_instance_id=row.workflow_instance_id,
            attempt=row.attempt,
            dispatch_id=row.dispatch_id,
            epoch=self.epoch,
            to_boot=row.boot,
            reason="person",
            grace_ms=self.kill_grace_ms,
        )
        ctx.tell("dispatcher", SendKill(row.worker, request))

    # --- placing --------------------------------------------------------------------------------

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

    def _is_heard_of(self, row: TaskInstanceRow) -> None:
        """It is not, or no longer, where nobody can see it."""
        if row.unreachable_at is not None:
            row.unreachable_at, row.message = None, ""
            self.kept.cancel(row.id)

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

    def _load(self, task_instance_id: int, ctx: Context) -> None:
        if task_instance_id not in self.waiting:
            self.waiting[task_instance_id] = []
            ctx.load("task", task_instance_id)

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
            self._append_event(row, event, before, ctx, detail=_said(callback))
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
                _explain_kill(row, callback.message if event is E.LOST else "")
        else:
            row.reason = "" if callback.pid else "preparing"
            row.message = ""  # it may have been kept; it is heard again
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

    # --- reconciliation -------------------------------------------------------------------------

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
        for row in list(self.tasks.values()):
            if (
                row.worker == judge.worker
                and row.state in TASK_TO_FAIL_OVER
                and row.dispatch_id not in listed
            ):
                judgement = judge_missing(
                    STATE[row.state],
                    same_boot=row.boot == judge.boot,
                    # While it was parked its worker may have had lives that nobody judged it by.
                    known_journal=judge.known_journal
                    and row.boot in (judge.boot, judge.former_boot),
                )
                self._apply_judgement(row, judgement, judge, ctx)

    def _is_its_own(self, row: TaskInstanceRow, report: AttemptReport, judge: Judge) -> bool:
        return row.worker == judge.worker and row.dispatch_id == report.dispatch_id

    def _judge_listed(self, row: TaskInstanceRow, report: AttemptReport, judge: Judge) -> Judgement:
        state = STATE[row.state]
        return judge_listed(state, report.phase, known_journal=judge.known_journal)

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

    # --- loss -----------------------------------------------------------------------------------

    def _hand_over(self, dead: WorkerDead, ctx: Context) -> None:
        """Nothing of the worker can run any more, but for what is to be kept."""
        self.boots[dead.worker] = ""  # what was decided before is not placed there
        where, since = f"worker {dead.worker} ({dead.host})", utc(dead.since_ms)
        for row in list(self.tasks.values()):
            if row.worker != dead.worker or row.state not in TASK_TO_FAIL_OVER:
                continue
            if self.instances[row.workflow_instance_id].task(row).on_isolation == "kill":
                text = f"{where} was last heard {since} and declared dead"
                self._lose(row, "worker_lost", text, ctx)
            elif row.unreachable_at is None:
                self._keep(row, f"{where} unreachable since {since}, kept", dead.since_ms, ctx)

    def _lose(self, row: TaskInstanceRow, reason: str, message: str, ctx: Context) -> None:
        before = STATE[row.state]
        row.state, row.reason, row.message = T.NEED_FAULT_TOLERANCE, reason, message
        if row.kill_reason is not None:
            row.state = T.KILL
            _explain_kill(row, message)
        else:
            self._bound_failovers(row)
        self._end_lost(row, before, ctx)

    def _bound_failovers(self, row: TaskInstanceRow) -> None:
        """A task that kills its workers must not get them all."""
        if row.failover_no >= self.failover_max:
            times = row.failover_no + 1
            row.message = f"killed its workers: {times} attempts were lost, the last: {row.message}"
            row.state, row.reason = T.FAILURE, KILLED_WORKERS

    def _end_lost(self, row: TaskInstanceRow, before: TaskState, ctx: Context) -> None:
        assert row.worker is not None
        row.unreachable_at = None
        row.end_time = max(ctx.wall_ms, row.start_time or 0)  # two machines' clocks
        self._record(row, E.LOST, before, ctx, actor="registry", detail=row.reason)
        ctx.tell("dispatcher", Ended(row.worker, row.dispatch_id))
        self._tell_ended(row, ctx)

    def _keep(self, row: TaskInstanceRow, message: str, since_ms: int, ctx: Context) -> None:
        """It may still run where nobody can see it: its worker will say, or a person decides."""
        row.unreachable_at, row.message = since_ms, message
        self._record(row, E.KEPT, STATE[row.state], ctx, actor="registry", detail=message)
        if row.kill_reason is not None:
            self._end_kept(row, ctx)
        else:
            self._wait_for_kept(row, ctx)

    def _end_kept(self, row: TaskInstanceRow, ctx: Context) -> None:
        """A person has decided; whatever still runs there is fenced when its worker is back."""
        assert row.worker is not None
        before = STATE[row.state]
        row.state, row.unreachable_at = T.KILL, None
        _explain_kill(row, f"worker {row.worker} is unreachable, and it may still run there")
        row.end_time = max(ctx.wall_ms, row.start_time or 0)
        self._record(row, E.RESULT, before, ctx)
        ctx.tell("dispatcher", Ended(row.worker, row.dispatch_id))
        self._tell_ended(row, ctx)

    def _wait_for_kept(self, row: TaskInstanceRow, ctx: Context) -> None:
        longest_ms = self.instances[row.workflow_instance_id].task(row).lost_after_ms
        if longest_ms is not None and row.unreachable_at is not None:
            left_ms = resumed_ms(row.unreachable_at + longest_ms, longest_ms, ctx)
            self.kept.set(row.id, left_ms, ctx)

    def _give_up_kept(self, row: TaskInstanceRow, ctx: Context) -> None:
        if row.unreachable_at is not None:  # else it was heard again
            self._fail_kept(row, f"lost: {row.message}, for all of its lost_after", ctx)

    def _fail_kept(self, row: TaskInstanceRow, message: str, ctx: Context) -> None:
        """It may have done its work, so it is never run again by itself."""
        before = STATE[row.state]
        row.state, row.reason, row.message = T.FAILURE, WORKER_LOST, message
        self._end_lost(row, before, ctx)

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

    # --- writing --------------------------------------------------------------------------------

    def _record(
        self,
        row: TaskInstanceRow,
        event: Event,
        before: TaskState | None,
        ctx: Context,
        *,
        actor: str = ME,
        detail: str = "",
    ) -> None:
        """Write the changed row and its event; a change that is not in the table is our bug."""
        assert fits(before, event, row.state), (before, event, row.state)
        row.state = int(row.state)  # to store an enum takes sqlite3 a microsecond more
        ctx.write(row)
        self._append_event(row, event, before, ctx, actor=actor, detail=detail)

    def _append_event(
        self,
        row: TaskInstanceRow,
        event: Event,
        before: TaskState | None,
        ctx: Context,
        *,
        actor: str = ME,
        detail: str = "",
    ) -> None:
        ctx.append(
            TaskEvent(
                row.id,
                row.workflow_instance_id,
                row.event_no,
                int(event),
                None if before is None else int(before),
                row.state,
                ctx.wall_ms,
                actor,
                row.attempt,
                row.try_no,
                row.failover_no,
                row.worker,
                row.boot,
                row.dispatch_id,
                row.seq,
                row.eligible_at,
                row.host,
                detail,
            )
        )
        self._touch(row.workflow_instance_id, ctx)

    def _touch(self, workflow_instance_id: int, ctx: Context) -> None:
        """Once per turn is enough for those who watch it."""
        if self.touched_in != ctx.turn_no:
            self.touched_in, self.touched = ctx.turn_no, {}
        if workflow_instance_id not in self.touched:
            self.touched[workflow_instance_id] = None
            ctx.tell("gateway", InstanceTouched(workflow_instance_id))

    def _tell_ended(self, row: TaskInstanceRow, ctx: Context) -> None:
        self.deadlines.cancel(row.id)
        self.kept.cancel(row.id)
        ctx.tell(
            "workflow_executor",
            TaskEnded(
                row.workflow_instance_id,
                row.id,
                row.node,
                STATE[row.state],
                row.reason,
                row.try_no,
                row.failover_no,
                row.kill_reason is not None,
            ),
        )

    def _bury(self, what: Any, sender: str, reason: str, ctx: Context) -> None:
        ctx.append(
            DeadLetter(at=ctx.wall_ms, actor=ME, sender=sender, reason=reason, body=_said(what))
        )


def _explain_kill(row: TaskInstanceRow, circumstance: str) -> None:
    """Reason and message of an end that was asked for: who asked, and what else is known."""
    assert row.kill_reason is not None
    row.reason = row.kill_reason
    row.message = KILLED.get(row.reason, row.reason)
    if circumstance:
        row.message += f"; {circumstance}"


def _evidence(row: TaskInstanceRow) -> TaskAttempt:
    return TaskAttempt(
        task_instance_id=row.id,
        **{
            name: getattr(row, name)
            for name in TaskAttempt.__struct_fields__
            if name != "task_instance_id"
        },
    )


def _said(what: Any) -> str:
    """A message or row as JSON for people; bounded, whatever a peer put in."""
    if isinstance(what, Callback):
        body = msgspec.json.encode(what)
        if len(body) <= SAID_BYTES_MAX:
            return body.decode()
    return json.dumps({type(what).__name__: repr(what)[:2_000]})
