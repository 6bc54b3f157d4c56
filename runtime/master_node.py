"""A master as a process: database, links for workers and clients, actors, signals."""

import logging
import os
import secrets
from typing import Any

import gevent
import msgspec
import zmq
from gevent.threadpool import ThreadPool

from ..actors.base import Leave, PeerLost, WatchWarden, Withdraw
from ..actors.master.gateway import AGAIN
from ..actors.master.liveness import Terms
from ..actors.master.role import MASTER_ROUTES, master_actors, task_owner
from ..actors.suspects import Suspicion, convicted, letter, redeliveries
from ..actors.turn import Limits, Turn
from ..home import endpoints, keys, locks
from ..home.endpoints import MasterEndpoints
from ..home.layout import Home
from ..home.settings import Settings
from ..protocol.codec import CommandDecoder, ProtocolError, decode_header, encode_frames
from ..protocol.commands import (
    OBSERVER_MAY,
    OBSERVER_MAY_DEBUG,
    Command,
    DebugRequest,
    FromClient,
    FromWorker,
    Refused,
    WorkerRefused,
)
from ..protocol.errors import NotAllowed, RefusedInState
from ..storage.journal import Journal, MasterStart
from ..storage.queries import Queries
from . import descriptors, machine, suspects_file
from .key_table import CLIENTS, WORKERS, KeyTable
from .link import RouterLink
from .node import (
    EXIT_AGAIN,
    EXIT_LATER,
    EXIT_OK,
    Node,
    clock_us,
    in_pool,
    link_limits,
    wall_ms,
)
from .warden_watch import WardenWatch
from .zap import ZapServer

log = logging.getLogger(__name__)

#: For the last frames of a clean end to reach the sockets, and the sockets' peers.
DRAIN_S = 1.0
#: libzmq sends what it holds from a thread of its own; closed at once, the last answer is lost.
LAST_FRAMES_S = 0.05

REVOKED = "this key was revoked: whoever runs the cluster can issue another (`stenella key new`)"

_from_worker: CommandDecoder[FromWorker] = CommandDecoder(FromWorker)
_from_client: CommandDecoder[FromClient] = CommandDecoder(FromClient)


def run_master(
    home: Home, settings: Settings, linger_s: float | None = None, *, supervised: bool = False
) -> int:
    """Be the master of ``home`` until told to leave; the exit code.

    ``linger_s``: leave by itself after so long without live instance and without client.
    ``supervised``: leave when standard input ends, that is with the supervisor.

    Raises RefusedInState (home held, port in use, schema newer or damaged), NotAllowed, Usage.
    """
    lock = locks.hold(home.master_lock, "a master")
    try:
        while True:
            try:
                exit_code = _live(home, settings, linger_s, supervised)
            except RefusedInState as error:
                if not (supervised and error.passes):
                    raise
                log.error("%s; trying again", error.message)
                return EXIT_LATER
            if exit_code != EXIT_AGAIN:
                return exit_code
            log.info("another life, from the rows")
    finally:
        lock.release()


def _live(home: Home, settings: Settings, linger_s: float | None, supervised: bool) -> int:
    """One life over the database, from its epoch to its end."""
    storage = ThreadPool(1)
    journal = in_pool(storage, Journal.open, home.database)
    try:
        boot = secrets.token_hex(8)
        cluster = secrets.token_hex(8)  # if the database has none yet
        started = in_pool(storage, journal.start, boot, os.getpid(), wall_ms(), cluster)
        in_pool(storage, _quarantine, home, journal)
        master = Master(home, settings, storage, journal, started, boot, linger_s)
        return master.run(supervised)
    finally:
        in_pool(storage, journal.close)


def _quarantine(home: Home, journal: Journal) -> None:
    """What crashed the master twice becomes a dead letter before anything is taken."""
    suspects = suspects_file.read(home.suspects)
    guilty = convicted(suspects)
    if not guilty:
        return
    journal.quarantine([letter(suspect, wall_ms()) for suspect in guilty])
    keys = {suspect.key for suspect in guilty}
    suspects_file.keep(home.suspects, [s for s in suspects if s.key not in keys])
    for suspect in guilty:
        log.error("%s is not taken again: see `stenella debug dead-letters`", suspect.key)


class Master:
    """Wires a started journal, the links and the actors together."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        storage: ThreadPool,
        journal: Journal,
        started: MasterStart,
        boot: str,
        linger_s: float | None,
    ) -> None:
        self.home, self.journal = home, journal
        self.epoch = started.epoch
        self.queries = Queries.open(home.database)
        files = descriptors.raise_limit()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        server = keys.server_keys(home)
        self.keys = KeyTable(home)
        self.zap = ZapServer(self.context, self._role_of, descriptors.Room(files))
        self.limits = link_limits(settings)
        last = endpoints.remembered(home)
        self.clients = self._bind(
            "master.client_endpoint",
            endpoints.to_try(settings.master.client_endpoint, last.client if last else None),
            server.secret,
        )
        self.workers = self._bind(
            "master.worker_endpoint",
            endpoints.to_try(settings.master.worker_endpoint, last.worker if last else None),
            server.secret,
        )
        self.announced = MasterEndpoints(
            id=started.master,
            pid=os.getpid(),
            client=self.clients.endpoint,
            worker=self.workers.endpoint,
            server_key=server.public.decode(),
            cluster=started.cluster,
        )
        self.node = Node(
            self._turn(settings, started, linger_s),
            cluster=started.cluster,
            sender="master",
            boot=boot,
            storage=storage,
            commit=journal.commit,
            reconnect=journal.reconnect,
            load=journal.load,
            ask=self.queries.ask,
            post=self._post,
            perform=self._perform,
            look=self._look,
            refuses=True,
            suspects=home.suspects,
        )
        self.watch = WardenWatch(started.cluster, lambda gone: self.node.offer("registry", gone))
        log.info("master epoch=%d pid=%d cluster=%s", started.epoch, os.getpid(), started.cluster)

    def run(self, supervised: bool) -> int:
        """Announce the endpoints, live, take them back."""
        self.node.heed_signals(supervised)
        endpoints.write(self.home, self.announced)
        try:
            pumps = [self.zap.run, self.clients.run, self.workers.run]
            return self.node.run(pumps)
        finally:
            endpoints.remove(self.home)
            self.workers.close()
            self.clients.close()
            self.zap.close()
            self.context.destroy(linger=0)
            self.queries.close()  # the journal's close is then the last, and folds the log in

    def _bind(self, setting: str, candidates: tuple[str, ...], secret: bytes) -> RouterLink:
        """The first endpoint that is free; a remembered port may be taken by now."""
        is_worker_side = setting == "master.worker_endpoint"
        for endpoint in candidates:
            try:
                return RouterLink(
                    self.context,
                    endpoint=endpoint,
                    setting=setting,
                    door=WORKERS if is_worker_side else CLIENTS,
                    secret_key=secret,
                    deliver=self._from_worker if is_worker_side else self._from_client,
                    lost=self._lost,
                    limits=self.limits,
                )
            except RefusedInState:
                if endpoint == candidates[-1]:
                    raise
        raise AssertionError(candidates)

    def _turn(self, settings: Settings, started: MasterStart, linger_s: float | None) -> Turn:
        node = settings.node
        actors = master_actors(
            master=started.master,
            epoch=started.epoch,
            endpoint=self.clients.endpoint,
            pid=os.getpid(),
            terms=Terms(
                heartbeat_ms=int(settings.cluster.heartbeat_s * 1_000),
                lease_ms=int(settings.cluster.lease_s * 1_000),
                fence_grace_ms=int(settings.cluster.fence_grace_s * 1_000),
                machine=machine.here(),
            ),
            kill_grace_ms=int(settings.task.kill_grace_s * 1_000),
            failover_max=settings.task.failover_max,
            linger_ms=None if linger_s is None else int(linger_s * 1_000),
        )
        suspects = suspects_file.read(self.home.suspects)
        return Turn(
            "master",
            actors,
            Limits(node.turn_messages, node.mailbox_max, node.ahead_bytes),
            commit_no=started.commit_no,
            counters=msgspec.structs.replace(started.counters),
            recovering=True,
            clock_us=clock_us,
            suspicion=Suspicion(
                [suspect.key for suspect in suspects],
                *self.journal.quarantined(),
                instance_of=task_owner(actors),
            ),
            redeliver=redeliveries(self.journal.to_redeliver()),
        )

    def _role_of(self, public_key: bytes, door: str) -> str | None:
        user_id = self.keys.admit(public_key, door)
        if user_id is None:
            self.node.turn.wire.reject("key")
        return user_id

    def _from_worker(self, peer: bytes, user_id: str, body: bytes) -> None:
        peer = b"w" + peer
        holder = self.keys.holder(peer, user_id)
        if holder is None:
            self._turn_away(peer, body)
            return
        self.node.take_frame(peer, holder.name, body, _from_worker, MASTER_ROUTES)

    def _from_client(self, peer: bytes, user_id: str, body: bytes) -> None:
        peer = b"c" + peer
        holder = self.keys.holder(peer, user_id)
        if holder is None:
            self._turn_away(peer, body)
            return
        not_for = _not_for_an_observer if holder.role == "observer" else None
        self.node.take_frame(peer, holder.name, body, _from_client, MASTER_ROUTES, not_for)

    def _turn_away(self, peer: bytes, body: bytes) -> None:
        """Its key was revoked while it was connected: it is told so, and nothing else."""
        self.node.turn.wire.reject("key")
        is_worker = peer[:1] == b"w"
        answers: list[Command]
        try:
            frame = decode_header(body, self.node.cluster)
            asked = [] if is_worker else _from_client.decode(frame.commands)[0]
        except ProtocolError:
            return
        if is_worker:
            boot, reason = frame.boot, "key_revoked"
            answers = [
                WorkerRefused(epoch=self.epoch, to_boot=boot, reason=reason, message=REVOKED)
            ]
        else:
            code = NotAllowed.exit_code
            answers = [
                Refused(
                    request_id=r.request_id, exit_code=code, code="key_revoked", message=REVOKED
                )
                for r in asked
            ]
        link = self.workers if is_worker else self.clients
        for answer in encode_frames(self.node.cluster, "master", self.node.boot, answers):
            link.post(peer[1:], answer)

    def _look(self, _late_ms: int) -> None:
        """At the keys, which may have been revoked, and at the sockets."""
        for peer in self.keys.look():
            if peer[:1] == b"w":
                self.node.offer("registry", PeerLost(peer))
        for pump in (self.zap, self.clients, self.workers):
            pump.nudge()

    def _lost(self, peer: bytes) -> None:
        self.node.offer("registry", PeerLost(b"w" + peer))

    def _post(self, peer: bytes, body: bytes) -> None:
        """A peer is known by its side's letter and its routing id there; none: nobody asked."""
        if not peer or peer in self.keys.cut:
            return
        link = self.workers if peer[:1] == b"w" else self.clients
        link.post(peer[1:], body)

    def _perform(self, actor: str, effect: Any) -> None:
        match effect:
            case WatchWarden():
                self.watch.watch(effect)
            case Withdraw():
                endpoints.remove(self.home)
            case Leave():
                gevent.spawn(self._leave, effect.reason)
            case _:
                raise AssertionError(effect)

    def _leave(self, reason: str) -> None:
        """After the answer to whoever asked for it has left."""
        self.clients.drain(DRAIN_S)
        self.workers.drain(DRAIN_S)
        gevent.sleep(LAST_FRAMES_S)
        log.info("master leaves reason=%s", reason)
        self.node.leave(EXIT_AGAIN if reason == AGAIN else EXIT_OK)


def _not_for_an_observer(command: Command) -> str:
    """Why an observer may not ask that; empty: it may."""
    if isinstance(command, DebugRequest) and command.kind not in OBSERVER_MAY_DEBUG:
        kind = command.kind[:40]
        return f"an observer's key may read, and debug {kind} looks inside: use a client's key"
    if isinstance(command, OBSERVER_MAY):
        return ""
    name = type(command).__name__
    return f"an observer's key may read, and {name} changes something: use a client's key"
