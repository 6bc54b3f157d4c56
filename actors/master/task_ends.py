"""How a task ends that does not tell its end itself: killed for a person, or lost with its worker.

Part of the event persister (see `task_rows`).
"""

from itertools import islice

import msgspec

from ...protocol.commands import TaskKillRequest, TaskKillResponse
from ...protocol.reasons import KILLED_WORKERS, WORKER_LOST
from ...protocol.rows import TaskInstanceRow
from ...protocol.states import TASK_FINAL, TASK_TO_FAIL_OVER, TASK_UNPLACED, Event, TaskState
from ..base import Context
from ..deadlines import resumed_ms
from .messages import Done, Ended, KillNode, KillTasks, SendKill, Withdrawn
from .requests import already_ended
from .task_rows import STATE, TaskRows

T, E = TaskState, Event
#: Tasks killed, or due, in one turn, as `workflow_executor.SLICE`.
SLICE = 500
#: Why a task was to end, and the sentence about it.
KILLED = {
    "killed": "killed on request",
    "stopped": "killed, because its workflow was stopped",
    "timeout": "killed, because its workflow took longer than its timeout",
    "failure_strategy": "killed, because another task did not succeed and failure_strategy is end",
}
#: Process ids told one by one; a fork bomb's would not fit a line.
PIDS_TOLD_MAX = 10


class TaskEnds(TaskRows):
    """Kills and losses."""

    # --- loss ------------------------------------------------------------------------------------

    def _lose(self, row: TaskInstanceRow, reason: str, message: str, ctx: Context) -> None:
        before = STATE[row.state]
        row.state, row.reason, row.message = T.NEED_FAULT_TOLERANCE, reason, message
        if row.kill_reason is not None:
            row.state = T.KILL
            explain_kill(row, message)
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
        explain_kill(row, f"worker {row.worker} is unreachable, and it may still run there")
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

    # --- kills -----------------------------------------------------------------------------------

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
            group = self.instances[row.workflow_instance_id].task(row).worker_group
            ctx.tell("dispatcher", Withdrawn(row.id, group, row.type))
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
        explain_kill(row, "it had not begun")
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


def explain_kill(row: TaskInstanceRow, circumstance: str) -> None:
    """Reason and message of an end that was asked for: who asked, and what else is known."""
    assert row.kill_reason is not None
    row.reason = row.kill_reason
    row.message = KILLED.get(row.reason, row.reason)
    if circumstance:
        row.message += f"; {circumstance}"
