"""The worker's line to its warden: JSON lines over a Unix socket, and the warden's start.

`run` finds the warden of a folder or starts one, says hello and delivers what it tells; what is
said both ways stands in `actors/worker/warden.py`. The warden is a session of its own with none of
this process's descriptors, so it outlives the worker; while the worker lives it is the worker's
child, and reaped here. All of it runs on the hub's thread; ``deliver`` is called by the greenlet of
`run` and must not wait.

Promise: in one connection nothing is lost or reordered, either way. Every connection's first
delivery is ``records``, with the ``pid`` and ``start_ticks`` of the warden; when a connection that
got so far is lost, ``{"say": "warden_lost"}`` is delivered and everything posted that its warden
may not have heard of is gone. The next ``records`` say what it has heard of.
"""

import logging
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import SO_PEERCRED, SOL_SOCKET
from typing import Any

import gevent
import msgspec
from gevent import socket
from gevent.event import Event

from . import machine

log = logging.getLogger(__name__)

READ_BYTES = 65_536
LOOK_S = 0.02  # between two looks for a warden that is starting; it takes some 60 ms
START_S_MAX = 10.0  # for a machine that is busy; after it another one is started
#: Between two connections. A warden that ends at once (folder, disk) must not be started in a loop.
RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
CREDENTIALS = struct.Struct("3i")  # pid, user, group
#: -P, so that the working folder cannot stand in for the standard library; the environment is the
#: worker's, so that whatever way of installing it found ``stenella``, the warden finds it too.
COMMAND = (sys.executable, "-P", "-m", "stenella.runtime.warden_main")


class WardenLink:
    """One worker life's connection to the warden of ``folder``."""

    def __init__(
        self,
        folder: Path,
        boot: str,
        life: int,
        worker: str,
        journal: str,
        deliver: Callable[[dict[str, Any]], None],
    ) -> None:
        self.folder = folder.absolute()
        self.hello: dict[str, Any] = {"do": "hello", "worker": worker, "boot": boot}
        self.hello |= {"journal": journal, "life": life}
        self.deliver = deliver
        self.dropped_count = 0  # posted while there was no connection, or another warden's
        self._outbox = b""
        self._wake = Event()
        self._greeted = False
        self._peer = (0, 0)  # pid and start of the warden that greeted
        self._closing = False
        self._child = 0  # pid of a warden that we started and have not reaped

    def post(self, message: dict[str, Any], only: tuple[int, int] | None = None) -> None:
        """Queue one message; never blocks. Before `records` and after `warden_lost` it is lost.

        ``only``: pid and start of the warden that it is meant for; to another it is lost too. A
        ``forget`` goes with the next message, or at the next `nudge`: the warden need not wake.
        """
        if not self._greeted or only not in (None, self._peer):
            self.dropped_count += 1
            return
        self._outbox += msgspec.json.encode(message) + b"\n"
        if message["do"] != "forget":
            self._wake.set()

    def nudge(self) -> None:
        """Send what waits; to be called now and then."""
        if self._greeted and self._outbox:
            self._wake.set()

    def close(self) -> None:
        """End `run` once everything posted is sent; the warden stays."""
        self._closing = True
        self._wake.set()

    def run(self) -> None:
        """Keep a connection until closed, with a warden started whenever there is none."""
        failures = 0
        while not self._closing:
            stream = self._connect()
            greeted = False
            if stream is not None:
                with stream:
                    greeted = self._talk(stream)
            if self._closing:
                return
            failures = 0 if greeted else failures + 1
            self._wake.clear()
            self._wake.wait(RETRY_S[min(failures, len(RETRY_S) - 1)])

    def _connect(self) -> socket.socket | None:
        """A connection to the folder's warden, started if there is none; None: try again."""
        stream = self._reach()
        if stream is None and not self._child_lives():
            self._start()
        end = time.monotonic() + START_S_MAX
        while stream is None and self._child_lives() and not self._closing:
            if time.monotonic() > end:
                log.warning("no warden answers folder=%s", self.folder)
                return None
            gevent.sleep(LOOK_S)
            stream = self._reach()
        return stream

    def _reach(self) -> socket.socket | None:
        # A Unix socket's path is limited to 107 bytes; a home's is not.
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(f"/proc/self/fd/{folder}/warden.sock")
        except (FileNotFoundError, ConnectionRefusedError):
            stream.close()
            return None
        finally:
            os.close(folder)
        return stream

    def _start(self) -> None:
        """Start a warden in a session of its own; its tracebacks go to ``warden.err``."""
        errors = str(self.folder / "warden.err")
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            self._child = os.posix_spawn(
                sys.executable,
                [*COMMAND, str(self.folder)],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, errors, append, 0o600),
                ],
                setsid=True,
                setsigmask=(),
            )
        except OSError as error:  # no process, memory or disk left: it may come back
            log.warning("cannot start a warden folder=%s error=%s", self.folder, error)
            return
        log.info("warden started pid=%d folder=%s", self._child, self.folder)

    def _child_lives(self) -> bool:
        """Whether the warden that we started runs; reaps it if not."""
        if self._child:
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                log.info("warden ended pid=%d code=%d folder=%s", pid, code, self.folder)
                self._child = 0
        return bool(self._child)

    def _talk(self, stream: socket.socket) -> bool:
        """Say hello, deliver what comes until the end; whether the warden ever answered."""
        self._outbox = msgspec.json.encode(self.hello) + b"\n"
        self._wake.set()
        writer = gevent.spawn(self._write, stream)
        try:
            rest = b""
            while data := self._read(stream):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    said = msgspec.json.decode(line)
                    if not self._greeted:  # its first word is `records`
                        said |= _peer_of(stream)
                        self._peer = said["pid"], said["start_ticks"]
                    self._greeted = True
                    self.deliver(said)
        finally:
            writer.kill()
        greeted, self._greeted = self._greeted, False
        if greeted and not self._closing:
            log.warning("warden lost folder=%s", self.folder)
            self.deliver({"say": "warden_lost"})
        return greeted

    def _read(self, stream: socket.socket) -> bytes:
        try:
            data: bytes = stream.recv(READ_BYTES)
        except OSError:
            return b""
        return data

    def _write(self, stream: socket.socket) -> None:
        try:
            while self._outbox or not self._closing:
                self._wake.wait()
                self._wake.clear()
                data, self._outbox = self._outbox, b""
                stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the reader finds the end too


def _peer_of(stream: socket.socket) -> dict[str, int]:
    """Which process is at the other end, as the kernel knows it (unix(7), SO_PEERCRED)."""
    pid, _, _ = CREDENTIALS.unpack(stream.getsockopt(SOL_SOCKET, SO_PEERCRED, CREDENTIALS.size))
    return {"pid": pid, "start_ticks": machine.start_ticks(pid) or 0}
