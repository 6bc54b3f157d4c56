"""A `Context` that writes down what one actor asks for, instead of doing it."""

import copy
from typing import Any

from stenella.actors.base import Actor, Context, Effect
from stenella.protocol.commands import Command
from stenella.protocol.rows import Counters, Row, Versioned

WALL_MS = 1_764_000_000_000

#: What was asked for: the method's name and its arguments; rows as they were at that moment.
Asked = tuple[Any, ...]


class Recorder:
    """Gives messages to actors, one at a time, and returns what each asked for, in order."""

    def __init__(self) -> None:
        self.node = "here"
        self.turn_no = 1
        self.now_ms = 50_000
        self.wall_ms = WALL_MS
        self.peer = b""
        self.sender = ""
        self.stalled_ms = 0
        self.stalled_why = ""
        self.is_careful = False
        self.parked: set[int] = set()
        self.counters = Counters()
        self.asked: list[Asked] = []

    def give(self, actor: Actor, message: Any, peer: bytes = b"", sender: str = "") -> list[Asked]:
        """Let ``actor`` receive ``message``; returns all it asked for."""
        self.peer, self.sender, self.asked = peer, sender, []
        ctx: Context = self  # the type checker compares every method
        actor.receive(message, ctx)
        return self.asked

    def wait(self, ms: int) -> None:
        """Let time pass, on both clocks."""
        self.turn_no += 1
        self.now_ms += ms
        self.wall_ms += ms

    def tell(self, actor: str, message: object) -> None:
        self.asked.append(("tell", actor, message))

    def next_turn(self, message: object) -> None:
        self.asked.append(("next_turn", message))

    def look_at(self, part: object) -> None:
        """Nothing that is asked for."""

    def send(self, peer: bytes, command: Command) -> None:
        self.asked.append(("send", peer, command))

    def send_now(self, peer: bytes, command: Command) -> None:
        self.asked.append(("send_now", peer, command))

    def write(self, row: Versioned) -> None:
        row.event_no += 1
        self.asked.append(("write", copy.copy(row)))

    def append(self, row: Row) -> None:
        self.asked.append(("append", row))

    def put(self, row: Row) -> None:
        self.asked.append(("put", copy.copy(row)))

    def delete(self, table: type[Row], key: object) -> None:
        self.asked.append(("delete", table, key))

    def new_id(self, kind: str) -> int:
        number: int = getattr(self.counters, kind)
        setattr(self.counters, kind, number + 1)
        return number

    def load(self, name: str, *key: object) -> None:
        self.asked.append(("load", name, *key))

    def query(self, name: str, token: object, *key: object) -> None:
        self.asked.append(("query", name, token, *key))

    def set_timer(self, name: str, after_ms: int) -> None:
        self.asked.append(("set_timer", name, after_ms))

    def perform(self, effect: Effect) -> None:
        self.asked.append(("perform", effect))

    def perform_now(self, effect: Effect) -> None:
        self.asked.append(("perform_now", effect))

    def inspect(self) -> list[dict[str, Any]]:
        return [{"node": "here"}]

    def peek(self, actor: str) -> list[dict[str, Any]] | None:
        return [{"actor": actor}] if actor in self.actor_names() else None

    def actor_names(self) -> list[str]:
        return ["membership", "registry"]

    def recovered(self) -> None:
        self.asked.append(("recovered",))


def told(asked: list[Asked], actor: str) -> list[Any]:
    """The messages to one other actor, in order."""
    return [entry[2] for entry in asked if entry[:2] == ("tell", actor)]


def of(asked: list[Asked], method: str) -> list[Any]:
    """The last argument of every call of one method: what was written, sent, performed."""
    return [entry[-1] for entry in asked if entry[0] == method]
