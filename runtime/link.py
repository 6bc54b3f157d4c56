"""The wire: ZeroMQ sockets under gevent, each with one pump greenlet that alone touches it.

`RouterLink` is the master's side, `DealerLink` a worker's. A node posts bodies and is handed
bodies; what they mean is the codec's and the actors' business. Nothing here blocks, repeats or
keeps: what cannot go now is dropped and counted, and the actor that wants an answer repeats its
request. The peers' keys are judged by `ZapServer` (``zap.py``).

A pump parks until ZMQ_FD says that something has come. That is edge triggered, so whoever runs a
pump calls `nudge` now and then: a missed edge then costs a second or two, not all that follows.

Everything runs on the hub's thread. ``deliver``, ``lost`` and ``changed`` are called by the pump
and must not wait. To end: `drain`, kill the greenlet of `run` (it waits only between bursts, never
inside a socket call), then `close`.
"""

import logging
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gevent
import zmq
from gevent.event import Event
from gevent.hub import get_hub

from ..protocol.errors import NotAllowed, RefusedInState, Usage

log = logging.getLogger(__name__)

BURST_FRAMES = 256  # each way before other greenlets get a turn
HANDSHAKE_MS = 2_000  # a port scanner or a stuck peer holds a connection no longer (bad input B14)
#: ZMTP pings; they find half-open TCP, whatever heartbeats the actors send. A worker finds another
#: connection well within its lease; the bound side only frees what a dead one holds. 1,000 workers
#: with pings from both sides every 2 s took 5 % of the master's core for them.
HEARTBEAT_MS, ROUTER_HEARTBEAT_MS = 5_000, 10_000
HEARTBEAT_TIMEOUT_MS = 6_000  # unanswered for so long: the connection is dead
KEEPALIVE_IDLE_S = 30  # shorter than the idle limits of usual middleboxes
CURVE_FRAME_BYTES = 33  # a body on the wire: command name 8, nonce 8, flags 1, MAC 16 (RFC 26)
RETRY_S_MIN = 0.1  # between two attempts to connect, doubled each time …
RETRY_S_MAX = 1.0  # … up to this: a master that came back elsewhere is found within about a second
ATTEMPT_S_MAX = (
    5.0  # an unknown host name gives no event at all (measured), so the attempt is ended
)
DRAIN_POLL_S = 0.005  # shorter than a burst of the largest frames

#: As plain numbers: to join or to test pyzmq's enums takes 2–4 µs each time.
NOBLOCK, SNDMORE, POLLIN = int(zmq.NOBLOCK), int(zmq.SNDMORE), int(zmq.POLLIN)

#: Of a monitor message: the event (zmq_socket_monitor(3)). pyzmq's own parser imports asyncio.
EVENT_KIND = struct.Struct("=H")
DOWN_EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
FAILED_EVENTS = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | FAILED_EVENTS | DOWN_EVENTS


@dataclass(frozen=True, kw_only=True)
class LinkLimits:
    """What a link holds at most."""

    frame_bytes_max: int  # one body, ≥ 1,000; a peer that sends a larger one is disconnected
    peer_frames_max: int = 2_000  # HWM each way and peer; a worker in step has a handful under way
    outbox_frames_max: int = 20_000  # a turn posts one frame a peer as a rule; 1,000 workers × 20


@dataclass
class LinkCounts:
    """Frames since the link was made."""

    received: int = 0
    sent: int = 0
    dropped_full: int = 0  # the peer's queue or the outbox was full
    dropped_lost: int = 0  # the peer was gone, or there was no connection
    malformed: int = 0  # not exactly one body, or an empty one


@dataclass(frozen=True)
class Endpoint:
    """Where a master listens and how it proves that it is the one meant."""

    address: str  # tcp://host:port
    server_key: bytes  # its public key, Z85


class RouterLink:
    """The bound side: one ROUTER socket for many peers, each known by the key it came with.

    ``deliver(peer, user_id, body)``: ``peer`` names one connection and is what an answer is posted
    to; ``user_id`` is what the `ZapServer` of the same context said of the connection's key.
    ``lost(peer)``: a frame was posted to a connection that is gone.

    ``endpoint`` is where it really listens (port 0 takes a free one); ``setting`` is the key of
    conf.toml that errors name; ``door`` is what the `ZapServer` is asked about. ``secret_key`` is
    Z85. The `ZapServer` must be bound before.

    Raises `RefusedInState` if the port is in use, `Usage` if the endpoint cannot be bound at all.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        endpoint: str,
        setting: str,
        door: str,
        secret_key: bytes,
        deliver: Callable[[bytes, str, bytes], None],
        lost: Callable[[bytes], None],
        limits: LinkLimits,
    ) -> None:
        self.counts = LinkCounts()
        self._deliver, self._lost, self._limits = deliver, lost, limits
        self._outbox: deque[tuple[bytes, bytes]] = deque()
        self._wake = Event()
        self._socket = context.socket(zmq.ROUTER)
        _set_common(self._socket, limits)
        self._socket.set(zmq.HEARTBEAT_IVL, ROUTER_HEARTBEAT_MS)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)  # else unknown and full peers are dropped unseen
        self._socket.set(zmq.ROUTER_HANDOVER, 0)  # nobody takes a living connection's name
        self._socket.set(zmq.CURVE_SERVER, 1)
        self._socket.set(zmq.CURVE_SECRETKEY, secret_key)
        # Not empty: without a ZAP server libzmq then refuses everybody.
        self._socket.set(zmq.ZAP_DOMAIN, door.encode())
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            if error.errno == zmq.EADDRINUSE:
                raise RefusedInState(
                    f"{endpoint} is in use by another program; stop that program, or choose "
                    f"another port for {setting} in conf.toml (port 0 takes a free one)"
                ) from error
            raise Usage(
                f"cannot listen on {endpoint}: {error.strerror}; correct {setting} in conf.toml"
            ) from error
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def post(self, peer: bytes, body: bytes) -> None:
        """Queue one body for a peer; never blocks. Over the outbox's limit it is dropped."""
        assert len(body) <= self._limits.frame_bytes_max, len(body)
        if len(self._outbox) >= self._limits.outbox_frames_max:
            self.counts.dropped_full += 1
            return
        self._outbox.append((peer, body))
        self._wake.set()

    def run(self) -> None:
        """Pump until killed."""
        with watching(self._wake, self._socket):
            while True:
                self._wake.clear()
                self._receive_burst()
                self._send_burst()
                if self._outbox or readable(self._socket):
                    gevent.sleep(0)
                else:
                    self._wake.wait()

    def nudge(self) -> None:
        """Look at the socket again."""
        self._wake.set()

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything posted was handed to the socket; False when the time is over."""
        return _drain(self._outbox, timeout_s)

    def close(self) -> None:
        """Close the socket; what it had not sent is lost. After `run` was killed."""
        self._socket.close(linger=0)

    def _receive_burst(self) -> None:
        for _ in range(BURST_FRAMES):
            if not readable(self._socket):
                return
            head = self._socket.recv(NOBLOCK, copy=False)
            # The rest of a message is there as soon as its first part is (zmq_msg_recv(3)).
            body = self._socket.recv(NOBLOCK, copy=False)
            if body.more or not len(body):
                _skip_rest(self._socket, body)
                self.counts.malformed += 1
                continue
            self.counts.received += 1
            self._deliver(head.bytes, str(head.get("User-Id")), body.bytes)

    def _send_burst(self) -> None:
        for _ in range(min(BURST_FRAMES, len(self._outbox))):
            peer, body = self._outbox.popleft()
            try:
                self._socket.send(peer, NOBLOCK | SNDMORE)
                self._socket.send(body, NOBLOCK)
            except zmq.Again:
                self.counts.dropped_full += 1  # waiting for this peer would stall all the others
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self.counts.dropped_lost += 1
                self._lost(peer)
            else:
                self.counts.sent += 1


class DealerLink:
    """The connecting side: one master at a time, looked up again before every attempt.

    ``resolve()`` says where the master is now, None if nobody knows; ``changed(up)`` is called when
    the connection can carry frames and when it no longer can. ``gives_up``: `run` raises
    `NotAllowed` if the key is refused at first; else it is asked again for ever. A body
    posted while it cannot is dropped: nobody wants to hear yesterday's heartbeat. Keys are Z85.

    Each connection is a new socket with the routing id ``identity.N``, N its number. With the same
    id again, a ROUTER that has not yet noticed the cut ignores the new connection for good (seen
    with libzmq 4.3.5). So the peer to answer is always the one the last frame came from.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        resolve: Callable[[], Endpoint | None],
        identity: bytes,
        public_key: bytes,
        secret_key: bytes,
        deliver: Callable[[bytes], None],
        changed: Callable[[bool], None],
        limits: LinkLimits,
        gives_up: bool = False,
    ) -> None:
        self.counts = LinkCounts()
        self.up = False
        self._context, self._resolve, self._limits = context, resolve, limits
        self._identity, self._public_key, self._secret_key = identity, public_key, secret_key
        self._deliver, self._changed = deliver, changed
        self._gives_up = gives_up  # where the key is refused before it was ever taken
        self._outbox: deque[bytes] = deque()
        self._wake = Event()
        self._connection_count = 0
        self._failure = ""  # the last one logged: an hour without a master is one line
        self._sockets: list[zmq.Socket[bytes]] = []  # the connection's and its monitor

    def post(self, body: bytes) -> None:
        """Queue one body; never blocks. Without a connection or over the limit it is dropped."""
        assert len(body) <= self._limits.frame_bytes_max, len(body)
        if not self.up:
            self.counts.dropped_lost += 1
        elif len(self._outbox) >= self._limits.outbox_frames_max:
            self.counts.dropped_full += 1
        else:
            self._outbox.append(body)
            self._wake.set()

    def run(self) -> None:
        """Connect, pump until the connection is gone, connect again; until killed.

        Raises `Usage` if `resolve` gives an address that is none.
        """
        retry_s = RETRY_S_MIN
        while True:
            endpoint = self._resolve()
            if endpoint is not None and self._live_through_one_connection(endpoint):
                retry_s = RETRY_S_MIN
            gevent.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_S_MAX)

    def nudge(self) -> None:
        """Look at the socket again."""
        self._wake.set()

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything posted was handed to the socket; False when the time is over."""
        return _drain(self._outbox, timeout_s)

    def close(self) -> None:
        """Close the socket; what it had not sent is lost. After `run` was killed."""
        self.up = False
        self.counts.dropped_lost += len(self._outbox)
        self._outbox.clear()
        if self._sockets:
            self._sockets[0].disable_monitor()  # before its reader goes: libzmq would wait for it
        for socket in self._sockets:
            socket.close(linger=0)
        self._sockets.clear()

    def _live_through_one_connection(self, endpoint: Endpoint) -> bool:
        """True if it was ever up."""
        self._connection_count += 1
        socket = self._open(endpoint)
        monitor = socket.get_monitor_socket(EVENTS)
        self._sockets = [socket, monitor]
        try:
            _connect(socket, endpoint.address)
            with watching(self._wake, socket, monitor):
                self._pump(socket, monitor, endpoint)
        finally:
            was_up = self.up
            self.close()
        if was_up:
            log.info("link down endpoint=%s", endpoint.address)
            self._changed(False)
        return was_up

    def _open(self, endpoint: Endpoint) -> "zmq.Socket[bytes]":
        socket = self._context.socket(zmq.DEALER)
        _set_common(socket, self._limits)
        socket.set(zmq.ROUTING_ID, b"%s.%d" % (self._identity, self._connection_count))
        socket.set(zmq.IMMEDIATE, 1)  # no queue before there is a connection
        socket.set(zmq.RECONNECT_IVL, -1)  # never by itself: the master may be elsewhere by now
        socket.set(zmq.CONNECT_TIMEOUT, HANDSHAKE_MS)
        socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.set(zmq.CURVE_SERVERKEY, endpoint.server_key)
        socket.set(zmq.CURVE_PUBLICKEY, self._public_key)
        socket.set(zmq.CURVE_SECRETKEY, self._secret_key)
        return socket

    def _pump(
        self, socket: "zmq.Socket[bytes]", monitor: "zmq.Socket[bytes]", endpoint: Endpoint
    ) -> None:
        give_up_at = time.monotonic() + ATTEMPT_S_MAX
        while True:
            self._wake.clear()
            self._receive_burst(socket)
            if self._read_events(monitor, endpoint):
                return
            self._send_burst(socket)
            if not self.up and time.monotonic() >= give_up_at:
                self._log_failure(endpoint, "no answer")
                return
            if self._outbox or readable(socket) or readable(monitor):
                gevent.sleep(0)
            else:
                self._wake.wait(None if self.up else give_up_at - time.monotonic())

    def _receive_burst(self, socket: "zmq.Socket[bytes]") -> None:
        for _ in range(BURST_FRAMES):
            if not readable(socket):
                return
            body = socket.recv(NOBLOCK, copy=False)
            if body.more or not len(body):
                _skip_rest(socket, body)
                self.counts.malformed += 1
                continue
            self.counts.received += 1
            self._deliver(body.bytes)

    def _read_events(self, monitor: "zmq.Socket[bytes]", endpoint: Endpoint) -> bool:
        """True if the connection has ended or did not come about."""
        while readable(monitor):
            event, _endpoint = monitor.recv_multipart(NOBLOCK)
            (kind,) = EVENT_KIND.unpack_from(event)
            if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.up, self._failure, self._gives_up = True, "", False
                log.info("link up endpoint=%s", endpoint.address)
                self._changed(True)
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._log_failure(endpoint, "key refused")
                if self._gives_up:
                    raise NotAllowed(
                        f"key refused by the master at {endpoint.address}: it was revoked, or is "
                        "no worker's key of that cluster; see `stenella key ls` there"
                    )
            elif kind & FAILED_EVENTS:
                self._log_failure(endpoint, "no Stenella with the expected key there")
            elif kind & DOWN_EVENTS:
                if kind == zmq.EVENT_CLOSED:
                    self._log_failure(endpoint, "nobody listens there")
                return True
        return False

    def _send_burst(self, socket: "zmq.Socket[bytes]") -> None:
        for _ in range(min(BURST_FRAMES, len(self._outbox))):
            try:
                socket.send(self._outbox.popleft(), NOBLOCK)
            except zmq.Again:
                self.counts.dropped_full += 1
            else:
                self.counts.sent += 1

    def _log_failure(self, endpoint: Endpoint, failure: str) -> None:
        if failure != self._failure:
            self._failure = failure
            log.warning("no link endpoint=%s: %s", endpoint.address, failure)


@contextmanager
def watching(wake: Event, *sockets: "zmq.Socket[bytes]") -> Iterator[None]:
    """Set ``wake`` whenever something happens on one of the sockets."""
    watchers = [get_hub().loop.io(int(socket.get(zmq.FD)), 1) for socket in sockets]
    try:
        for watcher in watchers:
            watcher.start(wake.set)
        yield
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()


def readable(socket: "zmq.Socket[bytes]") -> bool:
    """Whether a message waits. Reading EVENTS re-arms the edge: ask before every park.

    To ask takes 3 µs; to receive nothing 6–10, for the exception.
    """
    return bool(int(socket.get(zmq.EVENTS)) & POLLIN)


def _skip_rest(socket: "zmq.Socket[bytes]", part: zmq.Frame) -> None:
    """Of a message that is not what it should be."""
    while part.more:
        part = socket.recv(NOBLOCK, copy=False)


def _set_common(socket: "zmq.Socket[bytes]", limits: LinkLimits) -> None:
    """All before bind and connect: later values do not reach existing pipes."""
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, limits.peer_frames_max)
    socket.set(zmq.RCVHWM, limits.peer_frames_max)
    socket.set(zmq.MAXMSGSIZE, limits.frame_bytes_max + CURVE_FRAME_BYTES)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)


def _connect(socket: "zmq.Socket[bytes]", address: str) -> None:
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        raise Usage(
            f"{address!r} is no address of a master ({error.strerror}); it must read "
            "tcp://HOST:PORT, in run/endpoints.json or with --master"
        ) from error


def _drain(outbox: deque[tuple[bytes, bytes]] | deque[bytes], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while outbox and time.monotonic() < deadline:
        gevent.sleep(DRAIN_POLL_S)
    return not outbox
