"""What a mailbox holds, decoded for people (`debug peek`), and who answers that. Pure.

Invariant: what a user or a task wrote is never shown, only its size: parameters, environment,
scripts, commands, definitions, outputs, digests, log lines, messages. Numbers are shown, and text
in fields that hold names and words of ours, so a field that nobody thought of is hidden.
"""

from enum import Enum
from typing import Any

import msgspec

from ..protocol.commands import DebugReply, DebugRequest, Refused
from .base import Context

#: Shown of what waits; the number that waits is in `debug mailboxes`.
WAITING_MAX = 20
#: Of a list, of a text, and of messages within messages.
ITEMS_MAX = 5
TEXT_MAX = 80
DEPTH_MAX = 4

#: Their text is a name, an id or a word of ours.
PLAIN = frozenset(
    {
        *("actor", "boot", "cause", "code", "event", "former_boot", "group", "groups", "host"),
        *("journal", "kernel_boot", "kind", "kill_reason", "log", "machine", "name", "node"),
        *("order", "outcome", "owner", "phase", "queue", "reason", "request_id", "run_as"),
        *("sender", "state", "status", "task", "task_type", "to", "to_boot", "type", "types"),
        *("verdict", "version", "worker", "workflow"),
    }
)
#: Hidden whatever they hold, numbers in it among them, but for a message of ours.
HIDDEN = frozenset(
    {
        *("answer", "body", "command", "data", "definition", "digest", "document", "env", "file"),
        *("key", "message", "origins", "outputs", "page", "params", "problems", "python"),
        *("required", "result", "script", "startup", "submit_dir", "tail", "version_digest"),
        "working_dir",
    }
)
#: Of what the warden says and is told (tables in ``worker/warden.py``).
WARDENS = ("do", "say", "phase", "dispatch_id", "pid", "code", "signal", "intent", "life")


def answer(request: DebugRequest, ctx: Context) -> DebugReply | Refused:
    """What this node has to say to a ``peek``."""
    rows = ctx.peek(request.actor)
    if rows is not None:
        return DebugReply(request_id=request.request_id, rows=rows)
    actors = ", ".join(ctx.actor_names())
    text = f"{ctx.node} has no actor {request.actor[:40]!r}; it has {actors}"
    return Refused(request_id=request.request_id, exit_code=3, code="not_found", message=text)


def described(message: object) -> dict[str, Any]:
    """A message as its kind and its fields, nothing in it that is nobody else's business."""
    return {"message": type(message).__name__, "fields": _fields(message, 0)}


def _fields(message: object, depth: int) -> dict[str, Any]:
    if not isinstance(message, msgspec.Struct):
        return {}
    names = type(message).__struct_fields__
    return {name: _shown(name, getattr(message, name), depth) for name in names}


def _shown(name: str, value: object, depth: int) -> object:
    if isinstance(value, msgspec.Struct):
        if depth >= DEPTH_MAX:
            return f"<{type(value).__name__}>"
        return {"message": type(value).__name__, **_fields(value, depth + 1)}
    if name == "message" and isinstance(value, dict):
        return {word: value[word] for word in WARDENS if isinstance(value.get(word), int | str)}
    if value is None or name in HIDDEN:
        return None if value is None else _size(value)
    match value:
        case Enum():
            return value.name
        case bool() | int() | float():
            return value
        case str() if name in PLAIN:
            return value if len(value) <= TEXT_MAX else f"{value[:TEXT_MAX]}…"
        case list() | tuple():
            shown = [_shown(name, item, depth + 1) for item in value[:ITEMS_MAX]]
            more = len(value) - ITEMS_MAX
            return [*shown, f"<{more} more>"] if more > 0 else shown
    return _size(value)


def _size(value: object) -> str:
    match value:
        case str():
            return f"<{len(value)} characters>"
        case bytes():
            return f"<{len(value)} bytes>"
        case dict() | list() | tuple():
            return f"<{len(value)} entries>"
    return f"<{type(value).__name__}>"
