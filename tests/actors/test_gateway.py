"""The only door for clients: intents once, reads, watches (DESIGN section 3)."""

from typing import Any

import msgspec
import pytest

from stenella import __version__
from stenella.actors.base import Leave, Loaded, OnDisk, Queried, TellWhenOnDisk, Timer, Withdraw
from stenella.actors.master.cause import Cause
from stenella.actors.master.gateway import (
    LIST_LIMIT_MAX,
    LOG_WAIT_MS,
    NOTHING_NEW,
    OPEN_MAX,
    WATCH_MS_MIN,
    WATCH_WAIT_MS_MAX,
    Gateway,
    Open,
)
from stenella.actors.master.messages import (
    Done,
    DrainAll,
    Explain,
    Explained,
    InstanceStarted,
    InstanceTouched,
    LiveInstances,
    NotDone,
    Relay,
    Relayed,
    StartWorkflow,
    Status,
    StopWorkflow,
    TellStatus,
)
from stenella.protocol.commands import (
    Answer,
    DebugReply,
    DebugRequest,
    DefinitionRead,
    InstanceChanged,
    InstanceList,
    InstancePage,
    InstanceRead,
    InstanceWatch,
    LogChunk,
    LogRead,
    Refused,
    Shutdown,
    StatusRead,
    Stop,
    Submit,
)
from stenella.protocol.rows import IntentRow

from .recorder import WALL_MS, Asked, Recorder, of, told

CLIENT, ANEW = b"client-1", b"client-2"
SUBMIT = Submit(request_id="r", digest="d", definition=b"{}", params={"n": 1}, submit_dir="/x")
DONE = Done("r", {"workflow_instance_id": 7})
ANSWER = Answer(request_id="r", result={"workflow_instance_id": 7})
NONE = Loaded("intent", ("r",), [])


def intent_row(digest: str = "d") -> IntentRow:
    answer = '{"workflow_instance_id": 7}'
    return IntentRow(request_id="r", digest=digest, kind="Submit", answer=answer, at=WALL_MS)


def gateway(ctx: Recorder, *messages: Any, linger_ms: int | None = None) -> Gateway:
    made = Gateway(1, "tcp://here", 42, linger_ms)
    for message in messages:
        ctx.give(made, message, CLIENT)
    return made


def refusals(asked: list[Asked]) -> list[tuple[bytes, int, str]]:
    found = [entry for entry in asked if isinstance(entry[-1], Refused)]
    return [(peer, command.exit_code, command.code) for _, peer, command in found]


# --- intents -------------------------------------------------------------------------------------


def test_an_intent_is_looked_for_before_it_is_carried_out() -> None:
    ctx, made = Recorder(), gateway(Recorder())
    assert ctx.give(made, SUBMIT, CLIENT) == [("load", "intent", "r")]

    start = StartWorkflow("r", b"{}", "", {"n": 1}, "/x")
    assert ctx.give(made, NONE) == [("tell", "workflow_executor", start)]


def test_a_stop_is_an_intent_too() -> None:
    ctx = Recorder()
    made = gateway(ctx, Stop(request_id="r", digest="d", workflow_instance_id=7))

    assert told(ctx.give(made, NONE), "workflow_executor") == [StopWorkflow("r", 7)]


def test_intent_and_answer_are_writes_of_one_turn() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT, NONE)

    assert ctx.give(made, DONE) == [("append", intent_row()), ("send", CLIENT, ANSWER)]
    assert made.held() == 0


def test_a_repeat_of_an_open_intent_joins_it_and_is_answered_with_it() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT, NONE)

    assert ctx.give(made, SUBMIT, ANEW) == []
    assert ("send", ANEW, ANSWER) in ctx.give(made, DONE)


def test_the_same_digest_gets_the_stored_answer_and_nothing_is_done_again() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT)

    assert ctx.give(made, Loaded("intent", ("r",), [intent_row()])) == [("send", CLIENT, ANSWER)]


def test_another_digest_of_a_stored_intent_is_refused() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT)

    asked = ctx.give(made, Loaded("intent", ("r",), [intent_row("other")]))

    assert refusals(asked) == [(CLIENT, 6, "reused")]
    assert made.held() == 0


def test_another_digest_of_an_open_intent_is_refused_and_the_first_goes_on() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT, NONE)
    other = Submit(request_id="r", digest="other", definition=b"[]", params={})

    assert refusals(ctx.give(made, other, ANEW)) == [(ANEW, 6, "reused")]
    assert ("send", CLIENT, ANSWER) in ctx.give(made, DONE)


def test_what_is_not_done_is_refused_and_leaves_no_intent() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT, NONE)

    asked = ctx.give(made, NotDone("r", 4, "definition", "five things are wrong"))

    assert refusals(asked) == [(CLIENT, 4, "definition")]
    assert of(asked, "append") == []


def test_new_intents_are_refused_while_the_disk_stalls_and_open_ones_are_joined() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT)
    ctx.stalled_ms = 1_500

    assert ctx.give(made, SUBMIT, ANEW) == []
    [(method, peer, refusal)] = ctx.give(
        made, Submit(request_id="s", digest="d", definition=b"", params={}), CLIENT
    )
    assert (method, peer, refusal.exit_code) == ("send_now", CLIENT, 6)
    assert refusal.code == "storage_stalled"


def test_what_is_done_is_not_refused_while_its_answer_waits_for_the_disk() -> None:
    ctx = Recorder()
    made = gateway(ctx, SUBMIT, Done("r", {"workflow_instance_id": 7}))
    ctx.stalled_ms = 1_500

    assert ctx.give(made, SUBMIT, ANEW) == []


def test_open_requests_are_bounded() -> None:
    ctx = Recorder()
    made = gateway(ctx)
    made.open = {str(number): Open(SUBMIT, CLIENT) for number in range(OPEN_MAX - 1)}

    assert ctx.give(made, SUBMIT, CLIENT) == [("load", "intent", "r")]
    for request in (Stop(request_id="s", digest="", workflow_instance_id=1), read("t")):
        assert refusals(ctx.give(made, request, CLIENT)) == [(CLIENT, 6, "busy")]


def test_nothing_new_is_started_once_the_cluster_goes_down() -> None:
    ctx = Recorder()
    made = gateway(ctx)

    asked = ctx.give(made, Shutdown(request_id="x", wait_ms=9, keep=True), CLIENT)
    drain = DrainAll("x", 9, True)
    assert asked == [("tell", "dispatcher", drain), ("tell", "registry", drain)]
    assert refusals(ctx.give(made, SUBMIT, CLIENT)) == [(CLIENT, 6, "shutting_down")]

    asked = ctx.give(made, Done("x", {"state": "down"}))
    answer = Answer(request_id="x", result={"state": "down"})
    assert asked == [("send", CLIENT, answer), ("perform", Leave("shutdown"))]


# --- reads ---------------------------------------------------------------------------------------


def read(request_id: str = "r", number: int = 7) -> InstanceRead:
    return InstanceRead(request_id=request_id, workflow_instance_id=number)


TRACE = DebugRequest(request_id="r", kind="trace", task_instance_id=10)


@pytest.mark.parametrize(
    ("request_", "query"),
    [
        (read(), ("query", "instance_page", "r", 7, 0)),
        (InstanceList(request_id="r", limit=5, before=3), ("query", "instances", "r", 5, 3)),
        (InstanceList(request_id="r", limit=0), ("query", "instances", "r", 1, 0)),
        (
            InstanceList(request_id="r", limit=LIST_LIMIT_MAX + 1),
            ("query", "instances", "r", LIST_LIMIT_MAX, 0),
        ),
        (TRACE, ("query", "trace", "r", 10)),
        (
            DefinitionRead(request_id="r", workflow="w"),
            ("query", "definition_part", "r", "w", 0, "", 0),
        ),
        (
            DefinitionRead(request_id="r", workflow_instance_id=7, digest="d", offset=9),
            ("query", "definition_part", "r", "", 7, "d", 9),
        ),
    ],
)
def test_a_read_is_a_query_for_people(request_: Any, query: Asked) -> None:
    ctx = Recorder()

    assert ctx.give(gateway(ctx), request_, CLIENT) == [query]


def test_what_was_read_goes_to_whoever_asked_last() -> None:
    ctx, page = Recorder(), {"state": "SUCCESS", "tasks": []}
    made = gateway(ctx, read())
    assert ctx.give(made, read(), ANEW) == []

    asked = ctx.give(made, Queried("instance_page", "r", page))

    assert asked == [("send", ANEW, InstancePage(request_id="r", page=page))]


def test_a_page_says_why_its_tasks_do_not_run() -> None:
    ctx = Recorder()
    task = {"task_instance_id": 3, "state": "DISPATCH", "reason": None, "message": None}
    page = {"state": "RUNNING_EXECUTION", "tasks": [task]}
    made = gateway(ctx, read())
    cause = Cause(task_instance_id=3)

    asked = ctx.give(made, Queried("instance_page", "r", page))
    assert asked == [("tell", "event_persister", Explain("gateway", "r", [cause], page=page))]
    cause.owner, cause.cause, cause.sentence = "worker w", "sent", "w has it"
    ctx.give(made, Explained("r", [cause], page, False))

    assert (task["reason"], task["message"]) == ("sent", "w has it")


def test_what_is_not_there_is_not_found() -> None:
    asked = Recorder().give(gateway(Recorder(), read()), Queried("instance_page", "r", None))

    assert refusals(asked) == [(CLIENT, 3, "not_found")]


def test_the_status_names_this_master_and_the_registrys_workers() -> None:
    ctx = Recorder()
    made = gateway(ctx)

    asked = ctx.give(made, StatusRead(request_id="r"), CLIENT)
    assert asked == [("tell", "registry", TellStatus("r"))]
    [page] = of(ctx.give(made, Status("r", [{"id": "w1"}])), "send_now")
    assert page.page == {
        "masters": [{"id": 1, "pid": 42, "endpoint": "tcp://here", "version": __version__}],
        "workers": [{"id": "w1"}],
        "problem": None,
        "time": WALL_MS / 1_000,
    }


def test_debug_gathers_all_nodes_and_is_answered_ahead_of_the_commit() -> None:
    ctx = Recorder()
    question = DebugRequest(request_id="r", kind="mailboxes")
    made = gateway(ctx, question)
    ctx.give(made, Relayed("r", 2))

    assert ctx.give(made, DebugReply(request_id="r", rows=[1])) == []
    asked = ctx.give(made, DebugReply(request_id="r", rows=[2]))
    reply = DebugReply(request_id="r", rows=[{"node": "here"}, 1, 2])
    assert asked == [("send_now", CLIENT, reply)]


# --- logs ----------------------------------------------------------------------------------------

LOG = LogRead(request_id="r", task_instance_id=10, attempt=0, offset=5, limit=9)
PLACE = {"worker": "w1", "workflow_instance_id": 7, "attempt": 2, "live": True, "words": ""}


def test_a_log_is_asked_of_the_worker_that_has_it_by_all_its_ids() -> None:
    ctx = Recorder()
    made = gateway(ctx, LOG)

    [relay] = told(ctx.give(made, Queried("log_place", "r", PLACE)), "registry")

    asked = {"task_instance_id": 10, "attempt": 2, "offset": 5, "limit": 9}
    assert relay == Relay("w1", LogRead(request_id="r", workflow_instance_id=7, **asked))


@pytest.mark.parametrize("live", [True, False])
def test_a_page_of_a_log_is_complete_when_the_attempt_has_ended(live: bool) -> None:
    ctx = Recorder()
    made = gateway(ctx, LOG, Queried("log_place", "r", PLACE | {"live": live}))
    chunk: dict[str, Any] = {"request_id": "r", "attempt": 2, "offset": 5, "data": b"x", "size": 6}

    asked = ctx.give(made, LogChunk(**chunk, complete=False), b"w1-link", "w1")

    assert asked == [("send", CLIENT, LogChunk(**chunk, complete=not live))]


def test_a_log_whose_worker_is_away_is_refused_naming_it() -> None:
    ctx = Recorder()
    place = Queried("log_place", "r", PLACE)

    away = ctx.give(gateway(ctx, LOG, place), Relayed("r", 0))
    made = gateway(ctx, LOG, place, Relayed("r", 1))
    ctx.wait(LOG_WAIT_MS)
    silent = ctx.give(made, Timer("waiting"))

    assert refusals(away) == refusals(silent) == [(CLIENT, 6, "worker_away")]
    assert "the log is on w1, which is not connected" in away[0][-1].message
    assert "the log is on w1, which does not answer" in silent[0][-1].message


def test_what_came_with_the_result_stands_for_a_log_that_cannot_be_had() -> None:
    ctx = Recorder()
    words = "its last words"
    chunk: dict[str, Any] = {"request_id": "r", "attempt": 0, "offset": 5, "complete": True}
    told = LogChunk(**chunk, data=b"ast words", size=len(words))
    place = Queried("log_place", "r", PLACE | {"words": words})

    away = ctx.give(gateway(ctx, LOG, place), Relayed("r", 0))
    silent = gateway(ctx, LOG, place, Relayed("r", 1))
    ctx.wait(LOG_WAIT_MS)
    late = ctx.give(silent, Timer("waiting"))
    gone = Refused(request_id="r", exit_code=3, code="not_found", message="it was removed")
    removed = ctx.give(gateway(ctx, LOG, place, Relayed("r", 1)), gone, b"w1-link", "w1")

    assert [sent for _, _, sent in (*away, *late, *removed)] == [told] * 3


# --- watches -------------------------------------------------------------------------------------


def watch(after: int = 4, wait_ms: int = 9_000) -> InstanceWatch:
    return InstanceWatch(request_id="r", workflow_instance_id=7, after=after, wait_ms=wait_ms)


def changes(*tasks: dict[str, Any], end_time: float | None = None) -> Queried:
    document = {"instance": {"end_time": end_time}, "counts": {}, "tasks": list(tasks), "last": 5}
    return Queried("changes", "r", document)


def test_a_watch_asks_at_once_for_what_it_has_not_seen() -> None:
    ctx = Recorder()

    asked = ctx.give(gateway(ctx), watch(), CLIENT)

    assert ("query", "changes", "r", 7, 4) in asked


@pytest.mark.parametrize(
    ("asking", "found"),
    [
        (watch(), changes({"task_instance_id": 1, "state": "SUCCESS"})),
        (watch(0), changes()),
        (watch(), changes(end_time=1.0)),
    ],
)
def test_a_watch_is_answered_by_news_the_first_time_and_by_the_end(
    asking: InstanceWatch, found: Queried
) -> None:
    ctx = Recorder()

    asked = ctx.give(gateway(ctx, asking), found)

    assert asked == [("send", CLIENT, InstanceChanged(request_id="r", page=found.document))]


def test_a_watch_without_news_is_answered_when_its_wait_is_over() -> None:
    ctx = Recorder()
    made = gateway(ctx, watch(wait_ms=WATCH_WAIT_MS_MAX + 1), changes())

    ctx.wait(WATCH_WAIT_MS_MAX - 1)
    assert of(ctx.give(made, Timer("waiting")), "send") == []
    ctx.wait(1)
    nothing = InstanceChanged(request_id="r", page=NOTHING_NEW | {"last": 4})
    assert ctx.give(made, Timer("waiting")) == [("send", CLIENT, nothing)]


def test_what_happens_is_looked_at_when_it_is_on_disk_and_asked_for_once_at_a_time() -> None:
    ctx = Recorder()
    made = gateway(ctx, watch(), changes(), OnDisk(7))

    assert ctx.give(made, InstanceTouched(8)) == []
    assert ctx.give(made, InstanceTouched(7)) == [("perform", TellWhenOnDisk(7))]
    assert ctx.give(made, InstanceTouched(7)) == []
    assert of(ctx.give(made, OnDisk(7)), "perform") == [TellWhenOnDisk(7)]  # of the second touch
    assert of(ctx.give(made, OnDisk(7)), "perform") == []


def test_what_nobody_watches_is_not_looked_at() -> None:
    ctx = Recorder()
    answered = changes({"task_instance_id": 1, "state": "SUCCESS"})
    made = gateway(ctx, watch(), answered, OnDisk(7))

    assert ctx.give(made, InstanceTouched(7)) == []


def test_a_watch_that_is_over_while_its_query_is_under_way_waits_for_it() -> None:
    ctx = Recorder()
    made = gateway(ctx, watch())

    ctx.wait(9_000)
    assert ctx.give(made, Timer("waiting")) == []
    [wait_ms] = of(ctx.give(made, changes()), "set_timer")
    assert wait_ms <= WATCH_MS_MIN
    assert len(of(ctx.give(made, Timer("waiting")), "send")) == 1


def test_a_change_is_shown_soon_and_at_most_ten_times_a_second() -> None:
    ctx = Recorder()
    made = gateway(ctx, watch(), changes(), InstanceTouched(7))

    [wait_ms] = of(ctx.give(made, OnDisk(7)), "set_timer")
    assert 0 <= wait_ms <= WATCH_MS_MIN
    ctx.wait(wait_ms)
    assert of(ctx.give(made, Timer("waiting")), "query") == [4]


def test_an_end_is_shown_at_once_however_short_the_last_look_is_ago() -> None:
    ctx = Recorder()
    made = gateway(ctx, watch(), changes(), OnDisk(7), Timer("waiting"), changes())
    ctx.give(made, InstanceTouched(7, ended=True))

    assert of(ctx.give(made, OnDisk(7)), "query") == [4]


def test_an_end_that_comes_while_its_watch_is_being_read_is_looked_at_once_more() -> None:
    ctx = Recorder()
    made = gateway(ctx, watch(), changes(), OnDisk(7), Timer("waiting"))
    ctx.give(made, InstanceTouched(7, ended=True))
    assert ctx.give(made, OnDisk(7)) == []

    assert of(ctx.give(made, changes()), "set_timer") == [0]
    assert of(ctx.give(made, Timer("waiting")), "query") == [4]


ENDING = InstanceWatch(
    request_id="r", workflow_instance_id=7, after=0, wait_ms=9_000, until_end=True
)


STILL_RUNNING = msgspec.structs.replace(changes(), name="end")
HAS_ENDED = msgspec.structs.replace(changes(end_time=1.0), name="end")


def test_who_waits_for_the_end_hears_of_nothing_else() -> None:
    ctx = Recorder()
    made = gateway(ctx)

    assert ("query", "end", "r", 7, 0) in ctx.give(made, ENDING, CLIENT)
    assert of(ctx.give(made, STILL_RUNNING), "send") == []
    page = InstanceChanged(request_id="r", page=HAS_ENDED.document)
    assert ctx.give(made, HAS_ENDED) == [("send", CLIENT, page)]


def test_the_end_of_what_is_live_is_looked_at_when_it_comes_and_not_before() -> None:
    ctx = Recorder()
    made = gateway(ctx, LiveInstances([7]))

    assert of(ctx.give(made, ENDING, CLIENT), "query") == []
    assert ctx.give(made, InstanceTouched(7)) == []
    assert ctx.give(made, InstanceTouched(7, ended=True)) == [("perform", TellWhenOnDisk(7))]
    assert ctx.give(made, OnDisk(7)) == [("query", "end", "r", 7, 0)]


def test_who_waits_for_the_end_of_what_is_live_is_answered_when_the_wait_is_over() -> None:
    ctx = Recorder()
    made = gateway(ctx, LiveInstances([]), InstanceStarted(7), ENDING)

    ctx.wait(ENDING.wait_ms)

    nothing = InstanceChanged(request_id="r", page=NOTHING_NEW | {"last": 0})
    assert ctx.give(made, Timer("waiting")) == [("send", CLIENT, nothing)]


def test_who_asks_for_counts_is_told_them_when_the_wait_is_over() -> None:
    ctx = Recorder()
    made = gateway(ctx, LiveInstances([7]), msgspec.structs.replace(ENDING, counts=True))
    found = msgspec.structs.replace(changes(), name="progress")

    ctx.wait(ENDING.wait_ms)
    assert ctx.give(made, Timer("waiting")) == [("query", "progress", "r", 7, 0)]

    page = InstanceChanged(request_id="r", page=found.document)
    assert ctx.give(made, found) == [("send", CLIENT, page)]


def test_who_comes_before_an_end_is_on_disk_looks_again_when_it_is() -> None:
    ctx = Recorder()
    former = msgspec.structs.replace(ENDING, request_id="former", wait_ms=0)
    made = gateway(ctx, former, msgspec.structs.replace(STILL_RUNNING, token="former"))
    gave_up = ctx.give(made, Timer("waiting"))  # nobody is there when the end is thought
    assert len(of(gave_up, "send")) == 1
    ctx.give(made, InstanceTouched(7, ended=True))

    ctx.give(made, ENDING, CLIENT)
    ctx.give(made, STILL_RUNNING)
    ctx.give(made, OnDisk(7))  # of what was there before the end

    assert ctx.give(made, OnDisk(7)) == [("query", "end", "r", 7, 0)]


# --- leaving unused ------------------------------------------------------------------------------


def test_an_embedded_cluster_leaves_when_it_is_unused_for_long_enough() -> None:
    ctx = Recorder()
    made = gateway(ctx, LiveInstances([7]), InstanceTouched(7, ended=True), linger_ms=2_000)

    ctx.wait(1_999)
    assert ctx.give(made, Timer("use")) == [("set_timer", "use", 1)]
    ctx.wait(1)
    drain = DrainAll("", 0, False)
    assert ctx.give(made, Timer("use")) == [
        ("perform", Withdraw()),
        ("tell", "dispatcher", drain),
        ("tell", "registry", drain),
    ]
    assert ctx.give(made, Done("", {"state": "down"})) == [("perform", Leave("idle"))]


@pytest.mark.parametrize(
    "use",
    [
        [],
        [LiveInstances([7])],
        [LiveInstances([]), InstanceStarted(7)],
        [LiveInstances([]), read()],
    ],
)
def test_it_stays_while_recovering_while_something_is_live_and_while_asked(use: list[Any]) -> None:
    ctx = Recorder()
    made = gateway(ctx, *use, linger_ms=2_000)

    ctx.wait(60_000)
    assert ctx.give(made, Timer("use")) == [("set_timer", "use", 2_000)]
