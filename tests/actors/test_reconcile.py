"""The table of reconciliation, row by row as DESIGN section 5 has it."""

import pytest

from stenella.actors.master.reconcile import Judgement, judge_listed, judge_missing
from stenella.protocol.states import TASK_FINAL, TaskState

T = TaskState
PHASES = ("accepted", "abandoned", "begun", "ended")


@pytest.mark.parametrize("state", [T.DISPATCH, T.RUNNING_EXECUTION])
@pytest.mark.parametrize("phase", ["begun", "ended"])
def test_what_runs_or_whose_result_will_come_is_kept(state: TaskState, phase: str) -> None:
    assert judge_listed(state, phase, known_journal=True) == "keep"


def test_what_this_life_accepted_is_kept() -> None:
    assert judge_listed(T.DISPATCH, "accepted", known_journal=True) == "keep"


def test_what_a_former_life_accepted_and_never_began_is_returned() -> None:
    assert judge_listed(T.DISPATCH, "abandoned", known_journal=True) == "returned"


def test_after_a_reboot_nothing_is_certainly_never_begun() -> None:
    assert judge_listed(T.DISPATCH, "abandoned", known_journal=False) == "lost"


def test_what_was_reported_running_and_is_now_said_not_to_have_begun_is_lost() -> None:
    assert judge_listed(T.RUNNING_EXECUTION, "abandoned", known_journal=True) == "lost"


@pytest.mark.parametrize("state", sorted({*TASK_FINAL, T.SUBMITTED_SUCCESS}))
@pytest.mark.parametrize("phase", PHASES)
def test_what_is_final_or_was_taken_back_is_fenced(state: TaskState, phase: str) -> None:
    assert judge_listed(state, phase, known_journal=True) == "fenced"


@pytest.mark.parametrize("state", [T.DISPATCH, T.RUNNING_EXECUTION])
def test_a_phase_that_nobody_knows_is_fenced(state: TaskState) -> None:
    assert judge_listed(state, "dreaming", known_journal=True) == "fenced"


@pytest.mark.parametrize(
    ("state", "same_boot", "known_journal", "judgement"),
    [
        (T.DISPATCH, True, True, "again"),
        (T.DISPATCH, True, False, "again"),
        (T.DISPATCH, False, True, "returned"),
        (T.DISPATCH, False, False, "lost"),
        (T.RUNNING_EXECUTION, True, True, "lost"),
        (T.RUNNING_EXECUTION, True, False, "lost"),
        (T.RUNNING_EXECUTION, False, True, "lost"),
        (T.RUNNING_EXECUTION, False, False, "lost"),
    ],
)
def test_what_is_not_listed(
    state: TaskState, same_boot: bool, known_journal: bool, judgement: Judgement
) -> None:
    assert judge_missing(state, same_boot=same_boot, known_journal=known_journal) == judgement
