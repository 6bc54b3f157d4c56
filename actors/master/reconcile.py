"""The master's state of an attempt × what its worker reports → verdict (DESIGN section 5).

Pure data: the event persister applies it, the simulation's planted bugs break it.
"""

from typing import Literal

from ...protocol.states import TASK_TO_FAIL_OVER, TaskState

#: keep: goes on, under the new boot · returned: certainly never begun, place again · lost: gone
#: without a record · again: send the same request again · fenced: kill and drop
Judgement = Literal["keep", "returned", "lost", "again", "fenced"]

D, R = TaskState.DISPATCH, TaskState.RUNNING_EXECUTION

#: What is listed under the row's own dispatch. ``ended``: its RESULT will come, so keep.
LISTED: dict[tuple[TaskState, str], Judgement] = {
    (D, "accepted"): "keep",
    (D, "abandoned"): "returned",
    (D, "begun"): "keep",
    (D, "ended"): "keep",
    (R, "accepted"): "keep",
    (R, "abandoned"): "lost",
    (R, "begun"): "keep",
    (R, "ended"): "keep",
}


def judge_listed(state: TaskState, phase: str, *, known_journal: bool) -> Judgement:
    """The verdict on an attempt that the worker has, and that the row knows by this dispatch.

    After a reboot (not ``known_journal``) nothing is certainly never begun: a power cut may have
    taken the end of the worker's journal and of its warden's log.
    """
    judgement = LISTED.get((state, phase), "fenced")
    return "lost" if judgement == "returned" and not known_journal else judgement


def judge_missing(state: TaskState, *, same_boot: bool, known_journal: bool) -> Judgement:
    """The verdict on an attempt that the row says is there and the worker does not have."""
    assert state in TASK_TO_FAIL_OVER, state
    if state is D and same_boot:
        return "again"
    if state is D and known_journal:
        return "returned"
    return "lost"
