"""A worker as a process: journal, link to the master, warden, task files, signals."""

import logging
import os
import secrets
import select
import socket
from pathlib import Path
from typing import Any

import gevent
import zmq
from gevent.threadpool import ThreadPool

from .. import __version__
from ..actors.base import (
    Collect,
    Discard,
    Leave,
    LinkChanged,
    Prepare,
    ReadLog,
    ToWarden,
    Vitals,
    WardenSaid,
)
from ..actors.suspects import CRASHES_MAX, JOURNAL, Suspicion, convicted
from ..actors.turn import Limits, Turn
from ..actors.worker.identity import Identity
from ..actors.worker.role import MASTER_PEER, WORKER_ROUTES, worker_actors
from ..home import endpoints, keys, locks
from ..home.keys import KeyPair
from ..home.layout import Home, WorkerHome
from ..home.settings import Settings
from ..protocol.codec import CommandDecoder
from ..protocol.commands import ToWorker
from ..protocol.errors import RefusedInState, Unreachable
from ..protocol.launch import INSTANT_TYPES
from ..protocol.rows import Batch, CommitTransient, CommitUnknown, JournalAttempt, JournalNode
from ..storage.worker_journal import JournalDamaged, WorkerJournal, set_aside
from ..tasks.types import offered
from . import machine, suspects_file
from .attempt_files import AttemptFiles
from .link import DealerLink, Endpoint
from .node import EXIT_AGAIN, EXIT_LATER, EXIT_OK, Node, clock_us, in_pool, link_limits
from .warden_link import WardenLink

log = logging.getLogger(__name__)

#: Between two looks for the master of a home that has none yet.
LOOK_S = 0.1
#: For `leave` and the last frames to get out at a clean end.
DRAIN_S = 1.0
LAST_FRAMES_S = 0.05

_to_worker: CommandDecoder[ToWorker] = CommandDecoder(ToWorker)


def run_worker(
    home: Home,
    settings: Settings,
    number: int,
    slots: int | None,
    groups: tuple[str, ...],
    *,
    joins: tuple[Path, str | None] | None = None,
    supervised: bool = False,
) -> int:
    """Be worker ``number`` of ``home`` until told to leave; the exit code.

    ``joins``: the file of an issued key, and the address of its master if that is not the one in
    the key; later lives know both.
    ``supervised``: leave when standard input ends, that is with the supervisor.

    Raises RefusedInState (another process is this worker, newer journal), NotAllowed, Usage.
    """
    place = home.worker(number)
    place.create()
    lock = locks.hold(place.lock, f"worker {number}", "end it first, or give another --number")
    try:
        if joins is not None:
            keys.join(home, number, *joins)
        return _live(home, settings, place, slots, groups, supervised)
    except RefusedInState as error:
        if not (supervised and error.passes):
            raise
        log.error("%s; trying again", error.message)
        return EXIT_LATER
    finally:
        lock.release()


def _live(
    home: Home,
    settings: Settings,
    place: WorkerHome,
    slots: int | None,
    groups: tuple[str, ...],
    supervised: bool,
) -> int:
    storage = ThreadPool(1)
    journal = None
    try:
        pair = keys.worker_keys(home, place.number)
        full = settings.worker.journal_sync == "full"
        journal = in_pool(storage, _open_journal, place, full)
        cluster = pair.cluster or _cluster(home, journal, supervised)
        journal, node_row = in_pool(storage, _begin_life, journal, place, full, cluster)
        worker = Worker(home, settings, place, pair, storage, journal, node_row, slots, groups)
        attempts: list[JournalAttempt] = in_pool(storage, journal.load, "attempts")
        worker.files.clear_away([row.dispatch_id for row in attempts])
        return worker.run(supervised)
    finally:
        if journal is not None:
            in_pool(storage, journal.close)


def _open_journal(place: WorkerHome, full: bool) -> WorkerJournal:
    """The journal. One that is damaged, or whose rows crash whoever reads them, is set aside, and
    what runs is then killed as unknown.
    """
    try:
        journal = WorkerJournal.open(place.journal, full)
    except JournalDamaged as error:
        log.error("journal set aside as %s: %s", set_aside(place.journal), error)
        return WorkerJournal.open(place.journal, full)
    suspects = suspects_file.read(place.suspects)
    if JOURNAL not in [suspect.key for suspect in convicted(suspects)]:
        return journal
    journal.close()
    aside = set_aside(place.journal)
    log.error("journal set aside as %s: it crashed this worker %d times", aside, CRASHES_MAX)
    suspects_file.keep(place.suspects, [s for s in suspects if s.key != JOURNAL])
    return WorkerJournal.open(place.journal, full)


def _cluster(home: Home, journal: WorkerJournal, supervised: bool) -> str:
    """The cluster's id: the master's, else the journal's; while there is neither, wait."""
    told = supervised
    while (master := endpoints.read(home)) is None:
        if rows := journal.load("node"):
            return str(rows[0].cluster)
        if not told:
            log.info("waiting for a master of %s; one elsewhere is joined with --key", home.root)
            told = True
        if supervised and select.select([0], [], [], 0)[0]:
            raise Unreachable("the supervisor ended before there was a master")
        gevent.sleep(LOOK_S)
    return master.cluster


def _begin_life(
    journal: WorkerJournal, place: WorkerHome, full: bool, cluster: str
) -> tuple[WorkerJournal, JournalNode]:
    """Count this life in the journal. One of another cluster, or of another folder, is set aside.

    What a copied folder remembers is another worker's: with its journal we would report attempts
    lost that run over there, and its warden's log would have ours kill them.
    """
    rows = journal.load("node")
    inode = place.folder.stat().st_ino
    is_copy = bool(rows) and rows[0].place != inode
    if rows and (is_copy or rows[0].cluster != cluster):
        journal.close()
        what = "a copied folder" if is_copy else "another cluster"
        log.error("journal of %s set aside as %s", what, set_aside(place.journal))
        journal, rows = WorkerJournal.open(place.journal, full), []
        if is_copy and place.warden_log.exists():
            log.error("warden's log set aside as %s", set_aside(place.warden_log))
    new = JournalNode(journal=secrets.token_hex(8), cluster=cluster, life=0, epoch=0, place=inode)
    node: JournalNode = rows[0] if rows else new
    node.life += 1
    image = tuple(getattr(node, name) for name in JournalNode.__struct_fields__)
    try:
        journal.commit(Batch(commit_no=0, put={JournalNode: [image]}))
    except (CommitTransient, CommitUnknown) as error:
        refused = RefusedInState(f"{place.journal} cannot be written: {error}")
        refused.passes = True
        raise refused from error
    return journal, node


class Worker:
    """Wires an opened journal, the link, the warden and the actors together."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        place: WorkerHome,
        pair: KeyPair,
        storage: ThreadPool,
        journal: WorkerJournal,
        row: JournalNode,
        slots: int | None,
        groups: tuple[str, ...],
    ) -> None:
        self.home, self.place, self.settings = home, place, settings
        self.cluster = row.cluster
        types = offered()
        marks = f"{row.cluster}.{pair.name}"
        self.files = AttemptFiles(place, settings.worker, types, marks, self._offer)
        self.pair = pair
        identity = Identity(
            worker=pair.name,
            boot=secrets.token_hex(8),
            life=row.life,
            kernel_boot=machine.kernel_boot(),
            journal=row.journal,
            cluster=row.cluster,
            groups=list(groups or settings.worker.groups),
            slots=slots or settings.worker.slot_count(),
            types=sorted({*types, *INSTANT_TYPES}),
            version=__version__,
            pid=os.getpid(),
            host=socket.gethostname(),
            machine="" if pair.is_issued else machine.here(),  # one of elsewhere has a lease
            place=row.place,
        )
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.link = DealerLink(
            self.context,
            resolve=self._resolve,
            identity=f"{identity.worker}.{identity.boot}".encode(),
            public_key=pair.public,
            secret_key=pair.secret,
            deliver=self._deliver,
            changed=lambda up: self.node.offer("membership", LinkChanged(up)),
            gives_up=pair.is_issued,
            limits=link_limits(settings),
        )
        self.warden = self._warden_link(identity)
        self.node = Node(
            self._turn(identity, row.epoch),
            cluster=row.cluster,
            sender=identity.worker,
            boot=identity.boot,
            storage=storage,
            commit=journal.commit,
            reconnect=journal.reconnect,
            load=journal.load,
            ask=_no_questions,
            post=lambda _peer, body: self.link.post(body),
            perform=self._perform,
            look=self._look,
            refuses=False,
            suspects=place.suspects,
        )
        log.info(
            "worker=%s life=%d pid=%d slots=%d",
            identity.worker,
            identity.life,
            identity.pid,
            identity.slots,
        )

    def run(self, supervised: bool) -> int:
        """Live until told to leave; running tasks stay with the warden."""
        self.node.heed_signals(supervised)
        try:
            pumps = [self.link.run, self._run_warden_link, *self.files.pumps()]
            return self.node.run(pumps)
        finally:
            self.link.close()
            self.context.destroy(linger=0)
            self.files.close()

    def _warden_link(self, identity: Identity) -> WardenLink:
        return WardenLink(
            self.place.folder,
            identity.boot,
            identity.life,
            identity.worker,
            identity.journal,
            self._hear_warden,
        )

    def _turn(self, identity: Identity, epoch: int) -> Turn:
        node = self.settings.node
        actors = worker_actors(
            identity,
            epoch=epoch,
            heartbeat_ms=int(self.settings.cluster.heartbeat_s * 1_000),
            kill_grace_ms=int(self.settings.task.kill_grace_s * 1_000),
            processes_max=self.settings.worker.processes_max,
        )
        limits = Limits(node.turn_messages, node.mailbox_max, node.ahead_bytes)
        suspects = suspects_file.read(self.place.suspects)
        guilty = [suspect.key for suspect in convicted(suspects)]
        former = [suspect.key for suspect in suspects if suspect.key not in guilty]
        suspicion = Suspicion(former, guilty, journal=True)
        return Turn(identity.worker, actors, limits, clock_us=clock_us, suspicion=suspicion)

    # --- what arrives ---------------------------------------------------------------------------

    def _resolve(self) -> Endpoint | None:
        if self.pair.is_issued:
            return Endpoint(self.pair.address, self.pair.server)
        master = endpoints.read(self.home)
        if master is None:
            return None
        if master.cluster != self.cluster:
            # We began before it and believed the journal; the database was made anew or restored.
            log.error("the home has another cluster now=%s was=%s", master.cluster, self.cluster)
            self.node.leave(EXIT_AGAIN)
            return None
        return Endpoint(master.worker, master.server_key.encode())

    def _deliver(self, body: bytes) -> None:
        self.node.take_frame(MASTER_PEER, "master", body, _to_worker, WORKER_ROUTES)

    def _offer(self, actor: str, message: Any) -> None:
        self.node.offer(actor, message)

    def _hear_warden(self, message: dict[str, Any]) -> None:
        self.node.offer("executor", WardenSaid(message))

    def _run_warden_link(self) -> None:
        self.warden.run()

    def _look(self, late_ms: int) -> None:
        """At the machine, for the next heartbeat, and at the socket."""
        least = self.settings.worker.disk_free_min_bytes
        disk = os.statvfs(self.place.folder)
        vitals = Vitals(
            load=os.getloadavg()[0],
            memory_free_bytes=os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            hub_lag_ms=late_ms,
            no_disk=disk.f_bavail * disk.f_frsize < least,
        )
        self.node.offer("membership", vitals)
        self.link.nudge()
        self.warden.nudge()
        self.files.look()

    # --- what is performed ----------------------------------------------------------------------

    def _perform(self, actor: str, effect: Any) -> None:
        match effect:
            case ToWarden():
                self._tell_warden(effect.message, effect.only)
            case Prepare() | Collect() | Discard() | ReadLog():
                self.files.perform(effect)
            case Leave():
                gevent.spawn(self._leave, effect)
            case _:
                raise AssertionError(effect)

    def _tell_warden(self, message: dict[str, Any], only: tuple[int, int] | None) -> None:
        if message["do"] == "start":
            limit = self.settings.worker.log_bytes_max
            message = message | {"log": self.files.log(message["log"]), "log_bytes_max": limit}
        self.warden.post(message, only)

    def _leave(self, effect: Leave) -> None:
        if effect.end_warden:
            self.warden.post({"do": "leave"})
        self.warden.close()
        self.link.drain(DRAIN_S)
        gevent.sleep(LAST_FRAMES_S)
        log.info("worker leaves reason=%s", effect.reason)
        self.node.leave(EXIT_AGAIN if effect.again else EXIT_OK)


def _no_questions(name: str, key: tuple[Any, ...]) -> None:
    """People ask the master."""
    raise AssertionError((name, key))
