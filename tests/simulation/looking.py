"""A person who looks inside now and then, and whose questions a living master answers in time.

The world has one only where a test puts it: its requests are load, too.
"""

from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING

from stenella.actors.master.gateway import DEBUG_WAIT_MS
from stenella.protocol.commands import Command, DebugReply, DebugRequest, Refused

from .story import Violation

if TYPE_CHECKING:
    from .node import Node
    from .world import World

EVERY_MS = 400
#: Above the wait for other nodes: the reader, and turns that are thought meanwhile.
SLACK_MS = 300


class Looker:
    """Asks one thing after another, round and round, and keeps what is not answered."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.count = 0
        self.answered = 0
        self.refused: set[str] = set()
        #: By the master's life and request: which arrival it was; a late copy is asked anew.
        self.waiting: dict[tuple[int, str], int] = {}
        self.arrivals = 0
        world.checkers.looker = self
        world.after(EVERY_MS, self._look)

    def _look(self) -> None:
        if self.world.healing:
            return
        kinds: list[Callable[[str], DebugRequest]] = [
            lambda number: DebugRequest(request_id=number, kind="mailboxes"),
            lambda number: DebugRequest(
                request_id=number, kind="peek", node="worker-1", actor="executor"
            ),
            lambda number: DebugRequest(request_id=number, kind="trace", task_instance_id=1),
            lambda number: DebugRequest(
                request_id=number, kind="peek", node="master", actor="gateway"
            ),
            lambda number: DebugRequest(request_id=number, kind="stuck"),
            lambda number: DebugRequest(request_id=number, kind="dead-letters", limit=5),
        ]
        self.count += 1
        request = kinds[self.count % len(kinds)](f"look-{self.count}")
        self.world.clients[0].ask(request, self._take)
        self.world.after(EVERY_MS, self._look)

    def _take(self, answer: Command) -> None:
        self.answered += 1
        if isinstance(answer, Refused):
            self.refused.add(answer.code)

    def on_arrival(self, node: "Node", commands: list[Command]) -> None:
        """The master has them."""
        for command in commands:
            if isinstance(command, DebugRequest):
                self._expect(node, command)

    def _expect(self, node: "Node", request: DebugRequest) -> None:
        key = node.life, request.request_id
        if key in self.waiting:
            return
        self.arrivals += 1
        arrival = self.waiting[key] = self.arrivals
        stood_still = node.stillness
        limit_ms = ceil((DEBUG_WAIT_MS + SLACK_MS) / node.rate) + node.world.options.cycle_ms_max

        def judge() -> None:
            if self.waiting.get(key) != arrival:
                return
            del self.waiting[key]
            if node.stillness == stood_still:
                text = f"{request} has no answer after {limit_ms} ms"
                raise Violation("what the actors do is told in time", text)

        node.later(limit_ms, judge)

    def on_send(self, node: "Node", commands: list[Command]) -> None:
        """The master has answered."""
        for command in commands:
            if isinstance(command, DebugReply | Refused):
                self.waiting.pop((node.life, command.request_id), None)
