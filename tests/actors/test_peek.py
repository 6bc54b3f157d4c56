"""What people see of messages: names and numbers, and nothing that a user or a task wrote."""

import json
from types import ModuleType
from typing import Any

import msgspec
import pytest

from stenella.actors import base
from stenella.actors.base import Context, Queried, Timer
from stenella.actors.master import messages as in_master
from stenella.actors.peek import HIDDEN, ITEMS_MAX, PLAIN, answer, described
from stenella.actors.turn import URGENT_MAX, Limits
from stenella.actors.worker import messages as in_worker
from stenella.protocol import commands, rows
from stenella.protocol.commands import DebugReply, DebugRequest, Refused, StatusRead, Submit

from .recorder import Recorder
from .test_gateway import CLIENT, gateway
from .test_turn import BEAT, PEER, Bench, answers, write_and_answer, writes

SECRET = "hunter2-of-all-things"
NUMBER = 918_273_645


def kinds(*modules: ModuleType) -> list[type[Any]]:
    """All structs of these modules."""
    return [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, msgspec.Struct)
    ]


KINDS = sorted(
    set(kinds(commands, rows, base, in_master, in_worker)), key=lambda kind: kind.__qualname__
)


def filled(kind: type[Any], value: Any) -> Any:
    """All its fields hold ``value``: constructors of structs do not ask for types."""
    return kind(**{name: value for name in kind.__struct_fields__ if name not in PLAIN})


def fill(kind: type[Any], value: Any) -> Any:
    try:
        return filled(kind, value)
    except TypeError:  # a name among them is required
        return kind(**dict.fromkeys(kind.__struct_fields__, value) | _plain(kind))


def _plain(kind: type[Any]) -> dict[str, str]:
    return {name: "word" for name in kind.__struct_fields__ if name in PLAIN}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__qualname__)
@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        SECRET.encode(),
        {"password": SECRET, SECRET: NUMBER},
        [SECRET, {"pin": NUMBER}],
        commands.KillTask(request_id="r", digest=SECRET, workflow_instance_id=1, task="t"),
    ],
    ids=["text", "bytes", "object", "list", "command"],
)
def test_no_field_shows_what_was_written_into_it(kind: type[Any], value: Any) -> None:
    shown = json.dumps(described(fill(kind, value)))

    assert SECRET not in shown
    assert str(NUMBER) not in shown


def test_a_number_in_what_a_user_wrote_is_hidden_with_it() -> None:
    for name in sorted(HIDDEN):
        kind = msgspec.defstruct("Made", [name])
        assert str(NUMBER) not in json.dumps(described(kind(NUMBER)))


def test_ids_numbers_and_sizes_are_shown() -> None:
    submit = Submit(
        request_id="r1", digest="d", definition=b"12345", params={"a": SECRET}, submit_dir=None
    )

    assert described(submit) == {
        "message": "Submit",
        "fields": {
            "request_id": "r1",
            "digest": "<1 characters>",
            "definition": "<5 bytes>",
            "definition_digest": "<0 characters>",
            "params": "<1 entries>",
            "submit_dir": None,
            "dry_run": False,
        },
    }


def test_a_long_list_is_cut_and_a_warden_is_quoted_with_its_own_words_only() -> None:
    many = in_worker.Resend(list(range(ITEMS_MAX + 2)))
    ended = {"say": "ended", "dispatch_id": 4, "code": 0, "problem": SECRET}

    assert described(many)["fields"]["dispatch_ids"] == [0, 1, 2, 3, 4, "<2 more>"]
    shown = described(base.WardenSaid(ended))["fields"]["message"]
    assert shown == {"say": "ended", "dispatch_id": 4, "code": 0}


def test_an_actor_that_is_not_there_is_answered_with_those_that_are() -> None:
    asked = DebugRequest(request_id="r", kind="peek", node="here", actor="nobody")

    refused = answer(asked, Recorder())

    assert isinstance(refused, Refused)
    assert refused.exit_code == 3
    assert "membership, registry" in refused.message


def write_and_wait(ctx: Context) -> None:
    writes(ctx)
    ctx.set_timer("debug", 5)
    ctx.set_timer("other", 5)


# --- in the turn ---------------------------------------------------------------------------------


def test_a_peek_shows_what_waits_with_its_age_and_what_came_last() -> None:
    bench = Bench()
    bench.offer(StatusRead(request_id="done"), peer=PEER, sender="client")
    bench.think()
    bench.offer(StatusRead(request_id="waits"), peer=PEER, sender="client")
    bench.turn.now_ms = 70

    waiting, last, *_ = bench.turn.peek("one") or []

    assert (waiting["state"], waiting["age_ms"], waiting["from"]) == ("waiting", 70, "client")
    assert waiting["fields"] == {"request_id": "waits", "all": False}
    assert (last["state"], last["fields"]["request_id"]) == ("received", "done")
    assert bench.turn.peek("nobody") is None


def test_what_is_kept_of_the_past_is_bounded() -> None:
    bench = Bench()
    for number in range(100):
        bench.offer(StatusRead(request_id=f"r{number}"))
    bench.think()

    rows = bench.turn.peek("one") or []

    assert [row["fields"]["request_id"] for row in rows[:2]] == ["r99", "r98"]
    assert len(rows) == 8


def test_storage_and_wire_have_rows_of_their_own() -> None:
    bench = Bench()
    bench.offer(write_and_answer)
    bench.think()
    bench.turn.form()
    bench.turn.committed(3_500)
    bench.turn.frames_out = 9
    bench.offer(writes)
    bench.think(10)
    bench.turn.form()
    bench.turn.failed(20, "the disk is full")
    bench.think(30)

    wire, storage = bench.turn.inspect()[-2:]

    assert (wire["actor"], wire["frames_out"]) == ("wire", 9)
    assert (storage["actor"], storage["handled"], storage["depth"]) == ("storage", 1, 1)
    assert (storage["commit_ms_last"], storage["commit_ms_p99"]) == (3.5, 3.5)
    assert (storage["oldest_ms"], storage["stalled_ms"]) == (20, 10)
    assert storage["stalled_why"] == "the disk is full"
    assert storage["rejected"] == {"failed": 1}
    assert storage["ahead_bytes_max"] == Limits().ahead_bytes


def test_debug_is_served_at_the_bound_of_thinking_ahead() -> None:
    bench = Bench(Limits(ahead_bytes=1))
    bench.offer(write_and_wait)
    bench.think()
    bench.offer(answers, actor="one")  # waits: it is no debug request
    request = DebugRequest(request_id="r", kind="mailboxes")
    read = Queried("trace", "r", [])
    other = Queried("instances", "r", [])
    for message in (request, read, other):
        bench.offer(message, actor="two")

    assert bench.turn.is_ahead
    assert bench.turn.next_due() == 5
    bench.think(5)

    assert bench.two.got == [request, read]
    assert bench.one.got[1:] == [Timer("debug")]


def test_debug_is_taken_where_the_mailbox_is_full() -> None:
    bench = Bench(Limits(mailbox_max=1))
    assert bench.offer(StatusRead(request_id="a"), peer=PEER) == ""
    assert bench.offer(StatusRead(request_id="b"), peer=PEER) == "busy"

    assert bench.offer(DebugRequest(request_id="r", kind="peek"), peer=PEER) == ""


def test_a_flood_of_debug_requests_is_refused_before_it_starves_heartbeats() -> None:
    bench = Bench()
    request = DebugRequest(request_id="r", kind="peek")
    taken = [bench.offer(request, peer=PEER) for _ in range(URGENT_MAX + 1)]

    assert taken == [*[""] * URGENT_MAX, "busy"]
    assert bench.offer(BEAT, peer=PEER) == ""
    assert bench.turn.mailboxes["one"].rejected == {"busy": 1}


# --- at the door ---------------------------------------------------------------------------------


def test_a_reply_of_a_peek_counts_from_the_node_that_was_asked_only() -> None:
    ctx = Recorder()
    made = gateway(ctx, DebugRequest(request_id="r", kind="peek", node="w1", actor="executor"))
    reply = DebugReply(request_id="r", rows=[1])

    assert ctx.give(made, reply, b"w2", "w2") == []
    assert ctx.give(made, reply, b"w1", "w1") == [("send_now", CLIENT, reply)]


def test_a_node_that_does_not_answer_a_peek_is_told_when_the_time_is_over() -> None:
    ctx = Recorder()
    made = gateway(ctx, DebugRequest(request_id="r", kind="peek", node="w1", actor="executor"))
    assert ("set_timer", "debug", 1_000) in ctx.asked
    ctx.wait(1_000)

    [(how, _, refused)] = ctx.give(made, Timer("debug"))

    assert how == "send_now"
    assert refused.code == "node_away"
    assert "w1" in refused.message


def test_mailboxes_are_answered_without_the_nodes_that_are_silent() -> None:
    ctx = Recorder()
    made = gateway(ctx, DebugRequest(request_id="r", kind="mailboxes"))
    ctx.wait(1_000)

    reply = DebugReply(request_id="r", rows=[{"node": "here"}])
    assert ctx.give(made, Timer("debug")) == [("send_now", CLIENT, reply)]
