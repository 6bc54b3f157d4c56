"""A TCP proxy between one worker and the master, which can cut and silence what passes.

One thread and a selector. Bytes that cannot go on wait for their receiver, up to a bound; then
their sender waits, as TCP has it.
"""

import selectors
import socket
import threading
import time
from contextlib import suppress

READ_BYTES = 65_536
WAITING_BYTES_MAX = 1_048_576
LOOK_S = 0.02  # between two looks at what is wanted of it

OPEN, CLOSED = "open", "closed"
#: Connections stay and nothing passes: both ways, or one of them.
SILENT, TO_MASTER_ONLY, TO_WORKER_ONLY = "silent", "to the master only", "to the worker only"
WAYS = (CLOSED, SILENT, TO_MASTER_ONLY, TO_WORKER_ONLY)


class Side:
    """One end of a connection; ``waiting`` is on its way out here."""

    def __init__(self, stream: socket.socket, is_worker: bool) -> None:
        self.stream = stream
        self.is_worker = is_worker
        self.waiting = bytearray()
        self.other: Side | None = None


class Proxy:
    """Listens on ``port``; what comes goes to the master's port."""

    def __init__(self, master_port: int) -> None:
        self.master_port = master_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.state = OPEN
        self.until_s = 0.0
        self.sides: dict[socket.socket, Side] = {}
        self.ending = False
        self.thread = threading.Thread(target=self._run, name=f"proxy {self.port}")
        self.thread.start()

    def cut(self, way: str, for_s: float) -> None:
        """Let nothing pass, or one way only, for a while."""
        self.state, self.until_s = way, time.monotonic() + for_s

    def heal(self) -> None:
        """Everything passes."""
        self.until_s = 0.0

    def end(self) -> None:
        """Close everything."""
        self.ending = True
        self.thread.join()

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self.ending:
            if self.state != OPEN and time.monotonic() >= self.until_s:
                self.state = OPEN
            if self.state == CLOSED:
                self._close_all()
            for stream, ready in self._select():
                if stream is self.listener:
                    self._accept()
                elif stream in self.sides:
                    self._serve(self.sides[stream], ready)
        self._close_all()
        self.listener.close()

    def _select(self) -> list[tuple[socket.socket, int]]:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            for side in self.sides.values():
                wanted = selectors.EVENT_WRITE if side.waiting and self._passes(side) else 0
                assert side.other is not None
                if len(side.other.waiting) < WAITING_BYTES_MAX:
                    wanted |= selectors.EVENT_READ
                if wanted:
                    selector.register(side.stream, wanted)
            found = [(key.fileobj, ready) for key, ready in selector.select(LOOK_S)]
        return [(s, ready) for s, ready in found if isinstance(s, socket.socket)]

    def _passes(self, side: Side) -> bool:
        """Whether anything may leave by this end."""
        only = TO_WORKER_ONLY if side.is_worker else TO_MASTER_ONLY
        return self.state in (OPEN, only)

    def _accept(self) -> None:
        worker, _ = self.listener.accept()
        if self.state != OPEN:
            worker.close()
            return
        try:
            master = socket.create_connection(("127.0.0.1", self.master_port), timeout=1)
        except OSError:
            worker.close()
            return
        here, there = Side(worker, True), Side(master, False)
        here.other, there.other = there, here
        for side in (here, there):
            side.stream.setblocking(False)
            self.sides[side.stream] = side

    def _serve(self, side: Side, ready: int) -> None:
        assert side.other is not None
        try:
            if ready & selectors.EVENT_READ:
                data = side.stream.recv(READ_BYTES)
                if not data:
                    self._close(side)
                    return
                side.other.waiting += data
            if ready & selectors.EVENT_WRITE and side.waiting:
                sent = side.stream.send(side.waiting)
                del side.waiting[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._close(side)

    def _close(self, side: Side) -> None:
        for end in (side, side.other):
            if end is not None:
                self.sides.pop(end.stream, None)
                with suppress(OSError):
                    end.stream.close()

    def _close_all(self) -> None:
        for side in list(self.sides.values()):
            self._close(side)
