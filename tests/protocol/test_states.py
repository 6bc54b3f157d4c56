"""The states, their groups and the one table of transitions."""

import pytest

from stenella.protocol import states
from stenella.protocol.states import TASK_TRANSITIONS, Event, TaskState, WorkflowState, fits

T = TaskState
W = WorkflowState
E = Event


def names(group: frozenset[TaskState] | frozenset[WorkflowState]) -> set[str]:
    return {state.name for state in group}


def test_codes_are_the_originals_where_it_has_them() -> None:
    assert {state.name: state.value for state in T} == {
        "SUBMITTED_SUCCESS": 0,
        "RUNNING_EXECUTION": 1,
        "PAUSE": 3,
        "FAILURE": 6,
        "SUCCESS": 7,
        "NEED_FAULT_TOLERANCE": 8,
        "KILL": 9,
        "DELAY_EXECUTION": 12,
        "FORCED_SUCCESS": 13,
        "DISPATCH": 17,
        "SKIPPED": 100,
        "UPSTREAM_FAILED": 101,
    }
    assert {state.name: state.value for state in W} == {
        "SUBMITTED_SUCCESS": 0,
        "RUNNING_EXECUTION": 1,
        "READY_PAUSE": 2,
        "PAUSE": 3,
        "READY_STOP": 4,
        "STOP": 5,
        "FAILURE": 6,
        "SUCCESS": 7,
        "SERIAL_WAIT": 14,
        "FAILOVER": 18,
    }


def test_groups_of_task_states() -> None:
    final = "FAILURE SUCCESS NEED_FAULT_TOLERANCE KILL FORCED_SUCCESS SKIPPED UPSTREAM_FAILED"
    assert names(states.TASK_FINAL) == set(final.split())
    assert names(states.TASK_LIVE) == {state.name for state in T} - set(final.split())
    assert names(states.TASK_SUCCEEDED) == {"SUCCESS", "FORCED_SUCCESS"}
    assert names(states.TASK_COUNTS_AS_RUNNING) == {"DISPATCH", "RUNNING_EXECUTION"}
    assert names(states.TASK_TO_FAIL_OVER) == {"DISPATCH", "RUNNING_EXECUTION"}


def test_groups_of_workflow_states() -> None:
    assert names(states.WORKFLOW_FINAL) == {"STOP", "FAILURE", "SUCCESS"}
    assert frozenset(W) == states.WORKFLOW_LIVE | states.WORKFLOW_FINAL
    running = {"RUNNING_EXECUTION", "READY_PAUSE", "READY_STOP"}
    assert names(states.WORKFLOW_COUNTS_AS_RUNNING) == running
    assert names(states.WORKFLOW_TO_FAIL_OVER) == running
    assert names(states.WORKFLOW_HOLDS_SERIAL_SLOT) == running | {"SUBMITTED_SUCCESS", "FAILOVER"}


@pytest.mark.parametrize("state", sorted(states.TASK_FINAL))
def test_a_final_state_is_left_only_by_a_person(state: TaskState) -> None:
    leaving = {event for (before, event) in TASK_TRANSITIONS if before is state}

    assert leaving <= {E.FORCE}


@pytest.mark.parametrize("state", [T.SUCCESS, T.FORCED_SUCCESS, T.SKIPPED])
def test_nothing_leads_out_of_success(state: TaskState) -> None:
    assert not [key for key in TASK_TRANSITIONS if key[0] is state]


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (None, E.SUBMIT, T.SUBMITTED_SUCCESS),
        (T.SUBMITTED_SUCCESS, E.DISPATCH, T.DISPATCH),
        (T.DISPATCH, E.RETURNED, T.SUBMITTED_SUCCESS),
        (T.DISPATCH, E.RESULT, T.SUCCESS),
        (T.RUNNING_EXECUTION, E.LOST, T.NEED_FAULT_TOLERANCE),
        (T.SUBMITTED_SUCCESS, E.KILL, T.KILL),
        (T.UPSTREAM_FAILED, E.FORCE, T.FORCED_SUCCESS),
    ],
)
def test_what_fits(before: TaskState | None, event: Event, after: TaskState) -> None:
    assert fits(before, event, after)


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (T.SUCCESS, E.RUNNING, T.RUNNING_EXECUTION),
        (T.KILL, E.RESULT, T.SUCCESS),
        (T.RUNNING_EXECUTION, E.RETURNED, T.SUBMITTED_SUCCESS),
        (T.RUNNING_EXECUTION, E.KILL, T.KILL),
        (T.SUBMITTED_SUCCESS, E.RESULT, T.SUCCESS),
    ],
)
def test_what_does_not_fit(before: TaskState, event: Event, after: TaskState) -> None:
    assert not fits(before, event, after)
