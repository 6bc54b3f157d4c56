"""States of workflow and task instances, their groups, and the one table of legal transitions.

Codes are Apache DolphinScheduler's and are what rows store; names are what the wire and JSON carry.
Source of every row: DESIGN section 2.
"""

from enum import IntEnum
from typing import Literal, get_args


class TaskState(IntEnum):
    """State of a task instance's current attempt. A node without a row is shown as WAITING."""

    SUBMITTED_SUCCESS = 0
    RUNNING_EXECUTION = 1
    PAUSE = 3
    FAILURE = 6
    SUCCESS = 7
    NEED_FAULT_TOLERANCE = 8
    KILL = 9
    DELAY_EXECUTION = 12
    FORCED_SUCCESS = 13
    DISPATCH = 17
    SKIPPED = 100
    UPSTREAM_FAILED = 101


class WorkflowState(IntEnum):
    """State of a workflow instance."""

    SUBMITTED_SUCCESS = 0
    RUNNING_EXECUTION = 1
    READY_PAUSE = 2
    PAUSE = 3
    READY_STOP = 4
    STOP = 5
    FAILURE = 6
    SUCCESS = 7
    SERIAL_WAIT = 14
    FAILOVER = 18


Priority = Literal["highest", "high", "medium", "low", "lowest"]
#: A priority's place here is its code, as in the original: 0 goes first.
PRIORITIES: tuple[Priority, ...] = get_args(Priority)

T, W = TaskState, WorkflowState

#: Shown for a node that has no row yet; never stored.
WAITING = "WAITING"

TASK_FINAL = frozenset(
    {
        T.FAILURE,
        T.SUCCESS,
        T.NEED_FAULT_TOLERANCE,
        T.KILL,
        T.FORCED_SUCCESS,
        T.SKIPPED,
        T.UPSTREAM_FAILED,
    }
)
TASK_LIVE = frozenset(T) - TASK_FINAL  # PAUSE is live: somebody may resume it
TASK_SUCCEEDED = frozenset({T.SUCCESS, T.FORCED_SUCCESS})
TASK_COUNTS_AS_RUNNING = frozenset({T.RUNNING_EXECUTION, T.DISPATCH})  # holds a slot of a worker
TASK_TO_FAIL_OVER = frozenset({T.DISPATCH, T.RUNNING_EXECUTION})
#: No worker has it: a kill ends it in the turn that asks.
TASK_UNPLACED = frozenset({T.SUBMITTED_SUCCESS, T.DELAY_EXECUTION, T.PAUSE})

WORKFLOW_FINAL = frozenset({W.STOP, W.FAILURE, W.SUCCESS})
WORKFLOW_LIVE = frozenset(W) - WORKFLOW_FINAL
WORKFLOW_COUNTS_AS_RUNNING = frozenset({W.RUNNING_EXECUTION, W.READY_PAUSE, W.READY_STOP})
WORKFLOW_HOLDS_SERIAL_SLOT = frozenset(
    {W.SUBMITTED_SUCCESS, W.RUNNING_EXECUTION, W.READY_PAUSE, W.READY_STOP, W.FAILOVER}
)
WORKFLOW_TO_FAIL_OVER = frozenset({W.RUNNING_EXECUTION, W.READY_PAUSE, W.READY_STOP})


class Event(IntEnum):
    """What happened to an attempt. The first four are the original's, then ours, then people's."""

    DISPATCH = 0
    DELAY = 1
    RUNNING = 2
    RESULT = 3
    RETURNED = 4  # refused, drained, recalled: certainly never begun; costs no try
    LOST = 5  # gone without a record
    SUBMIT = 6
    PAUSE = 7
    RESUME = 8
    KILL = 9
    FORCE = 10
    SKIP = 11
    DUE = 12  # a delay is over
    KEPT = 13  # it goes on: with a new boot of its worker, or although nobody reaches that
    KILL_FAILED = 14  # its worker goes on trying
    TIMEOUT = 15  # its time is over, and it is only told; it goes on, or its RESULT follows


E = Event

#: (state before, event) → states it may lead to; ``None``: no row of this attempt yet.
TASK_TRANSITIONS: dict[tuple[int | None, Event], frozenset[TaskState]] = {
    (None, E.SUBMIT): frozenset({T.SUBMITTED_SUCCESS}),
    (None, E.SKIP): frozenset({T.SKIPPED, T.UPSTREAM_FAILED}),
    (None, E.KILL): frozenset({T.KILL}),  # it had not had its turn yet
    (T.SUBMITTED_SUCCESS, E.DELAY): frozenset({T.DELAY_EXECUTION}),
    (T.DELAY_EXECUTION, E.DUE): frozenset({T.SUBMITTED_SUCCESS}),
    (T.SUBMITTED_SUCCESS, E.DISPATCH): frozenset({T.DISPATCH}),
    (T.SUBMITTED_SUCCESS, E.RUNNING): frozenset({T.RUNNING_EXECUTION}),  # logic tasks only
    (T.DISPATCH, E.RETURNED): frozenset({T.SUBMITTED_SUCCESS}),
    (T.DISPATCH, E.RUNNING): frozenset({T.RUNNING_EXECUTION}),
    (T.RUNNING_EXECUTION, E.RUNNING): frozenset({T.RUNNING_EXECUTION}),  # now with a process
    (T.DISPATCH, E.KEPT): frozenset({T.DISPATCH}),
    (T.RUNNING_EXECUTION, E.KEPT): frozenset({T.RUNNING_EXECUTION}),
    (T.DISPATCH, E.TIMEOUT): frozenset({T.DISPATCH}),  # RESULT came without RUNNING
    (T.RUNNING_EXECUTION, E.TIMEOUT): frozenset({T.RUNNING_EXECUTION}),
    **{
        (state, E.RESULT): frozenset({T.SUCCESS, T.FAILURE, T.KILL})
        for state in (T.DISPATCH, T.RUNNING_EXECUTION)
    },
    **{
        # KILL: its end had been asked for, and there is nothing left of it. FAILURE: it has been
        # lost too often, or may not be run again by itself.
        (state, E.LOST): frozenset({T.NEED_FAULT_TOLERANCE, T.KILL, T.FAILURE})
        for state in (T.DISPATCH, T.RUNNING_EXECUTION)
    },
    **{(state, E.KILL): frozenset({T.KILL}) for state in TASK_UNPLACED},
    **{(state, E.KILL_FAILED): frozenset({state}) for state in TASK_TO_FAIL_OVER},
    **{
        (state, E.PAUSE): frozenset({T.PAUSE}) for state in (T.SUBMITTED_SUCCESS, T.DELAY_EXECUTION)
    },
    (T.PAUSE, E.RESUME): frozenset({T.SUBMITTED_SUCCESS}),
    **{
        (state, E.FORCE): frozenset({T.FORCED_SUCCESS})
        for state in (T.FAILURE, T.NEED_FAULT_TOLERANCE, T.KILL, T.UPSTREAM_FAILED)
    },
}


def fits(before: int | None, event: Event, after: int) -> bool:
    """Whether ``event`` may take an attempt from ``before`` to ``after``."""
    return after in TASK_TRANSITIONS.get((before, event), ())
