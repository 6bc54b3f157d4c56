"""The wire over real sockets on loopback: what it carries, whom it refuses, what it survives."""

import socket as tcp
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import gevent
import pytest
import zmq

from stenella.protocol.errors import RefusedInState, Usage
from stenella.runtime.link import DealerLink, Endpoint, LinkLimits, RouterLink, readable
from stenella.runtime.zap import NotYet, ZapServer

pytestmark = pytest.mark.live

DEADLINE_S = 10.0
LIMITS = LinkLimits(frame_bytes_max=100_000)
SERVER_KEY, SERVER_SECRET = zmq.curve_keypair()
WORKER_KEY, WORKER_SECRET = zmq.curve_keypair()
STRANGER_KEY, STRANGER_SECRET = zmq.curve_keypair()


def wait_until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        gevent.sleep(0.005)


class Dealer:
    """A worker's end that keeps what it saw."""

    def __init__(self, wire: "Wire", secret_key: bytes, limits: LinkLimits) -> None:
        wire.dealer_count += 1
        self.bodies: list[bytes] = []
        self.changes: list[bool] = []
        self.lookup_count = 0
        self._wire = wire
        public_key = zmq.curve_public(secret_key)
        self.link = DealerLink(
            wire.context,
            resolve=self._look_up,
            identity=b"worker-%d" % wire.dealer_count,
            public_key=public_key,
            secret_key=secret_key,
            deliver=self.bodies.append,
            changed=self.changes.append,
            limits=limits,
        )

    def _look_up(self) -> Endpoint | None:
        self.lookup_count += 1
        return self._wire.endpoint


class Wire:
    """A master's door that keeps what it saw and sends every body back, and its workers' ends."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.received: list[tuple[bytes, str, bytes]] = []
        self.lost: list[bytes] = []
        self.dealer_count = 0
        self.pumps: dict[object, gevent.Greenlet[[], None]] = {}
        self.raw: list[zmq.Socket[bytes]] = []
        self.not_yet, self.has_room = False, True
        self.zap = ZapServer(self.context, self._role_of, lambda: self.has_room)
        self._start(self.zap)

    def _role_of(self, key: bytes, _door: str) -> str | None:
        if self.not_yet:
            raise NotYet(0.01)
        return "worker:1" if key == WORKER_KEY else None

    def open_router(
        self, limits: LinkLimits = LIMITS, endpoint: str = "tcp://127.0.0.1:0"
    ) -> RouterLink:
        self.router = RouterLink(
            self.context,
            endpoint=endpoint,
            setting="master.worker_endpoint",
            door="workers",
            secret_key=SERVER_SECRET,
            deliver=self._echo,
            lost=self.lost.append,
            limits=limits,
        )
        self.endpoint: Endpoint | None = Endpoint(self.router.endpoint, SERVER_KEY)
        self._start(self.router)
        return self.router

    def open_dealer(self, secret_key: bytes = WORKER_SECRET, limits: LinkLimits = LIMITS) -> Dealer:
        dealer = Dealer(self, secret_key, limits)
        self._start(dealer.link)
        return dealer

    def open_raw(self, *, curve: bool = True) -> "zmq.Socket[bytes]":
        """A peer that is none of our program."""
        raw = self.context.socket(zmq.DEALER)
        raw.set(zmq.RCVHWM, 1)
        raw.set(zmq.LINGER, 0)
        if curve:
            raw.set(zmq.CURVE_SERVERKEY, SERVER_KEY)
            raw.set(zmq.CURVE_PUBLICKEY, WORKER_KEY)
            raw.set(zmq.CURVE_SECRETKEY, WORKER_SECRET)
        raw.connect(self.router.endpoint)
        self.raw.append(raw)
        return raw

    def stop(self, link: DealerLink | RouterLink | ZapServer) -> None:
        self.pumps.pop(link).kill()
        link.close()

    def assert_serves(self) -> None:
        """A newly come worker gets its echo."""
        dealer = self.open_dealer()
        wait_until(lambda: dealer.link.up)
        dealer.link.post(b"still there?")
        wait_until(lambda: dealer.bodies == [b"still there?"])

    def close(self) -> None:
        for link in reversed(list(self.pumps)):
            assert isinstance(link, DealerLink | RouterLink | ZapServer)
            assert not self.pumps[link].ready(), "a pump has died"
            self.stop(link)
        for raw in self.raw:
            raw.close()
        self.context.destroy(linger=0)

    def _start(self, link: DealerLink | RouterLink | ZapServer) -> None:
        self.pumps[link] = gevent.spawn(link.run)

    def _echo(self, peer: bytes, user_id: str, body: bytes) -> None:
        self.received.append((peer, user_id, body))
        self.router.post(peer, body)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def bodies_of(count: int) -> list[bytes]:
    return [b"%06d" % number for number in range(count)]


def test_ten_thousand_frames_come_back_complete_and_in_order(wire: Wire) -> None:
    limits = LinkLimits(frame_bytes_max=1_000, peer_frames_max=10_000)  # nothing may be dropped
    wire.open_router(limits)
    dealer = wire.open_dealer(limits=limits)
    wait_until(lambda: dealer.link.up)
    sent = bodies_of(10_000)

    for body in sent:
        dealer.link.post(body)

    wait_until(lambda: len(dealer.bodies) == len(sent))
    assert dealer.bodies == sent
    assert (wire.router.counts.received, wire.router.counts.sent) == (10_000, 10_000)


def test_each_frame_comes_with_the_user_id_of_its_key(wire: Wire) -> None:
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)

    dealer.link.post(b"hello")

    wait_until(lambda: wire.received)
    assert wire.received == [(b"worker-1.1", "worker:1", b"hello")]


def test_a_key_without_role_is_counted_and_never_delivers(wire: Wire) -> None:
    wire.open_router()
    stranger = wire.open_dealer(secret_key=STRANGER_SECRET)

    wait_until(lambda: wire.zap.refused >= 2)  # it tries again and is refused again
    stranger.link.post(b"let me in")

    assert stranger.changes == []
    assert stranger.link.counts.dropped_lost == 1
    assert wire.received == []


def test_a_master_with_another_key_is_never_talked_to(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    wire.open_router()
    wire.endpoint = Endpoint(wire.router.endpoint, STRANGER_KEY)
    dealer = wire.open_dealer()

    wait_until(lambda: "no Stenella with the expected key" in caplog.text)
    wire.endpoint = Endpoint(wire.router.endpoint, SERVER_KEY)
    wait_until(lambda: dealer.link.up)

    assert wire.zap.refused == 0
    assert wire.received == []


def test_a_plain_peer_is_harmless(wire: Wire) -> None:
    wire.open_router()

    wire.open_raw(curve=False).send(b"no key at all")

    wire.assert_serves()
    assert [body for _, _, body in wire.received] == [b"still there?"]


def test_an_http_request_is_harmless_and_its_connection_closed(wire: Wire) -> None:
    port = int(wire.open_router().endpoint.rpartition(":")[2])

    with tcp.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(ConnectionResetError):  # another way of being told to go
            while browser.recv(1000):
                pass

    wire.assert_serves()


@pytest.mark.slow
def test_a_silent_connection_is_closed_after_the_handshake_time(wire: Wire) -> None:
    port = int(wire.open_router().endpoint.rpartition(":")[2])
    started = time.monotonic()

    with tcp.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as scanner:
        while scanner.recv(1000):
            pass

    assert 1.0 < time.monotonic() - started < 4.0


@pytest.mark.parametrize("frames", [[b""], [b"", b"body"], [b"one", b"two", b"three"]])
def test_a_message_that_is_not_one_body_is_counted_and_skipped(
    wire: Wire, frames: list[bytes]
) -> None:
    wire.open_router()
    raw = wire.open_raw()

    raw.send_multipart(frames)
    raw.send(b"sound")

    wait_until(lambda: wire.received)
    assert [body for _, _, body in wire.received] == [b"sound"]
    assert wire.router.counts.malformed == 1


def test_a_dealer_skips_a_message_that_is_not_one_body(wire: Wire) -> None:
    master = wire.context.socket(zmq.ROUTER)
    wire.raw.append(master)
    master.set(zmq.CURVE_SERVER, 1)
    master.set(zmq.CURVE_SECRETKEY, SERVER_SECRET)
    master.bind("tcp://127.0.0.1:*")
    wire.endpoint = Endpoint(master.get_string(zmq.LAST_ENDPOINT), SERVER_KEY)
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    dealer.link.post(b"hello")
    wait_until(lambda: readable(master))
    peer, _ = master.recv_multipart()

    master.send_multipart([peer, b"one", b"two"])
    master.send_multipart([peer, b"sound"])

    wait_until(lambda: dealer.bodies)
    assert dealer.bodies == [b"sound"]
    assert dealer.link.counts.malformed == 1


def test_a_post_to_a_peer_that_has_gone_reports_it_lost(wire: Wire) -> None:
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    dealer.link.post(b"hello")
    wait_until(lambda: wire.received)
    peer = wire.received[0][0]
    wire.stop(dealer.link)

    def post_and_look() -> bool:
        wire.router.post(peer, b"anybody?")
        return bool(wire.lost)

    wait_until(post_and_look)
    assert set(wire.lost) == {peer}
    assert wire.router.counts.dropped_lost >= 1


def test_a_peer_that_never_reads_loses_its_own_frames_only(wire: Wire) -> None:
    wire.open_router(LinkLimits(frame_bytes_max=100_000, peer_frames_max=10))
    wire.open_raw().send(b"I never read")
    wait_until(lambda: wire.received)
    peer = wire.received[0][0]

    for _ in range(300):
        wire.router.post(peer, bytes(100_000))
    wait_until(lambda: wire.router.counts.dropped_full > 0)

    wire.assert_serves()


def test_a_body_at_the_limit_passes(wire: Wire) -> None:
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)

    dealer.link.post(bytes(LIMITS.frame_bytes_max))

    wait_until(lambda: dealer.bodies)
    assert dealer.bodies == [bytes(LIMITS.frame_bytes_max)]


def test_a_body_over_the_receivers_limit_ends_the_senders_connection_only(wire: Wire) -> None:
    wire.open_router()
    greedy = wire.open_dealer(limits=LinkLimits(frame_bytes_max=LIMITS.frame_bytes_max + 1))
    wait_until(lambda: greedy.link.up)

    greedy.link.post(bytes(LIMITS.frame_bytes_max + 1))

    wait_until(lambda: greedy.changes == [True, False, True])
    assert wire.received == []
    wire.assert_serves()


def test_the_outbox_of_a_router_drops_and_counts_what_exceeds_it(wire: Wire) -> None:
    router = wire.open_router(LinkLimits(frame_bytes_max=1_000, outbox_frames_max=3))

    for _ in range(4):
        router.post(b"nobody", b"body")

    assert router.counts.dropped_full == 1


def test_the_outbox_of_a_dealer_drops_and_counts_what_exceeds_it(wire: Wire) -> None:
    wire.open_router()
    dealer = wire.open_dealer(limits=LinkLimits(frame_bytes_max=1_000, outbox_frames_max=3))
    wait_until(lambda: dealer.link.up)

    for body in bodies_of(4):
        dealer.link.post(body)

    wait_until(lambda: len(dealer.bodies) == 3)
    assert dealer.bodies == bodies_of(3)
    assert dealer.link.counts.dropped_full == 1


def test_drain_waits_until_all_is_handed_to_the_socket(wire: Wire) -> None:
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    for body in bodies_of(1_000):
        dealer.link.post(body)

    drained = dealer.link.drain(DEADLINE_S)

    assert drained
    assert dealer.link.counts.sent == 1_000


def test_a_dealer_finds_a_router_that_came_back_on_another_port(wire: Wire) -> None:
    first = wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    blocker = tcp.create_server(("127.0.0.1", 0))  # so that the new port is surely another one
    wire.stop(first)
    wait_until(lambda: dealer.changes == [True, False])

    second = wire.open_router()

    wait_until(lambda: dealer.changes == [True, False, True], deadline_s=3.0)
    dealer.link.post(b"hello again")
    wait_until(lambda: dealer.bodies == [b"hello again"])
    assert second.endpoint != first.endpoint
    blocker.close()


def test_a_new_connection_has_a_new_routing_id(wire: Wire) -> None:
    first = wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    dealer.link.post(b"first")
    wait_until(lambda: len(wire.received) == 1)
    wire.stop(first)
    wait_until(lambda: not dealer.link.up)
    wire.open_router()
    wait_until(lambda: dealer.link.up)

    dealer.link.post(b"second")

    wait_until(lambda: len(wire.received) == 2)
    assert wire.received[0][0] != wire.received[1][0]


def test_a_dealer_waits_for_a_master_that_nobody_knows_yet(wire: Wire) -> None:
    wire.endpoint = None
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.lookup_count >= 1)

    wire.open_router()

    wait_until(lambda: dealer.link.up, deadline_s=3.0)


def test_what_is_posted_without_a_connection_is_dropped_and_counted(wire: Wire) -> None:
    wire.endpoint = None
    dealer = wire.open_dealer()

    dealer.link.post(b"yesterday's heartbeat")

    assert dealer.link.counts.dropped_lost == 1
    wire.open_router()
    wait_until(lambda: dealer.link.up)
    wire.assert_serves()
    assert dealer.bodies == []


def test_a_router_takes_the_port_it_had_again(wire: Wire) -> None:
    first = wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    wire.stop(first)
    wait_until(lambda: not dealer.link.up)  # the socket is closed for good by then

    second = wire.open_router(endpoint=first.endpoint)

    assert second.endpoint == first.endpoint


def test_a_port_in_use_is_refused_naming_it_and_the_setting(wire: Wire) -> None:
    with tcp.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(RefusedInState) as refusal:
            wire.open_router(endpoint=endpoint)

    assert endpoint in refusal.value.message
    assert "master.worker_endpoint" in refusal.value.message
    assert refusal.value.exit_code == 6


@pytest.mark.parametrize("endpoint", ["127.0.0.1:5555", "tcp://192.0.2.1:5555"])
def test_an_endpoint_that_cannot_be_bound_is_a_wrong_setting(wire: Wire, endpoint: str) -> None:
    with pytest.raises(Usage, match=r"master\.worker_endpoint"):
        wire.open_router(endpoint=endpoint)


def test_an_address_that_is_none_ends_the_dealer_with_a_clear_error(wire: Wire) -> None:
    wire.endpoint = Endpoint("localhost", SERVER_KEY)
    dealer = Dealer(wire, WORKER_SECRET, LIMITS)

    with pytest.raises(Usage, match="tcp://HOST:PORT"):
        dealer.link.run()


def test_a_key_that_is_not_known_yet_waits_until_it_is(wire: Wire) -> None:
    wire.not_yet = True
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: wire.zap._waiting)

    wire.not_yet = False

    wait_until(lambda: dealer.link.up)
    assert (dealer.link._connection_count, wire.zap.refused) == (1, 0)


def test_who_comes_while_there_is_no_room_comes_again(wire: Wire) -> None:
    wire.has_room = False
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.lookup_count >= 2)
    assert not dealer.link.up

    wire.has_room = True

    wait_until(lambda: dealer.link.up)
    assert wire.zap.refused == 0


@pytest.mark.slow
def test_an_idle_wire_needs_next_to_no_processor(wire: Wire) -> None:
    wire.open_router()
    dealer = wire.open_dealer()
    wait_until(lambda: dealer.link.up)
    busy_before_s = time.process_time()

    gevent.sleep(3.0)

    assert time.process_time() - busy_before_s < 0.02
