"""One request until its answer: repeated with the same id over losses and restarts of the master.

So nothing is done twice and nothing is lost in between. How long that goes on is the caller's
limit; after it he gets the request id to look for.
"""

import secrets
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import TypeVar

from ..home import endpoints, keys
from ..home.keys import KeyPair
from ..home.layout import find_home
from ..protocol.codec import (
    FRAME_BYTES_MAX,
    CommandDecoder,
    ProtocolError,
    decode_header,
    encode_frames,
)
from ..protocol.commands import Intent, Refused, Request, ToClient
from ..protocol.errors import (
    ERRORS,
    NotAllowed,
    RefusedInState,
    StenellaError,
    Unreachable,
    Usage,
    WaitTimeout,
)
from .connection import Connection
from .presence import is_held

#: How long one request is repeated; longer than a supervised master is away (5 s at most between
#: two starts, and its recovery), shorter than a person's patience.
LIMIT_S = 30.0
#: Pauses before a request is sent again on a connection that stands; the last one goes on.
REPEAT_S = (1.0, 2.0, 3.0, 5.0)
#: Between two looks for a master that is away: it is found a moment after it is back.
LOOK_AGAIN_S = 0.2

_to_client: CommandDecoder[ToClient] = CommandDecoder(ToClient)
Reply = TypeVar("Reply", bound=ToClient)


class Requester:
    """Asks the master of a home, or the one at ``endpoint`` with that home's keys.

    ``home``: None is $STENELLA_HOME, else ~/.stenella. ``key``: of a client or observer, issued by
    the home of the master at ``endpoint``; no home is needed then. Connects when it is
    first asked, and again whenever the master is elsewhere. Not to be shared between threads.
    """

    def __init__(
        self, home: Path | None, endpoint: str | None, key: Path | None, limit_s: float
    ) -> None:
        self._home_path = home
        self._endpoint = endpoint
        self._key_path = key
        self._name = keys.CLIENT_NAME  # that belongs to the key
        self._limit_s = limit_s
        self._boot = secrets.token_hex(8)
        self._connection: Connection | None = None
        self._cluster = ""  # known once the home's endpoints were read
        self._was_up = False  # a master answered our handshake before: it will be back

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, request: Request, kind: type[Reply], answered_after_s: float = 0.0) -> Reply:
        """The answer to ``request``, which the master may hold back for ``answered_after_s``.

        Raises `Unreachable`, `WaitTimeout`, or what the master refuses it with.
        """
        pauses = chain([answered_after_s + REPEAT_S[0]], REPEAT_S[1:], repeat(REPEAT_S[-1]))
        deadline = time.monotonic() + self._limit_s + answered_after_s
        sent = False
        while True:
            try:
                connection = self._connect()
                connection.send(self._encode(request))
                sent = True
                until = min(deadline, time.monotonic() + next(pauses))
                reply = self._receive(connection, request.request_id, until)
            except Unreachable as error:
                self.close()
                if time.monotonic() >= deadline or not self._will_be_back():
                    raise _with_id(error, request, sent) from error
                time.sleep(LOOK_AGAIN_S)
                continue
            if isinstance(reply, Refused):
                raise _error_of(reply)
            if reply is not None:
                assert isinstance(reply, kind), reply  # ours: the gateway answers by kind
                return reply
            if time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"the master has not answered request {request.request_id} within "
                    f"{self._limit_s:g} s; it may still carry it out: see `stenella status` and "
                    "`stenella ls`"
                )

    def _connect(self) -> Connection:
        """The connection that stands, else a new one to where the master is by now."""
        if self._connection is None:
            address, server_key, own = self._find_master()
            self._name = own.name
            self._connection = Connection(
                address,
                server_key=server_key,
                public_key=own.public,
                secret_key=own.secret,
                frame_bytes_max=FRAME_BYTES_MAX,
            )
            self._was_up = True
        return self._connection

    def _find_master(self) -> tuple[str, bytes, KeyPair]:
        """Its address and public key, and the key to go there with."""
        if self._key_path is not None:
            pair = keys.issued_key(self._key_path)
            if pair.role not in ("client", "observer"):
                raise NotAllowed(
                    f"{self._key_path} is the key of a {pair.role}: `stenella key new client` "
                    "makes one to ask with"
                )
            return self._endpoint or pair.address, pair.server, pair
        home = find_home(self._home_path)
        if home is None:
            raise Unreachable(_no_cluster("there is no home, so no cluster"))
        if self._endpoint is not None:
            return self._endpoint, keys.server_keys(home).public, keys.client_keys(home)
        master = endpoints.read(home)
        if master is None:
            raise Unreachable(_no_cluster(f"no cluster is up in {home.root}"))
        self._cluster = master.cluster
        return master.client, master.server_key.encode(), keys.client_keys(home)

    def _will_be_back(self) -> bool:
        """Whether a master that is away now is worth waiting for.

        One that left on purpose took its endpoints away; one that crashed did not, and whoever
        supervises it holds a lock.
        """
        if self._endpoint is not None or self._key_path is not None:
            return self._was_up
        home = find_home(self._home_path)
        return home is not None and (
            is_held(home) or (self._was_up and endpoints.read(home) is not None)
        )

    def _encode(self, request: Request) -> bytes:
        try:
            (frame,) = encode_frames(self._cluster, self._name, self._boot, [request])
        except ProtocolError as error:
            raise Usage(f"the request is too large ({error}): pass large values by file") from None
        return frame

    def _receive(self, connection: Connection, request_id: str, until: float) -> ToClient | None:
        """The answer to that request; None when the time is over. All other answers are old."""
        while (left_s := until - time.monotonic()) > 0:
            body = connection.receive(left_s)
            if body is None:
                break
            for reply in self._decode(body):
                if reply.request_id == request_id:
                    return reply
        return None

    def _decode(self, body: bytes) -> Iterator[ToClient]:
        """Nothing from a frame that is no answer for us."""
        try:
            replies, _bad = _to_client.decode(decode_header(body, self._cluster).commands)
        except ProtocolError as error:
            if error.reason == "version":
                raise RefusedInState(
                    f"the master speaks another version of the protocol ({error}): "
                    "use the Stenella that its cluster runs"
                ) from None
            return
        yield from replies


def _with_id(error: Unreachable, request: Request, sent: bool) -> Unreachable:
    """What may have been carried out unheard can be asked for by its id."""
    if not (sent and isinstance(request, Intent)):
        return error
    return Unreachable(f"{error.message}; request {request.request_id} may have been taken")


def _error_of(refusal: Refused) -> StenellaError:
    error = ERRORS.get(refusal.exit_code, StenellaError)(refusal.message, tuple(refusal.problems))
    error.code = refusal.code
    return error


def _no_cluster(why: str) -> str:
    return f"{why}; start one with `stenella up --detach`"
