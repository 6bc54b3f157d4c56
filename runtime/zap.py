"""Who may connect: answers libzmq's question about every key, on the hub's thread (ZeroMQ RFC 27).

pyzmq 27's own Authenticator needs asyncio, so this is a third pump beside those of ``link.py``.
One per context, made before the first `RouterLink` of that context and closed after the last.
"""

import logging
import time
from collections import deque
from collections.abc import Callable

import gevent
import zmq
from gevent.event import Event
from zmq.utils import z85

from .link import BURST_FRAMES, readable, watching

log = logging.getLogger(__name__)

ZAP_ENDPOINT = "inproc://zeromq.zap.01"  # fixed by RFC 27
LOG_S_MIN = 10.0  # between two lines about refused keys: a stranger must not fill the disk
#: A handshake ends after two seconds; more connections that wait are told to come again.
WAITING_MAX = 1_000
REFUSED = (b"400", b"key refused", b"")
#: Of RFC 27: the connection is dropped, and a peer of ours connects again by itself.
COME_AGAIN = (b"300", b"not now", b"")


class NotYet(Exception):
    """It is not known now whether a key is good: to be asked again after ``after_s``."""

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s


class ZapServer:
    """Lets in the keys that have a role, by CURVE only.

    ``role_of(public_key, door)`` (Z85; the door is the `RouterLink`'s) gives the user id that the
    link then hands on with each frame of that connection, None for a key that may not come in
    there. It is asked once a connection: what a revoked key still sends is the node's to refuse.
    Where it raises `NotYet` the connection waits and it is asked again. ``has_room()``: False where
    there is no descriptor for one more connection, which is then told to come again.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        role_of: Callable[[bytes, str], str | None],
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.refused = 0  # connections
        self._role_of, self._has_room = role_of, has_room
        self._waiting: deque[list[bytes]] = deque()
        self._again_s = 0.0  # then those that wait are asked about again
        self._wake = Event()
        self._logged_at = -LOG_S_MIN
        # ROUTER, not REP: no lockstep. Not mandatory: a peer that left needs no answer.
        self._socket = context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(ZAP_ENDPOINT)

    def run(self) -> None:
        """Pump until killed."""
        with watching(self._wake, self._socket):
            while True:
                self._wake.clear()
                self._answer_waiting()
                self._answer_burst()
                if readable(self._socket):
                    gevent.sleep(0)
                else:
                    self._wake.wait(self._again_s if self._waiting else None)

    def nudge(self) -> None:
        """Look at the socket again."""
        self._wake.set()

    def close(self) -> None:
        """Close the socket. After `run` was killed and the routers were closed."""
        self._socket.close(linger=0)

    def _answer_burst(self) -> None:
        for _ in range(BURST_FRAMES):
            try:
                question = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._answer(question)

    def _answer_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            self._answer(self._waiting.popleft())

    def _answer(self, question: list[bytes]) -> None:
        peer, delimiter, version, request_id, door, address, _id, mechanism, *proof = question
        verdict = COME_AGAIN
        if self._has_room():
            try:
                user_id = self._judge(mechanism, proof, address, door)
            except NotYet as error:
                if len(self._waiting) < WAITING_MAX:
                    self._again_s = error.after_s
                    self._waiting.append(question)
                    return
            else:
                verdict = REFUSED if user_id is None else (b"200", b"OK", user_id.encode())
        self._socket.send_multipart(
            [peer, delimiter, version, request_id, *verdict, b""], zmq.NOBLOCK
        )

    def _judge(
        self, mechanism: bytes, proof: list[bytes], address: bytes, door: bytes
    ) -> str | None:
        """Raises what ``role_of`` raises."""
        key = z85.encode(proof[0]) if mechanism == b"CURVE" else b""
        user_id = self._role_of(key, door.decode()) if key else None
        if user_id is None:
            self.refused += 1
            now_s = time.monotonic()
            if now_s - self._logged_at >= LOG_S_MIN:
                self._logged_at = now_s
                log.warning(
                    "key refused key=%s address=%s refused=%d",
                    key.decode() or mechanism,
                    address.decode(),
                    self.refused,
                )
        return user_id
