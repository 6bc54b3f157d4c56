"""Frames: ``[version, cluster, sender, boot, [commands]]`` in msgpack, limits, typed refusals.

The header is decoded and judged first, the list then into the typed union of what this node
accepts. A list that does not decode is decoded command by command, and only the bad ones are
refused. Everything that can be wrong with bytes from outside becomes `ProtocolError` here and
nowhere else; nothing that arrives can crash a node.
"""

import hashlib
from typing import Any, Generic, TypeVar

import msgspec

from .commands import Command, Submit, TaskExecuteResponse

VERSION = 1
#: Above this the receiver's socket drops the peer; the sender splits its list before.
FRAME_BYTES_MAX = 8 * 1024 * 1024
#: Frame overhead: version, cluster, sender, boot and the list's head.
HEADER_BYTES_MAX = 1024
#: One command. The largest is the page of a large instance: 4 MiB and one task more.
COMMAND_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES_MAX

#: In a frame that holds a bad one: taking them one by one costs 2 µs and 200 B each.
COMMANDS_MAX = 100_000

#: What msgspec raises for bytes that are no message of ours (reliability.md section 2, measured).
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)

Accepted = TypeVar("Accepted")
_encoder = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()
#: Fields that may hold any JSON; found by a fuzzer: a key that was no text crashed the master.
FREE: dict[type[Command], str] = {TaskExecuteResponse: "outputs", Submit: "params"}


class ProtocolError(Exception):
    """They broke the protocol. ``reason``: version, cluster, too_large, garbage."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """The header; ``commands`` stay raw until the header has been judged."""

    version: int
    cluster: str
    sender: str
    boot: str
    commands: msgspec.Raw


class BadCommand(msgspec.Struct, frozen=True):
    """A command of a good frame that did not decode; ``request_id`` if it had a readable one."""

    reason: str
    request_id: str


_frames = msgspec.msgpack.Decoder(Frame)
_raw_lists = msgspec.msgpack.Decoder(list[msgspec.Raw])


def encode_command(command: Command) -> bytes:
    """One command as msgpack; `ProtocolError` ``too_large`` above the limit, at its source."""
    body = _encoder.encode(command)
    if len(body) > COMMAND_BYTES_MAX:
        raise ProtocolError("too_large", f"{type(command).__name__} of {len(body)} bytes")
    return body


def encode_frames(cluster: str, sender: str, boot: str, commands: list[Command]) -> list[bytes]:
    """As few frames as the size limit needs, commands in order."""
    whole = _encoder.encode((VERSION, cluster, sender, boot, commands))
    if len(whole) <= COMMAND_BYTES_MAX:  # so is each of them
        return [whole]
    frames: list[bytes] = []
    parts: list[msgspec.Raw] = []
    size = 0
    for command in commands:
        body = encode_command(command)
        if parts and size + len(body) > FRAME_BYTES_MAX - HEADER_BYTES_MAX:
            frames.append(_encoder.encode((VERSION, cluster, sender, boot, parts)))
            parts, size = [], 0
        parts.append(msgspec.Raw(body))
        size += len(body)
    if parts:
        frames.append(_encoder.encode((VERSION, cluster, sender, boot, parts)))
    return frames


def decode_header(body: bytes, cluster: str) -> Frame:
    """The judged header. An empty cluster passes: a first Register or a client does not know it."""
    if len(body) > FRAME_BYTES_MAX:
        raise ProtocolError("too_large", f"{len(body)} bytes")
    try:
        frame = _frames.decode(body)
    except UNDECODABLE as error:
        raise ProtocolError("garbage", str(error)[:200]) from None
    if frame.version != VERSION:
        raise ProtocolError("version", f"{frame.version}, this node speaks {VERSION}")
    if cluster and frame.cluster and frame.cluster != cluster:
        raise ProtocolError("cluster", frame.cluster[:64])
    return frame


class CommandDecoder(Generic[Accepted]):
    """Decodes the list of a frame into one node's typed union."""

    def __init__(self, accepted: Any) -> None:
        self._list = msgspec.msgpack.Decoder(list[accepted])
        self._one = msgspec.msgpack.Decoder(accepted)

    def decode(self, commands: msgspec.Raw) -> tuple[list[Accepted], list[BadCommand]]:
        """Good commands in order, and what was wrong with the others."""
        try:
            decoded = self._list.decode(commands)
        except UNDECODABLE:
            pass
        else:
            if all(map(_is_plain, decoded)):
                return decoded, []
        if _length(commands) > COMMANDS_MAX:
            raise ProtocolError("garbage", f"{_length(commands)} commands in one frame")
        try:
            parts = _raw_lists.decode(commands)
        except UNDECODABLE as error:
            raise ProtocolError("garbage", str(error)[:200]) from None
        good: list[Accepted] = []
        bad: list[BadCommand] = []
        for part in parts:
            try:
                command = self._one.decode(part)
            except UNDECODABLE as error:
                bad.append(BadCommand(str(error)[:200], _request_id(part)))
                continue
            if _is_plain(command):
                good.append(command)
            else:
                bad.append(BadCommand(f"{FREE[type(command)]} is not JSON", _request_id(part)))
        return good, bad


def _is_plain(command: Any) -> bool:
    """Whether its field of any JSON can be written as such: msgpack has keys of any kind."""
    name = FREE.get(type(command))
    values = getattr(command, name) if name is not None else None
    if not values:
        return True
    try:
        _json.encode(values)
    except (TypeError, *UNDECODABLE):
        return False
    return True


def _length(commands: msgspec.Raw) -> int:
    """The declared length of a msgpack array; 0 for anything else."""
    head = bytes(memoryview(commands)[:5])
    match head[:1]:
        case b"\xdc":
            return int.from_bytes(head[1:3], "big")
        case b"\xdd":
            return int.from_bytes(head[1:5], "big")
        case _:
            return 0


def _request_id(part: msgspec.Raw) -> str:
    try:
        document = msgspec.msgpack.decode(part)
    except UNDECODABLE:
        return ""
    value = document.get("request_id", "") if isinstance(document, dict) else ""
    return value if isinstance(value, str) and len(value) <= 255 else ""


def digest(*parts: bytes) -> str:
    """Hex sha256 over length-prefixed parts: the digest of an intent's body."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()
