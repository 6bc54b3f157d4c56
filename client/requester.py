"""Requests until their answers: repeated with the same ids over losses and restarts of the master.

So nothing is done twice and nothing is lost in between. How long that goes on is the caller's
limit; after it he gets the request id to look for.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
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
from ..protocol.commands import Command, Intent, Refused, Request, ToClient
from ..protocol.errors import (
    ERRORS,
    NotAllowed,
    RefusedInState,
    StenellaError,
    Unreachable,
    Usage,
    WaitTimeout,
)
from .connection import OF_A_HOME, Connection, Hints
from .presence import is_held

#: How long one request is repeated; longer than a supervised master is away (5 s at most between
#: two starts, and its recovery), shorter than a person's patience.
LIMIT_S = 30.0
#: Pauses before a request is sent again on a connection that stands; the last one goes on.
REPEAT_S = (1.0, 2.0, 3.0, 5.0)
#: Between two looks for a master that is away: it is found a moment after it is back.
LOOK_AGAIN_S = 0.2
#: Requests of `ask_each` that are under way at the same time: what a master takes in one turn
#: shares one commit; with more it would be no faster.
WINDOW = 250
AWAY_ELSEWHERE = "check the address (STENELLA_MASTER), or whether that cluster is up"

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
        for _, reply in self.ask_each((request,), kind, answered_after_s):
            return reply
        raise AssertionError("a request is answered, or raises")

    def ask_each(
        self, requests: Iterable[Request], kind: type[Reply], answered_after_s: float = 0.0
    ) -> Iterator[tuple[str, Reply]]:
        """The id of each request and its answer, as the answers come: up to ``WINDOW`` are under
        way at the same time, and the next are taken from ``requests`` as there is room.

        Raises as `ask`, for the first that fails; others may have been carried out then.
        """
        source = iter(requests)
        waiting: dict[str, _Asked] = {}
        due: list[_Asked] = []
        while True:
            for request in islice(source, WINDOW - len(waiting)):
                asked = _Asked(request, self._limit_s, answered_after_s)
                waiting[request.request_id] = asked
                due.append(asked)
            if not waiting:
                return
            try:
                connection = self._connect()
                self._send(connection, due)
                body = connection.receive(_wait_s(waiting))
            except Unreachable as error:
                self.close()
                oldest = next(iter(waiting.values()))
                if time.monotonic() >= oldest.deadline or not self._will_be_back():
                    raise _with_id(error, oldest) from error
                time.sleep(LOOK_AGAIN_S)
                due = list(waiting.values())
                continue
            for reply in () if body is None else self._decode(body):
                if waiting.pop(reply.request_id, None) is None:
                    continue  # to an earlier request, or a second copy
                if isinstance(reply, Refused):
                    raise _error_of(reply)
                assert isinstance(reply, kind), reply  # ours: the gateway answers by kind
                yield reply.request_id, reply
            due = self._due(waiting)

    def _send(self, connection: Connection, due: list["_Asked"]) -> None:
        """In as few frames as they need."""
        if not due:
            return
        requests: list[Command] = [asked.request for asked in due]
        try:
            frames = encode_frames(self._cluster, self._name, self._boot, requests)
        except ProtocolError as error:
            raise Usage(f"the request is too large ({error}): pass large values by file") from None
        for frame in frames:
            connection.send(frame)
        for asked in due:
            asked.was_sent = True
            asked.due = min(asked.deadline, time.monotonic() + next(asked.pauses))

    def _due(self, waiting: dict[str, "_Asked"]) -> list["_Asked"]:
        """Those to be sent again. Raises `WaitTimeout` where one has waited for too long."""
        now = time.monotonic()
        due = [asked for asked in waiting.values() if asked.due <= now]
        for asked in due:
            if asked.deadline <= now:
                raise WaitTimeout(
                    f"the master has not answered request {asked.request.request_id} within "
                    f"{self._limit_s:g} s; it may still carry it out: see `stenella status` and "
                    "`stenella ls`"
                )
        return due

    def _connect(self) -> Connection:
        """The connection that stands, else a new one to where the master is by now."""
        if self._connection is None:
            address, server_key, own, hints = self._find_master()
            self._name = own.name
            self._connection = Connection(
                address,
                server_key=server_key,
                public_key=own.public,
                secret_key=own.secret,
                frame_bytes_max=FRAME_BYTES_MAX,
                hints=hints,
            )
            self._was_up = True
        return self._connection

    def _find_master(self) -> tuple[str, bytes, KeyPair, Hints]:
        """Its address and public key, the key to go there with, and what to do if that fails."""
        if self._key_path is not None:
            pair = keys.issued_key(self._key_path)
            if pair.role not in ("client", "observer"):
                raise NotAllowed(
                    f"{self._key_path} is the key of a {pair.role}: `stenella key new client` "
                    "makes one to ask with"
                )
            refused = (
                f"{self._key_path} is good no more, or for another cluster: ask for a new one "
                f"(`stenella key new {pair.role}` there)"
            )
            hints = Hints(refused, AWAY_ELSEWHERE)
            return self._endpoint or pair.address, pair.server, pair, hints
        home = find_home(self._home_path)
        if home is None:
            raise Unreachable(_no_cluster("there is no home, so no cluster"))
        if self._endpoint is not None:
            hints = OF_A_HOME._replace(away=AWAY_ELSEWHERE)
            return self._endpoint, keys.server_keys(home).public, keys.client_keys(home), hints
        master = endpoints.read(home)
        if master is None:
            raise Unreachable(_no_cluster(f"no cluster is up in {home.root}"))
        self._cluster = master.cluster
        return master.client, master.server_key.encode(), keys.client_keys(home), OF_A_HOME

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


class _Asked:
    """A request without an answer."""

    def __init__(self, request: Request, limit_s: float, answered_after_s: float) -> None:
        self.request = request
        self.pauses = chain([answered_after_s + REPEAT_S[0]], REPEAT_S[1:], repeat(REPEAT_S[-1]))
        self.due = time.monotonic()  # when it is to be sent again
        self.deadline = self.due + limit_s + answered_after_s
        self.was_sent = False


def _wait_s(waiting: dict[str, _Asked]) -> float:
    """Until the first of them is to be sent again."""
    return max(0.0, min(asked.due for asked in waiting.values()) - time.monotonic())


def _with_id(error: Unreachable, asked: _Asked) -> Unreachable:
    """What may have been carried out unheard can be asked for by its id."""
    if not (asked.was_sent and isinstance(asked.request, Intent)):
        return error
    request_id = asked.request.request_id
    return Unreachable(f"{error.message}; request {request_id} may have been taken")


def _error_of(refusal: Refused) -> StenellaError:
    error = ERRORS.get(refusal.exit_code, StenellaError)(refusal.message, tuple(refusal.problems))
    error.code = refusal.code
    return error


def _no_cluster(why: str) -> str:
    return f"{why}; start one with `stenella up --detach`"
