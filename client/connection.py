"""The client's end of the wire: one connection to a master's client door, blocking, no gevent.

A `Connection` lives as long as its TCP connection: when that is gone every call raises
`Unreachable`, and `Client` looks the endpoint up again, makes a new one and repeats its request.
Not to be shared between threads. What the bodies mean is the codec's business.

A master that refuses a key says nothing on the socket itself, so the outcome of the handshake is
read from libzmq's monitor.
"""

import struct
import time
from math import ceil
from types import TracebackType
from typing import NamedTuple, Self

import zmq

from ..protocol.errors import Unreachable

CONNECT_S_MAX = 3.0  # from connect to the verdict; on loopback it takes 3 ms
HANDSHAKE_MS = 2_000  # TCP connect and CURVE handshake each; a port that says nothing is no master
HEARTBEAT_MS = 2_000  # ZMTP pings: a wait of an hour must notice a half-open connection …
HEARTBEAT_TIMEOUT_MS = 6_000  # … after three of them
KEEPALIVE_IDLE_S = 30  # shorter than the idle limits of usual middleboxes
FRAMES_MAX = 1_000  # HWM each way; a client has a handful of requests under way
CURVE_FRAME_BYTES = 33  # a body on the wire: command name 8, nonce 8, flags 1, MAC 16 (RFC 26)

#: Of a monitor message: the event (zmq_socket_monitor(3)). pyzmq's own parser imports asyncio.
EVENT_KIND = struct.Struct("=H")
DOWN_EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
FAILED_EVENTS = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | FAILED_EVENTS | DOWN_EVENTS
)


class Hints(NamedTuple):
    """What whoever cannot come in is to do next."""

    refused: str  # this key is not taken
    away: str  # nobody answers


OF_A_HOME = Hints(
    "use the home it was started with (STENELLA_HOME)",
    "start a cluster with `stenella up --detach`",
)


class Connection:
    """Connected when made; bodies out by `send`, bodies in by `receive`.

    ``endpoint`` reads ``tcp://HOST:PORT``; keys are Z85; ``frame_bytes_max`` is the largest body
    taken: a larger one ends the connection; ``hints`` end the errors.

    Raises `Unreachable` within ``connect_s`` if nobody listens, if what listens is no Stenella or
    has another key than ``server_key``, or if it refuses this client's key.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        server_key: bytes,
        public_key: bytes,
        secret_key: bytes,
        frame_bytes_max: int,
        connect_s: float = CONNECT_S_MAX,
        hints: Hints = OF_A_HOME,
    ) -> None:
        self.endpoint = endpoint
        self._hints = hints
        self._up = False
        self._problem: str | None = None  # why it is not, or no longer, up
        self._context = zmq.Context()
        self._socket = socket = self._context.socket(zmq.DEALER)
        # No routing id: the ROUTER then makes one that no other connection has.
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, FRAMES_MAX)
        socket.set(zmq.RCVHWM, FRAMES_MAX)
        socket.set(zmq.MAXMSGSIZE, frame_bytes_max + CURVE_FRAME_BYTES)
        socket.set(zmq.IMMEDIATE, 1)
        socket.set(zmq.RECONNECT_IVL, -1)  # a new connection is a new `Connection`
        socket.set(zmq.CONNECT_TIMEOUT, HANDSHAKE_MS)
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.set(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
        socket.set(zmq.TCP_KEEPALIVE, 1)
        socket.set(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
        socket.set(zmq.CURVE_SERVERKEY, server_key)
        socket.set(zmq.CURVE_PUBLICKEY, public_key)
        socket.set(zmq.CURVE_SECRETKEY, secret_key)
        self._monitor = socket.get_monitor_socket(EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            self._connect(connect_s)
        except BaseException:  # Ctrl-C too: nobody else can close what was never handed out
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, body: bytes) -> None:
        """Hand one body to the wire, which may lose it: whoever wants an answer repeats.

        Raises `Unreachable` if the connection is gone.
        """
        self._read_events()
        self._raise_if_gone()
        try:
            self._socket.send(body, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the master at {self.endpoint} takes no more requests") from None

    def receive(self, timeout_s: float) -> bytes | None:
        """The next body, None if there is none within ``timeout_s``.

        Raises `Unreachable` if the connection is gone; what had arrived before is handed out first.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._read_events()  # before the socket: what came before the end is then there
            try:
                return self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                self._raise_if_gone()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._poller.poll(ceil(left_s * 1000))

    def close(self) -> None:
        """Close the socket and its context; twice is harmless."""
        if not self._context.closed:
            self._socket.disable_monitor()
            self._context.destroy(linger=0)  # the sockets too

    def _connect(self, connect_s: float) -> None:
        try:
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            raise Unreachable(
                f"{self.endpoint!r} is no address of a master ({error.strerror}); "
                "it must read tcp://HOST:PORT"
            ) from error
        deadline = time.monotonic() + connect_s
        while not self._up:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Unreachable(
                    f"no answer from {self.endpoint} within {connect_s:g} s; {self._hints.away}"
                )
            self._poller.poll(ceil(left_s * 1000))
            self._read_events()
            self._raise_if_gone()

    def _read_events(self) -> None:
        """Follow the connection's life."""
        refused, away = self._hints
        while self._problem is None:
            try:
                event, _endpoint = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            (kind,) = EVENT_KIND.unpack_from(event)
            if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._up = True
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._problem = f"key refused by the master at {self.endpoint}; {refused}"
            elif kind & FAILED_EVENTS:
                self._problem = (
                    f"key refused or no Stenella there: {self.endpoint} is not the master that "
                    f"these keys belong to; {refused}, or {away}"
                )
            elif kind & DOWN_EVENTS and self._up:
                self._problem = f"the connection to {self.endpoint} is lost; {away}"
            elif kind & DOWN_EVENTS:
                self._problem = f"nobody listens at {self.endpoint}; {away}"

    def _raise_if_gone(self) -> None:
        if self._problem is not None:
            raise Unreachable(self._problem)
