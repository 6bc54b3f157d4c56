"""The worker's line to its warden, as `runtime/warden_link.py` keeps it: ordered, one at a time."""

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from .machine import WARDEN_START_MS
from .warden_process import WardenProcess

if TYPE_CHECKING:
    from .worker_node import WorkerNode

LATENCY_MS_MAX = 3
RETRY_MS = 50
END = ""  # what is read after the last message of a closed end


class Stream:
    """A Unix socket's connection: what was sent is read to the end, whoever has died since."""

    def __init__(self, line: "WardenLine", warden: WardenProcess) -> None:
        self.line = line
        self.warden = warden
        self.world = warden.world
        self.number = warden.accept(self)
        self.untold: deque[str] = deque()  # the warden's outbox
        self.down_ms = self.up_ms = 0  # when the last message of each way arrives

    def to_warden(self, text: str) -> None:
        """Send; ``END`` closes."""
        self.up_ms = self._arrival_ms(self.up_ms)
        self.world.at(self.up_ms, lambda: self._arrive_up(text))

    def _arrive_up(self, text: str) -> None:
        warden = self.warden
        if not warden.alive or self.number not in warden.streams:
            return
        if text == END:
            del warden.streams[self.number]
            warden.take(warden.arrived, {"do": "closed", "connection": self.number})
            return
        warden.take(warden.arrived, json.loads(text) | {"connection": self.number})

    def tell(self, text: str) -> None:
        """Into the warden's outbox."""
        self.untold.append(text)

    def flush(self) -> None:
        """The outbox goes out."""
        while self.untold:
            self._down(self.untold.popleft())

    def warden_closed(self) -> None:
        """The warden's end is gone, with what was in its outbox."""
        self.untold.clear()
        self._down(END)

    def _down(self, text: str) -> None:
        self.down_ms = self._arrival_ms(self.down_ms)
        arrive = lambda: self.line.arrive(self, text)  # noqa: E731
        self.world.at(self.down_ms, lambda: self.line.node.when_awake(arrive))

    def _arrival_ms(self, last_ms: int) -> int:
        return max(last_ms, self.world.now_ms + self.world.random.randint(0, LATENCY_MS_MAX))


class WardenLine:
    """One worker life's connections to the warden of its machine."""

    def __init__(self, node: "WorkerNode", boot: str, journal: str, life: int) -> None:
        self.node = node
        self.hello: dict[str, Any] = {"do": "hello", "worker": node.name, "boot": boot}
        self.hello |= {"journal": journal, "life": life}
        self.stream: Stream | None = None
        self.greeted = False
        self.peer = (0, 0)
        self.closed = False

    def connect(self) -> None:
        """To the warden, which is started if there is none."""
        if self.closed or self.stream is not None:
            return
        machine = self.node.machine
        if machine.warden is None:
            machine.start_warden()
            self.node.later(WARDEN_START_MS, self.connect)
            return
        self.stream = Stream(self, machine.warden)
        self.stream.to_warden(json.dumps(self.hello))

    def post(self, message: dict[str, Any], only: tuple[int, int] | None = None) -> None:
        """Lost before the first word of the warden, and after the last; or meant for another."""
        meant = self.greeted and (only is None or only == self.peer)
        self.node.note("tells", message, "" if meant else "(lost)")
        if meant and self.stream is not None:
            self.stream.to_warden(json.dumps(message))

    def arrive(self, stream: Stream, text: str) -> None:
        """Something came down."""
        if self.closed or stream is not self.stream:
            return
        if text == END:
            self.stream = None
            greeted, self.greeted = self.greeted, False
            if greeted:
                self.node.hear_warden({"say": "warden_lost"})
            self.node.later(RETRY_MS, self.connect)
            return
        said = json.loads(text)
        if not self.greeted:
            self.peer = stream.warden.pid, stream.warden.start_ticks
            said |= {"pid": self.peer[0], "start_ticks": self.peer[1]}
        self.greeted = True
        self.node.hear_warden(said)

    def close(self) -> None:
        """The worker's process is gone; what it sent is still read."""
        self.closed = True
        if self.stream is not None:
            self.stream.to_warden(END)
