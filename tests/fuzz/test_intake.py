"""B12, B18: whatever bytes come from a peer with a good key, the node lives and counts them."""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stenella.protocol.codec import CommandDecoder, ProtocolError, decode_header
from stenella.protocol.commands import FromClient, FromWorker, ToWorker

from ..actors.builders import result
from .intake import CLUSTER, Intake, feed

DECODERS: list[CommandDecoder[Any]] = [
    CommandDecoder(union) for union in (FromWorker, FromClient, ToWorker)
]
FRAMES = 2_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_b12_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    reason = "garbage"
    try:
        frame = decode_header(body, CLUSTER)
        for decoder in DECODERS:
            decoder.decode(frame.commands)
    except ProtocolError as error:
        reason = error.reason

    assert reason in ("garbage", "version", "cluster")


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(json_like, max_size=4))
def test_b12_commands_that_are_none_are_told_apart_one_by_one(commands: list[object]) -> None:
    body = msgspec.msgpack.encode([1, CLUSTER, "w1", "b1", commands])
    frame = decode_header(body, CLUSTER)

    for decoder in DECODERS:
        good, bad = decoder.decode(frame.commands)
        assert (good, len(bad)) == ([], len(commands))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_b12_a_master_lives_through_frames_that_are_almost_right(seed: int) -> None:
    intake = feed(FRAMES, seed)

    wire = intake.node.turn.wire
    assert wire.handled + sum(wire.rejected.values()) >= FRAMES
    assert intake.master.states() == {"a": "DISPATCH"}  # nobody's lie has changed it


@pytest.mark.slow
def test_b18_names_that_are_sql_are_names() -> None:
    intake = Intake()
    hostile = "'; DROP TABLE master; --"
    listing = {"type": "InstanceList", "request_id": hostile, "limit": 5}
    body = msgspec.msgpack.encode([1, CLUSTER, "admin", hostile, [listing]])

    intake.take(body, as_worker=False)
    intake.run()

    assert intake.master.journal.connection.execute("SELECT count(*) FROM master").fetchone()
    assert [answer.request_id for answer in intake.master.sent] == [hostile]  # type: ignore[attr-defined]


NO_JSON = ({b"a": 1}, {"a": {(1, 2): 1}}, {"a": msgspec.msgpack.Ext(3, b"x")})


@pytest.mark.parametrize("outputs", NO_JSON, ids=repr)
def test_b12_outputs_that_are_no_json_are_refused_alone(outputs: dict[Any, Any]) -> None:
    """Found by the fuzzer after 558,219 frames: the master crashed while it wrote them down."""
    good = msgspec.msgpack.decode(msgspec.msgpack.encode(result()))
    body = msgspec.msgpack.encode([1, CLUSTER, "w1", "b1", [good | {"outputs": outputs}, good]])

    taken, bad = DECODERS[0].decode(decode_header(body, CLUSTER).commands)

    assert (taken, len(bad)) == ([result()], 1)
