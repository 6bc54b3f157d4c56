"""Frames: what goes out comes back, and nothing that comes in is anything but typed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenella.protocol import codec
from stenella.protocol.codec import (
    COMMAND_BYTES_MAX,
    FRAME_BYTES_MAX,
    VERSION,
    CommandDecoder,
    ProtocolError,
    decode_header,
    encode_frames,
)
from stenella.protocol.commands import (
    FromClient,
    FromWorker,
    InstanceList,
    InstanceRead,
    LogChunk,
    StatusRead,
    Submit,
)

clients: CommandDecoder[FromClient] = CommandDecoder(FromClient)
workers: CommandDecoder[FromWorker] = CommandDecoder(FromWorker)


def frame(commands: Any, version: int = VERSION, cluster: str = "c") -> bytes:
    return msgspec.msgpack.encode([version, cluster, "admin", "b1", commands])


def test_commands_come_back_as_they_were_sent() -> None:
    sent = [StatusRead(request_id="a"), InstanceList(request_id="b", limit=5, before=9)]

    [body] = encode_frames("c", "admin", "b1", list(sent))
    header = decode_header(body, "c")

    assert (header.sender, header.boot) == ("admin", "b1")
    assert clients.decode(header.commands) == (sent, [])


def test_a_list_that_is_too_long_for_a_frame_is_split_in_order() -> None:
    chunk = bytes(FRAME_BYTES_MAX // 3)
    sent = [
        LogChunk(request_id=str(n), attempt=1, offset=0, data=chunk, size=0, complete=True)
        for n in range(5)
    ]

    bodies = encode_frames("c", "worker-1", "b1", list(sent))

    assert len(bodies) == 3
    assert all(len(body) <= FRAME_BYTES_MAX for body in bodies)
    back = [workers.decode(decode_header(body, "c").commands)[0] for body in bodies]
    assert [command for commands in back for command in commands] == sent


def test_a_command_at_the_limit_passes_and_one_byte_more_is_refused_at_its_source() -> None:
    def submit(size: int) -> Submit:
        return Submit(request_id="r", digest="d", definition=bytes(size), params={})

    room = COMMAND_BYTES_MAX - len(codec.encode_command(submit(70_000))) + 70_000

    [body] = encode_frames("c", "admin", "b1", [submit(room)])

    assert len(body) <= FRAME_BYTES_MAX
    with pytest.raises(ProtocolError, match="too_large"):
        encode_frames("c", "admin", "b1", [submit(room + 1)])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (frame([], version=VERSION + 1), "version"),
        (frame([], cluster="another"), "cluster"),
        (b"", "garbage"),
        (b"\xc1", "garbage"),
        (b"GET / HTTP/1.1\r\n", "garbage"),
        (b"\x91" * 200_000, "garbage"),
        (b"\xdf\xff\xff\xff\xff", "garbage"),
        (b"\x95\x01\xa1c\xa1s\xa1\xff\x90", "garbage"),
        (bytes(FRAME_BYTES_MAX + 1), "too_large"),
    ],
)
def test_a_bad_header_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_header(body, "c")

    assert refused.value.reason == reason


def test_a_peer_that_does_not_know_the_cluster_yet_passes() -> None:
    assert decode_header(frame([], cluster=""), "c").cluster == ""


def test_only_the_bad_commands_of_a_frame_are_refused() -> None:
    good = {"type": "InstanceRead", "request_id": "g", "workflow_instance_id": 3}
    commands = [
        {"type": "Nonsense", "request_id": "n"},
        good,
        {"type": "InstanceRead", "request_id": "w", "workflow_instance_id": "three"},
        {"type": "Heartbeat"},
        7,
    ]

    taken, refused = clients.decode(decode_header(frame(commands), "c").commands)

    assert taken == [InstanceRead(request_id="g", workflow_instance_id=3)]
    assert [bad.request_id for bad in refused] == ["n", "w", "", ""]


def test_unknown_fields_are_skipped() -> None:
    commands = [{"type": "StatusRead", "request_id": "r", "of_a_later_version": 1}]

    assert clients.decode(decode_header(frame(commands), "c").commands)[0] == [
        StatusRead(request_id="r")
    ]


@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 1, 1.5, None, True])
def test_ids_are_integers_of_63_bits(number: Any) -> None:
    commands = [{"type": "InstanceRead", "request_id": "r", "workflow_instance_id": number}]

    taken, refused = clients.decode(decode_header(frame(commands), "c").commands)

    assert (taken, len(refused)) == ([], 1)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_protocol_error(noise: bytes) -> None:
    for body in (noise, frame([])[:-1] + noise):
        try:
            workers.decode(decode_header(body, "c").commands)
        except ProtocolError:
            continue


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_no_document_raises_in_the_command_list(document: Any) -> None:
    taken, _ = workers.decode(msgspec.Raw(msgspec.msgpack.encode([document])))

    assert taken == []


def test_digests_tell_where_one_part_ends() -> None:
    assert codec.digest(b"ab", b"c") != codec.digest(b"a", b"bc")
