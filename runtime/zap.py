"""Who may connect: answers libzmq's question about every key, on the hub's thread (ZeroMQ RFC 27).

pyzmq 27's own Authenticator needs asyncio, so this is a third pump beside those of ``link.py``.
One per context, made before the first `RouterLink` of that context and closed after the last.
"""

import logging
import time
from collections.abc import Callable

import gevent
import zmq
from gevent.event import Event
from zmq.utils import z85

from .link import BURST_FRAMES, readable, watching

log = logging.getLogger(__name__)

ZAP_ENDPOINT = "inproc://zeromq.zap.01"  # fixed by RFC 27
LOG_S_MIN = 10.0  # between two lines about refused keys: a stranger must not fill the disk


class ZapServer:
    """Lets in the keys that have a role, by CURVE only.

    ``role_of(public_key, door)`` (Z85; the door is the `RouterLink`'s) gives the user id that the
    link then hands on with each frame of that connection, None for a key that may not come in
    there. It is asked once a connection: what a revoked key still sends is the node's to refuse.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        role_of: Callable[[bytes, str], str | None],
    ) -> None:
        self.refused = 0  # connections
        self._role_of = role_of
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
                self._answer_burst()
                if readable(self._socket):
                    gevent.sleep(0)
                else:
                    self._wake.wait()

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
            peer, delimiter, version, request_id, door, address, _id, mechanism, *proof = question
            user_id = self._judge(mechanism, proof, address, door)
            verdict = [b"400", b"key refused", b""]
            if user_id is not None:
                verdict = [b"200", b"OK", user_id.encode()]
            self._socket.send_multipart(
                [peer, delimiter, version, request_id, *verdict, b""], zmq.NOBLOCK
            )

    def _judge(
        self, mechanism: bytes, proof: list[bytes], address: bytes, door: bytes
    ) -> str | None:
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
