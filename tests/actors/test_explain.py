"""Why something has not ended: one question on its way through the actors; who looks unasked."""

from typing import Any

from stenella.actors.backoff import REPEAT_MS
from stenella.actors.base import Boot, PeerLost, Timer
from stenella.actors.master.cause import Cause
from stenella.actors.master.explain import say_why
from stenella.actors.master.messages import (
    Explain,
    Explained,
    ExplainNamed,
    Placed,
    PlacedAll,
    Stuck,
    Sweep,
    TellStuck,
)
from stenella.actors.master.requests import Instance
from stenella.actors.master.sweeper import ROWS_MAX, SLICE, NextSlice, Sweeper
from stenella.protocol.rows import TaskInstanceRow
from stenella.protocol.states import TaskState

from .builders import (
    PEER,
    instance_row,
    ready,
    request,
    task,
    task_row,
    version,
    worker_up,
)
from .persisters import persister
from .recorder import WALL_MS, Recorder, told
from .registries import registry, welcomed
from .test_dispatcher import dispatcher


def asked_about(made: Any, ctx: Recorder, **fields: Any) -> Cause:
    """What the persister says of task 10."""
    cause = Cause(task_instance_id=10)
    [explain] = told(ctx.give(made, Explain("gateway", "r", [cause], **fields)), "dispatcher")
    assert explain.causes == [cause]
    return cause


def waiting_cause() -> Cause:
    return Cause(task_instance_id=10, queue=("default", "shell"), since=WALL_MS)


def test_what_waits_for_a_slot_is_told_by_who_holds_its_key() -> None:
    ctx = Recorder()
    full = dispatcher(ctx, worker_up(), ready(9), ready(8), ready(10))
    cause = waiting_cause()

    ctx.give(full, Explain("gateway", "r", [cause]))

    assert (cause.owner, cause.cause) == ("dispatcher", "no_slot")
    taken = "waits: the one slot in group default is taken"
    assert cause.sentence == f"{taken}; 1 goes before it"
    assert cause.next == "it is placed as soon as one is free"


def test_a_key_that_nobody_holds_has_no_owner() -> None:
    ctx = Recorder()
    cause = waiting_cause()

    ctx.give(dispatcher(ctx, worker_up(), ready(9)), Explain("gateway", "r", [cause]))

    assert cause.owner == ""


def test_a_wait_between_two_tries_says_which_try_and_until_when() -> None:
    ctx = Recorder()
    waits = task_row(
        state=TaskState.SUBMITTED_SUCCESS, attempt=3, try_no=2, eligible_at=WALL_MS + 7_000
    )

    cause = asked_about(persister(ctx, waits), ctx)

    assert (cause.cause, cause.until) == ("retry", WALL_MS + 7_000)
    assert "attempt 3 waits: try 2 of 1" in cause.sentence
    ctx.give(dispatcher(ctx, ready(10, wait_ms=7_000)), Explain("gateway", "r", [cause]))
    assert cause.owner == "dispatcher"


def test_what_runs_names_its_worker_which_the_registry_must_know() -> None:
    ctx = Recorder()
    runs = task_row(
        state=TaskState.RUNNING_EXECUTION, worker="w1", host="h1", pid=7, start_time=WALL_MS
    )
    cause = asked_about(persister(ctx, runs), ctx)

    ctx.give(registry(ctx), Explain("gateway", "r", [cause]))
    assert cause.owner == ""
    [done] = told(ctx.give(welcomed(ctx), Explain("gateway", "r", [cause])), "gateway")

    assert done == Explained("r", [cause], None, False)
    assert (cause.owner, cause.sentence) == ("worker w1", "runs on w1 (host h1, process 7)")


def test_what_a_worker_has_that_is_not_heard_says_so_and_what_becomes_of_it() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    ctx.give(made, PeerLost(PEER))
    cause = Cause(worker="w1", cause="running", sentence="runs on w1", next="its end")

    ctx.give(made, Explain("gateway", "r", [cause]))

    assert (cause.owner, cause.cause) == ("worker w1", "worker_silent")
    assert cause.sentence == "runs on w1; w1 is not heard"
    assert cause.next == "the worker is dead then; the task is run elsewhere, or kept"


def test_what_is_being_prepared_names_the_folder_that_may_hang() -> None:
    row = task_row(state=TaskState.RUNNING_EXECUTION, pid=0, start_time=WALL_MS, reason="preparing")
    of_two = version(task("a", working_dir="data"), task("b"))
    cause = Cause(task_instance_id=10)

    say_why(cause, row, Instance(instance_row(submit_dir="/nfs/me"), of_two), WALL_MS)

    assert (cause.cause, cause.since) == ("preparing", WALL_MS)
    assert cause.sentence == "is being prepared on w1; its working folder is /nfs/me/data"


def test_a_request_without_an_answer_is_the_dispatchers_who_repeats_it() -> None:
    ctx = Recorder()
    made = dispatcher(ctx, worker_up(), PlacedAll([Placed("w1", request(dispatch_id=100))]))
    cause, another = Cause(dispatch_id=100), Cause(dispatch_id=99)

    ctx.give(made, Explain("gateway", "r", [cause, another]))

    assert (cause.owner, another.owner) == ("dispatcher", "")
    assert cause.until == WALL_MS + REPEAT_MS[0]


def test_the_rows_of_an_instance_that_have_ended_are_not_told() -> None:
    ctx = Recorder()
    over = task_row(id=11, node=1, state=TaskState.SUCCESS, end_time=WALL_MS)
    made = persister(ctx, task_row(state=TaskState.SUBMITTED_SUCCESS), over)

    [explain] = told(ctx.give(made, Explain("gateway", "r", [], 1, None)), "dispatcher")

    assert [cause.task_instance_id for cause in explain.causes] == [10]


# --- who looks unasked ---------------------------------------------------------------------------


def swept(owner: str = "", number: int = 10, event_no: int = 3, more: bool = False) -> Explained:
    cause = Cause(task_instance_id=number, owner=owner, event_no=event_no)
    return Explained("", [cause], None, more)


def stuck(ctx: Recorder, made: Sweeper) -> list[Any]:
    [said] = told(ctx.give(made, TellStuck("r")), "gateway")
    assert isinstance(said, Stuck)
    return [cause["task_instance_id"] for cause in said.causes]


def test_only_what_lacks_an_owner_twice_without_a_change_is_stuck() -> None:
    ctx, made = Recorder(), Sweeper()

    ctx.give(made, swept())
    assert stuck(ctx, made) == []
    ctx.give(made, swept(event_no=4))
    assert stuck(ctx, made) == []
    ctx.give(made, swept(event_no=4))
    assert stuck(ctx, made) == [10]
    ctx.give(made, swept(owner="dispatcher", event_no=4))
    assert stuck(ctx, made) == []


def test_a_suspect_is_asked_about_again_in_the_next_sweep() -> None:
    ctx, made = Recorder(), Sweeper()
    ctx.give(made, Boot())
    ctx.give(made, swept())
    ctx.give(made, swept(number=-1))

    asked = ctx.give(made, Timer("sweep"))

    assert told(asked, "workflow_executor") == [Sweep(SLICE, [10], begins=True)]


def test_a_sweep_goes_on_in_slices_up_to_its_bound() -> None:
    ctx, made = Recorder(), Sweeper()
    ctx.give(made, Timer("sweep"))

    for _ in range(ROWS_MAX // SLICE - 1):
        assert ctx.give(made, swept("w", more=True)) == [("next_turn", NextSlice())]
        ctx.give(made, NextSlice())
    assert ctx.give(made, swept("w", more=True)) == []


def test_the_persister_goes_round_all_live_rows() -> None:
    ctx = Recorder()
    rows: list[TaskInstanceRow] = [
        task_row(id=10, state=TaskState.SUBMITTED_SUCCESS),
        task_row(id=11, node=1, state=TaskState.SUBMITTED_SUCCESS),
    ]
    made = persister(ctx, *rows)

    [first] = told(ctx.give(made, Sweep(1, [], begins=True)), "dispatcher")
    [second] = told(ctx.give(made, Sweep(1, [10], begins=True)), "dispatcher")

    assert ([c.task_instance_id for c in first.causes], first.more) == ([10], True)
    assert [c.task_instance_id for c in second.causes] == [10]
    [third] = told(ctx.give(made, Sweep(1, [], begins=False)), "dispatcher")
    assert ([c.task_instance_id for c in third.causes], third.more) == ([11], False)


def test_a_task_without_a_row_waits_for_those_before_it() -> None:
    ctx = Recorder()
    parents = Cause(task="b", parents=[0])
    made = persister(ctx, task_row(state=TaskState.RUNNING_EXECUTION, worker="w1"))

    ctx.give(made, Explain("gateway", "r", [parents], 1, []))

    assert parents.sentence == "waits for a (RUNNING_EXECUTION)"
    assert ExplainNamed("r", 1, "b").task == "b"
