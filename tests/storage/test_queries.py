"""People's reads: the documents of DESIGN section 9, from committed rows, in bounded time."""

import pytest

from stenella.protocol.rows import DeadLetter
from stenella.protocol.states import Event, TaskState, WorkflowState

from .rows import WALL_MS, earlier_attempt, event, instance, task, version
from .store import Store

AT = WALL_MS / 1_000
WAITING_B: dict[str, object] = {
    "task_instance_id": None,
    "name": "b",
    "type": "shell",
    "state": "WAITING",
    "attempt": 0,
    "host": None,
    "worker": None,
    "pid": None,
    "start_time": None,
    "end_time": None,
    "exit_code": None,
    "outputs": {},
    "reason": None,
    "message": None,
    "eligible_at": None,
    "timeout_at": None,
    "warned_at": None,
}
UNLIMITED = {
    "reason": None,
    "message": None,
    "priority": "medium",
    "timeout_at": None,
    "warned_at": None,
    "attention": None,
}


def test_an_instance_shows_its_tasks_in_graph_order_with_those_that_wait(store: Store) -> None:
    done = task(
        2,
        node=0,
        name="a",
        state=TaskState.FAILURE,
        attempt=2,
        host="h",
        worker="w",
        pid=77,
        start_time=WALL_MS,
        end_time=WALL_MS + 1_500,
        exit_code=3,
        outputs='{"rows":[1,"ü"]}',
        reason="exit_nonzero",
        message="it ended with 3",
    )
    fresh = task(1, node=2, name="c", type="noop")
    store.write(version(), instance(end_time=WALL_MS + 2_000), fresh, done)

    document = store.queries.instance(1)

    assert document == {
        "workflow_instance_id": 1,
        "workflow": "sales",
        "version": 1,
        "state": "RUNNING_EXECUTION",
        "params": {"day": "20260101"},
        "dry_run": False,
        "start_time": AT,
        "end_time": AT + 2,
        **UNLIMITED,
        "tasks": [
            {
                "task_instance_id": 2,
                "name": "a",
                "type": "shell",
                "state": "FAILURE",
                "attempt": 2,
                "host": "h",
                "worker": "w",
                "pid": 77,
                "start_time": AT,
                "end_time": AT + 1.5,
                "exit_code": 3,
                "outputs": {"rows": [1, "ü"]},
                "reason": "exit_nonzero",
                "message": "it ended with 3",
                "eligible_at": None,
                "timeout_at": None,
                "warned_at": None,
            },
            WAITING_B,
            WAITING_B
            | {
                "task_instance_id": 1,
                "name": "c",
                "type": "noop",
                "state": "SUBMITTED_SUCCESS",
                "attempt": 1,
            },
        ],
    }


def test_instance_0_is_the_newest_and_an_unknown_one_is_none(store: Store) -> None:
    assert store.queries.instance(0) is None
    store.write(version(), instance(1), instance(2))

    newest = store.queries.instance(0)

    assert newest is not None
    assert newest["workflow_instance_id"] == 2
    assert store.queries.instance(3) is None


def test_instances_come_in_pages_newest_first(store: Store) -> None:
    store.write(version("d1"), version("d2"))
    store.write(*(instance(number, version_digest="d2") for number in range(1, 6)))

    first = store.queries.instances(3)
    rest = store.queries.instances(3, first[-1]["workflow_instance_id"])

    assert [page["workflow_instance_id"] for page in first + rest] == [5, 4, 3, 2, 1]
    assert first[0] == {
        "workflow_instance_id": 5,
        "workflow": "sales",
        "version": 2,
        "state": "RUNNING_EXECUTION",
        "params": {"day": "20260101"},
        "dry_run": False,
        "start_time": AT,
        "end_time": None,
        **UNLIMITED,
    }


def test_a_trace_tells_every_event_in_order(store: Store) -> None:
    placed = event(
        event_no=2,
        event=Event.DISPATCH,
        from_state=TaskState.SUBMITTED_SUCCESS,
        to_state=TaskState.DISPATCH,
        worker="w",
        dispatch_id=5,
    )
    late = event(
        event_no=0,
        event=Event.RESULT,
        from_state=TaskState.SUCCESS,
        to_state=None,
        dispatch_id=5,
        callback_seq=2,
        host="h",
        detail="late",
    )
    store.write(event(), event(2), placed)
    store.write(late)

    assert store.queries.trace(1) == [
        {
            "event_no": 1,
            "event": "SUBMIT",
            "from": None,
            "to": "SUBMITTED_SUCCESS",
            "at": AT,
            "actor": "event_persister",
            "attempt": 1,
            "dispatch_id": None,
            "callback_seq": None,
            "host": None,
            "worker": None,
            "worker_time": None,
            "detail": None,
        },
        {
            "event_no": 2,
            "event": "DISPATCH",
            "from": "SUBMITTED_SUCCESS",
            "to": "DISPATCH",
            "at": AT,
            "actor": "event_persister",
            "attempt": 1,
            "dispatch_id": 5,
            "callback_seq": None,
            "host": None,
            "worker": "w",
            "worker_time": None,
            "detail": None,
        },
        {
            "event_no": 0,
            "event": "RESULT",
            "from": "SUCCESS",
            "to": None,
            "at": AT,
            "actor": "event_persister",
            "attempt": 1,
            "dispatch_id": 5,
            "callback_seq": 2,
            "host": "h",
            "worker": None,
            "worker_time": None,
            "detail": "late",
        },
    ]
    assert store.queries.trace(9) is None


def test_changes_after_an_event_are_the_tasks_it_and_later_ones_touched(store: Store) -> None:
    store.write(version(), instance(), task(1), task(2), event(1), event(2), event(1))
    store.write(instance(2), task(3, workflow_instance_id=2), event(3, workflow_instance_id=2))

    whole = store.queries.changes(1, 0)
    part = store.queries.changes(1, 2)

    assert whole is not None
    assert part is not None
    assert whole["instance"] == store.queries.instances(1, 2)[0]
    assert whole["counts"] == {"SUBMITTED_SUCCESS": 2, "WAITING": 1}
    assert [found["task_instance_id"] for found in whole["tasks"]] == [1, 2]
    assert [found["task_instance_id"] for found in part["tasks"]] == [1]
    assert (whole["last"], part["last"]) == (3, 3)


def test_the_end_of_an_instance_is_told_without_its_tasks(store: Store) -> None:
    store.write(version(), instance(), task(1), event(1))

    found = store.queries.ended(1, 0)

    assert found is not None
    assert (found["instance"], found["tasks"]) == (store.queries.instances(1, 2)[0], [])
    assert store.queries.ended(7, 0) is None


def test_changes_go_on_page_by_page_and_then_say_nothing_new(store: Store) -> None:
    store.write(version(), instance(), task(1), task(2), event(1), event(1), event(2))
    after, pages = 0, []

    for _ in range(3):
        page = store.queries.changes(1, after, 2)
        assert page is not None
        after = page["last"]
        pages.append(([found["task_instance_id"] for found in page["tasks"]], after))

    assert pages == [([1], 2), ([2], 3), ([], 3)]
    assert store.queries.changes(7, 0) is None


def test_counts_of_an_instance_without_waiting_nodes_do_not_name_them(store: Store) -> None:
    rows = [task(number, state=TaskState.SUCCESS) for number in (1, 2, 3)]
    store.write(version(), instance(state=WorkflowState.SUCCESS), *rows)

    page = store.queries.changes(1, 0)

    assert page is not None
    assert page["counts"] == {"SUCCESS": 3}


WORDS = "stenella: the log is on w1, out of reach; it ended so:\nno such file\n"


@pytest.mark.parametrize(
    ("attempt", "place"),
    [
        (0, {"worker": "w2", "workflow_instance_id": 1, "attempt": 2, "live": True, "words": ""}),
        (2, {"worker": "w2", "workflow_instance_id": 1, "attempt": 2, "live": True, "words": ""}),
        (
            1,
            {
                "worker": "w1",
                "workflow_instance_id": 1,
                "attempt": 1,
                "live": False,
                "words": WORDS,
            },
        ),
        (3, None),
    ],
)
def test_the_place_of_a_log_is_that_of_its_attempt(
    store: Store, attempt: int, place: object
) -> None:
    current = task(1, attempt=2, worker="w2", state=TaskState.RUNNING_EXECUTION)
    store.write(current, earlier_attempt(1, attempt=1, worker="w1", tail="no such file"))

    assert store.queries.log_place(1, attempt) == place


def test_the_log_of_an_ended_attempt_is_not_live(store: Store) -> None:
    store.write(task(1, worker="w", state=TaskState.NEED_FAULT_TOLERANCE))

    place = store.queries.log_place(1, 0)

    assert place is not None
    assert place["live"] is False
    assert store.queries.log_place(2, 0) is None


def test_a_task_is_found_by_its_name(store: Store) -> None:
    store.write(version(), instance(1), instance(2), task(7, node=0, name="a"))

    found = [store.queries.task_by_name(1, name) for name in ("a", "b", "z")]

    assert found[0] is not None
    assert found[0]["task_instance_id"] == 7
    assert found[1:] == [WAITING_B, None]
    assert store.queries.task_by_name(0, "a") == WAITING_B | {"name": "a"}
    assert store.queries.task_by_name(3, "a") is None


def test_dead_letters_come_newest_first(store: Store) -> None:
    for reason in ("first", "second", "third"):
        store.write(DeadLetter(at=WALL_MS, actor="a", sender="s", reason=reason, body='{"x":1}'))

    letters = store.queries.dead_letters(2)

    common = {"at": AT, "actor": "a", "sender": "s", "body": {"x": 1}}
    common |= {"workflow_instance_id": None, "quarantined": False}
    assert letters == [
        {"id": 3, "reason": "third"} | common,
        {"id": 2, "reason": "second"} | common,
    ]


def test_a_node_asks_by_name(store: Store) -> None:
    store.write(version(), instance(), task(), event())

    for name, key in (
        ("instance", (1,)),
        ("instances", (5, 0)),
        ("task_by_name", (1, "a")),
        ("trace", (1,)),
        ("changes", (1, 0)),
        ("log_place", (1, 0)),
        ("dead_letters", (5,)),
    ):
        assert store.queries.ask(name, key) == getattr(store.queries, name)(*key)
