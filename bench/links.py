"""The load program of `bench workers`: real links to a master, without the workers behind them.

``python -m stenella.bench.links HOME COUNT GROUP HEARTBEAT_MS`` issues a key for each link and
waits for words on its standard input, a line each: ``join`` connects all (DEALER over TCP with
CURVE, as a worker's), registers, and is answered when all are welcomed; from then on they beat;
``leave`` cuts them off. The answer is a line of JSON: what was done so far. It ends with its input.

Links take noops of their group, which succeed at once. Beats are precoded, and only their two
numbers change: what the load costs is taken from what is measured on the same machine.
"""

import contextlib
import json
import os
import resource
import secrets
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

import zmq

from .. import __version__
from ..home import endpoints, keyring
from ..home.endpoints import MasterEndpoints
from ..home.layout import Home
from ..protocol import codec
from ..protocol.commands import (
    Command,
    Heartbeat,
    HeartbeatAck,
    TaskExecuteRequest,
    TaskExecuteResponse,
    ToWorker,
    WorkerRegister,
    WorkerWelcome,
)
from ..protocol.errors import RefusedInState

#: Links that connect at once: a handshake is 1 ms of the master's, who waits 2 s for each.
JOINING_MAX = 50
JOIN_LOOK_S = 0.01
JOIN_AGAIN_S = 1.0  # as a worker's registration
#: Descriptors of a link (its mailbox and its connection), and of the rest of the process.
LINK_FILES, OTHER_FILES = 2, 64
#: As `runtime.link` has them.
PING_MS, PING_TIMEOUT_MS = 5_000, 6_000
SLOTS = 16
INPUT, WORD_BYTES_MAX = 0, 64
#: Stand in a precoded beat for its two numbers: coded as eight bytes each, as all up to there are.
NUMBER, SENT_MS = 2**62 - 1, 2**62 - 2
EIGHT = struct.Struct(">Q")

_to_worker: codec.CommandDecoder[ToWorker] = codec.CommandDecoder(ToWorker)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Link:
    """One worker as far as its master can see it."""

    def __init__(self, home: Home, name: str, group: str, master: MasterEndpoints) -> None:
        self.name, self.group, self.master = name, group, master
        self._key = keyring.issue(
            home,
            "worker",
            name,
            cluster=master.cluster,
            address=master.worker,
            now_s=time.time(),
        )
        self.journal = secrets.token_hex(8)
        self.life = 0
        self.welcomed = False
        self.numbers = 0
        self.acknowledged = 0  # the highest number
        self.ended = 0  # tasks
        self._epoch = 0
        self._socket: zmq.Socket[bytes] | None = None

    def connect(self, context: "zmq.Context[zmq.Socket[bytes]]") -> int:
        """Begin a life. The descriptor is readable when something happens."""
        self.life += 1
        self.boot = secrets.token_hex(8)
        self._precode_beat()
        self._socket = socket = context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.ROUTING_ID, f"{self.name}.{self.boot}".encode())
        socket.set(zmq.HEARTBEAT_IVL, PING_MS)
        socket.set(zmq.HEARTBEAT_TIMEOUT, PING_TIMEOUT_MS)
        socket.set(zmq.HEARTBEAT_TTL, PING_TIMEOUT_MS)
        socket.set(zmq.CURVE_SERVERKEY, self.master.server_key.encode())
        socket.set(zmq.CURVE_PUBLICKEY, self._key.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, self._key.secret.encode())
        socket.connect(self.master.worker)
        self.register()
        self.receive()
        return int(socket.get(zmq.FD))

    def close(self) -> None:
        """End this life without a word."""
        assert self._socket is not None
        self._socket.close(linger=0)
        self._socket, self.welcomed = None, False

    def _precode_beat(self) -> None:
        self._beat = bytearray(
            self._frame(
                Heartbeat(
                    boot=self.boot,
                    number=NUMBER,
                    sent_ms=SENT_MS,
                    free_slots=SLOTS,
                    load=0.5,
                    memory_free_bytes=2**33,
                    disk_free_bytes=2**36,
                    hub_lag_ms=0,
                    slots=SLOTS,
                )
            )
        )
        self._number_at = self._beat.index(EIGHT.pack(NUMBER))
        self._sent_at = self._beat.index(EIGHT.pack(SENT_MS))

    def register(self) -> None:
        """Until welcomed; then with every attempt it has, which is none."""
        self._send(
            self._frame(
                WorkerRegister(
                    worker=self.name,
                    boot=self.boot,
                    life=self.life,
                    kernel_boot="elsewhere",
                    journal=self.journal,
                    epoch=self._epoch,
                    groups=[self.group],
                    slots=SLOTS,
                    types=["noop"],
                    version=__version__,
                    pid=os.getpid(),
                    host="elsewhere",
                    attempts=[],
                    number=self._next_number(),
                )
            )
        )

    def beat(self) -> None:
        """Or register, where it is not welcomed any more."""
        if not self.welcomed:
            self.register()
            self.receive()
            return
        EIGHT.pack_into(self._beat, self._number_at, self._next_number())
        EIGHT.pack_into(self._beat, self._sent_at, wall_ms())
        self._send(bytes(self._beat))
        self.receive()

    def receive(self) -> None:
        """All that has come. After each sending, too: the descriptor is edge triggered, and tells
        of nothing more until nothing was left.
        """
        assert self._socket is not None
        while True:
            try:
                body = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            commands, _ = _to_worker.decode(codec.decode_header(body, "").commands)
            answers = [answer for c in commands if (answer := self._take(c)) is not None]
            if answers:
                self._send(self._frame(*answers))

    def _take(self, command: ToWorker) -> Command | None:
        match command:
            case HeartbeatAck():
                self.acknowledged = max(self.acknowledged, command.number)
                self.welcomed = command.welcomed
            case WorkerWelcome():
                self._epoch, self.welcomed = command.epoch, command.judged
                if not command.judged:
                    self.register()
            case TaskExecuteRequest():
                self.ended += 1
                return _success(command)
            case _:
                pass
        return None

    def _next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _frame(self, *commands: Command) -> bytes:
        [frame] = codec.encode_frames(self.master.cluster, self.name, self.boot, list(commands))
        return frame

    def _send(self, frame: bytes) -> None:
        assert self._socket is not None
        with contextlib.suppress(zmq.Again):  # there is no connection: lost, as a worker's
            self._socket.send(frame, zmq.NOBLOCK)


def _success(request: TaskExecuteRequest) -> TaskExecuteResponse:
    """The RESULT of a task that does nothing."""
    now = wall_ms()
    return TaskExecuteResponse(
        task_instance_id=request.task_instance_id,
        workflow_instance_id=request.workflow_instance_id,
        attempt=request.attempt,
        dispatch_id=request.dispatch_id,
        epoch=request.epoch,
        seq=1,
        status="SUCCESS",
        exit_code=0,
        reason="",
        message="",
        start_time=now,
        end_time=now,
        host="elsewhere",
        pid=0,
        log="",
        outputs={},
        tail="",
    )


class Links:
    """All of them, served by one loop."""

    def __init__(self, home: Home, count: int, group: str, heartbeat_ms: int) -> None:
        master = endpoints.read(home)
        if master is None:
            raise RefusedInState(f"no cluster is up in {home.root}")
        _raise_file_limit(count * LINK_FILES + OTHER_FILES)
        self.heartbeat_s = heartbeat_ms / 1_000
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, count + 1)
        made = secrets.token_hex(3)  # a name is never issued twice
        self.links = [Link(home, f"link-{made}-{n}", group, master) for n in range(count)]
        self._by_file: dict[int, Link] = {}
        self._poll = select.epoll()
        self._poll.register(INPUT, select.EPOLLIN | select.EPOLLHUP)

    def live(self) -> None:
        """Do what the input says until it ends, and beat meanwhile, spread over the interval."""
        beats: deque[tuple[float, Link]] = deque()
        while True:
            while beats and beats[0][0] <= time.monotonic():
                due_s, link = beats.popleft()
                link.beat()
                beats.append((due_s + self.heartbeat_s, link))
            if not self._serve(max(0.0, beats[0][0] - time.monotonic()) if beats else None):
                continue
            match os.read(INPUT, WORD_BYTES_MAX).strip():
                case b"join":
                    self._join()
                    now_s, step_s = time.monotonic(), self.heartbeat_s / len(self.links)
                    beats.extend((now_s + n * step_s, link) for n, link in enumerate(self.links))
                case b"leave":
                    self._leave()
                    beats.clear()
                case b"":
                    return
            sys.stdout.write(json.dumps(self._document()) + "\n")
            sys.stdout.flush()

    def _join(self) -> None:
        """Connect all, a few at a time, until every one is welcomed."""
        to_join, joining = deque(self.links), deque[tuple[float, Link]]()
        while to_join or joining:
            while to_join and len(joining) < JOINING_MAX:
                link = to_join.popleft()
                file = link.connect(self.context)
                self._by_file[file] = link
                self._poll.register(file, select.EPOLLIN)
                joining.append((time.monotonic() + JOIN_AGAIN_S, link))
            self._serve(JOIN_LOOK_S)
            for _ in range(len(joining)):
                due_s, link = joining.popleft()
                if link.welcomed:
                    continue
                if due_s <= time.monotonic():
                    link.register()
                    link.receive()
                    due_s = time.monotonic() + JOIN_AGAIN_S
                joining.append((due_s, link))

    def _leave(self) -> None:
        for file, link in self._by_file.items():
            self._poll.unregister(file)
            link.close()
        self._by_file.clear()

    def _serve(self, timeout_s: float | None) -> bool:
        """What comes meanwhile; True when there is a word at the input."""
        spoken = False
        for file, _ in self._poll.poll(timeout_s):
            if file == INPUT:
                spoken = True
            else:
                self._by_file[file].receive()
        return spoken

    def _document(self) -> dict[str, float]:
        """``behind``: the most numbers of one link that are not acknowledged."""
        return {
            "welcomed": sum(link.welcomed for link in self.links),
            "numbers": sum(link.numbers for link in self.links),
            "behind": max(link.numbers - link.acknowledged for link in self.links),
            "tasks": sum(link.ended for link in self.links),
        }


def _raise_file_limit(files: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise RefusedInState(
            f"{files} files have to be open at once and {hard} may be: raise the limit "
            "(`ulimit -Hn`, LimitNOFILE= of a systemd unit), or take fewer links"
        )
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def main(arguments: list[str]) -> int:
    root, count, group, heartbeat_ms = arguments
    try:
        links = Links(Home(Path(root)), int(count), group, int(heartbeat_ms))
    except RefusedInState as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    links.live()
    links.context.destroy(linger=0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
