"""The client's end against a real master's door: it answers, or it says within 3 s why not."""

import socket as tcp
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import msgspec
import pytest
import zmq
from gevent.hub import get_hub

from stenella.client.connection import Connection
from stenella.client.reads import Reads
from stenella.home.keys import KeyFile
from stenella.protocol.errors import Unreachable
from stenella.runtime.link import LinkLimits, RouterLink
from stenella.runtime.zap import ZapServer

pytestmark = pytest.mark.live

FRAME_BYTES_MAX = 100_000
SERVER_KEY, SERVER_SECRET = zmq.curve_keypair()
CLIENT_KEY, CLIENT_SECRET = zmq.curve_keypair()
STRANGER_KEY, STRANGER_SECRET = zmq.curve_keypair()


class EchoDoor:
    """A master's client door in a thread with a hub of its own; sends every body back."""

    def __init__(self) -> None:
        self._ready, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._leave.set()
        self._thread.join(10)

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        zap = ZapServer(context, lambda key, _door: "client:admin" if key == CLIENT_KEY else None)
        router = RouterLink(
            context,
            endpoint="tcp://127.0.0.1:0",
            setting="master.client_endpoint",
            door="clients",
            secret_key=SERVER_SECRET,
            deliver=lambda peer, _user_id, body: router.post(peer, body),
            lost=lambda _peer: None,
            limits=LinkLimits(frame_bytes_max=FRAME_BYTES_MAX),
        )
        pumps = [gevent.spawn(zap.run), gevent.spawn(router.run)]
        self.endpoint = router.endpoint
        self._ready.set()
        while not self._leave.is_set():
            gevent.sleep(0.01)
        gevent.killall(pumps)
        router.close()
        zap.close()
        context.destroy(linger=0)
        get_hub().destroy(destroy_loop=True)


@pytest.fixture
def door() -> Iterator[EchoDoor]:
    door = EchoDoor()
    yield door
    door.close()


def connect(
    endpoint: str, server_key: bytes = SERVER_KEY, secret_key: bytes = CLIENT_SECRET
) -> Connection:
    return Connection(
        endpoint,
        server_key=server_key,
        public_key=zmq.curve_public(secret_key),
        secret_key=secret_key,
        frame_bytes_max=FRAME_BYTES_MAX,
    )


def refusal_of(attempt: Callable[[], Connection]) -> str:
    """What the client is told, which must be within 3 s."""
    started = time.monotonic()
    with pytest.raises(Unreachable) as refusal:
        attempt()
    assert time.monotonic() - started < 3.5
    assert refusal.value.exit_code == 5
    return refusal.value.message


def test_a_body_comes_back(door: EchoDoor) -> None:
    with connect(door.endpoint) as connection:
        connection.send(b"hello")

        assert connection.receive(10) == b"hello"


def test_nothing_comes_within_the_time_given(door: EchoDoor) -> None:
    with connect(door.endpoint) as connection:
        started = time.monotonic()

        assert connection.receive(0.1) is None
        assert 0.09 < time.monotonic() - started < 2


def test_a_refused_key_is_named_as_such(door: EchoDoor) -> None:
    message = refusal_of(lambda: connect(door.endpoint, secret_key=STRANGER_SECRET))

    assert "key refused" in message
    assert door.endpoint in message


def test_a_master_with_another_key_is_no_master_of_ours(door: EchoDoor) -> None:
    message = refusal_of(lambda: connect(door.endpoint, server_key=STRANGER_KEY))

    assert "key refused or no Stenella there" in message


def test_a_port_where_nobody_listens_is_named_as_such() -> None:
    with tcp.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    message = refusal_of(lambda: connect(f"tcp://127.0.0.1:{port}"))

    assert f"nobody listens at tcp://127.0.0.1:{port}" in message
    assert "stenella up --detach" in message


def key_file(folder: Path, address: str) -> Path:
    """Of a client that the master at ``address`` does not know."""
    path = folder / "c.key"
    made = KeyFile(
        role="client",
        name="ci",
        public=STRANGER_KEY.decode(),
        secret=STRANGER_SECRET.decode(),
        server=SERVER_KEY.decode(),
        cluster="c1",
        address=address,
    )
    path.write_bytes(msgspec.json.encode(made))
    path.chmod(0o600)
    return path


def test_the_holder_of_a_key_that_is_refused_is_told_to_ask_for_another(
    door: EchoDoor, tmp_path: Path
) -> None:
    key = key_file(tmp_path, door.endpoint)

    with Reads(key=key) as client, pytest.raises(Unreachable) as refusal:
        client.status()

    assert "key refused by the master" in refusal.value.message
    assert f"{key} is good no more" in refusal.value.message
    assert "`stenella key new client` there" in refusal.value.message
    assert "STENELLA_HOME" not in refusal.value.message


def test_the_holder_of_a_key_whose_address_is_silent_is_not_told_to_start_a_cluster(
    tmp_path: Path,
) -> None:
    with tcp.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    with Reads(key=key_file(tmp_path, address)) as client, pytest.raises(Unreachable) as refusal:
        client.status()

    assert f"nobody listens at {address}; check the address (STENELLA_MASTER)" in str(refusal.value)
    assert "stenella up" not in refusal.value.message


@pytest.mark.slow
def test_a_program_that_says_nothing_is_no_stenella() -> None:
    with tcp.create_server(("127.0.0.1", 0)) as listener:
        message = refusal_of(lambda: connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}"))

    assert "no Stenella there" in message


@pytest.mark.slow
def test_a_host_that_does_not_exist_gives_no_answer() -> None:
    message = refusal_of(lambda: connect("tcp://nowhere.invalid:5555"))

    assert "no answer from tcp://nowhere.invalid:5555" in message


def test_an_address_that_is_none_is_refused_at_once() -> None:
    message = refusal_of(lambda: connect("localhost"))

    assert "tcp://HOST:PORT" in message


def test_a_master_that_leaves_ends_the_wait_for_its_answer(door: EchoDoor) -> None:
    with connect(door.endpoint) as connection:
        door.close()
        started = time.monotonic()

        with pytest.raises(Unreachable, match="is lost"):
            connection.receive(60)

        assert time.monotonic() - started < 3


def test_what_arrived_before_the_master_left_is_still_handed_out(door: EchoDoor) -> None:
    with connect(door.endpoint) as connection:
        connection.send(b"last words")
        first = connection.receive(10)
        connection.send(b"more")
        connection._socket.poll(10_000)  # it is here, and not yet taken
        door.close()

        assert first == b"last words"
        assert connection.receive(10) == b"more"


def test_a_body_over_the_masters_limit_ends_the_connection_only(door: EchoDoor) -> None:
    with connect(door.endpoint) as connection:
        connection.send(bytes(FRAME_BYTES_MAX + 1))
        with pytest.raises(Unreachable):
            connection.receive(10)

    with connect(door.endpoint) as connection:
        connection.send(bytes(FRAME_BYTES_MAX))
        assert connection.receive(10) == bytes(FRAME_BYTES_MAX)


def test_closing_twice_is_harmless(door: EchoDoor) -> None:
    connection = connect(door.endpoint)

    connection.close()
    connection.close()
