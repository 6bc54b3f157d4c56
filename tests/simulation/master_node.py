"""The master of a world: journal in memory, routes for workers and clients."""

import sqlite3
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from stenella.actors.base import Leave, PeerLost, WardenGone, WatchWarden, Withdraw
from stenella.actors.master.role import MASTER_ROUTES, task_owner
from stenella.actors.suspects import Suspicion, letter, redeliveries
from stenella.protocol.codec import CommandDecoder
from stenella.protocol.commands import FromClient, FromWorker
from stenella.protocol.rows import Batch
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries

from .node import CLUSTER, Node
from .said import FAILOVER_MAX

if TYPE_CHECKING:
    from .world import World

_from_worker: CommandDecoder[FromWorker] = CommandDecoder(FromWorker)
_from_client: CommandDecoder[FromClient] = CommandDecoder(FromClient)

WATCH_MS = 200  # between two looks for what is still there


@cache
def empty_database() -> bytes:
    """Made once: the migrations take longer than many a world."""
    made = Journal.open(None)
    image = made.connection.serialize()
    made.close()
    return image


def fresh_journal(kind: type[Journal]) -> Journal:
    """A journal, the product's unless a bug is planted, over a copy of the empty database."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(empty_database())
    return kind(connection, None)


class MasterNode(Node):
    """All lives of the master over one database."""

    def __init__(self, world: "World") -> None:
        super().__init__(world, "master")
        self.journal = fresh_journal(world.parts.journal)
        self.queries = Queries(self.journal.connection)
        self.watching: dict[str, WatchWarden] = {}

    def start(self) -> None:
        """Begin a life: the next epoch."""
        boot = self.new_boot()
        self.watching = {}
        started = self.journal.start(boot, self.life, self.wall_ms(), CLUSTER)
        actors = self.world.parts.master_actors(
            master=started.master,
            epoch=started.epoch,
            endpoint="",
            pid=self.life,
            terms=self.world.terms(),
            kill_grace_ms=self.world.options.kill_grace_ms,
            failover_max=FAILOVER_MAX,
        )
        actors["dispatcher"].age_ms = self.world.options.age_ms  # type: ignore[attr-defined]
        guilty = self.world.parts.convicted(self.suspects)
        self.journal.quarantine([letter(suspect, self.wall_ms()) for suspect in guilty])
        keys = [suspect.key for suspect in guilty]
        self.suspects = [s for s in self.suspects if s.key not in keys]
        self.rise(
            actors,
            commit_no=started.commit_no,
            counters=msgspec.structs.replace(started.counters),
            recovering=True,
            suspicion=Suspicion(
                [suspect.key for suspect in self.suspects],
                *self.journal.quarantined(),
                instance_of=task_owner(actors),
            ),
            redeliver=redeliveries(self.journal.to_redeliver()),
        )

    def letters(self) -> list[int]:
        """Dead letters of poison."""
        rows = self.journal.connection.execute("SELECT id FROM dead_letter WHERE key != ''")
        return [number for (number,) in rows]

    def gone(self) -> None:
        """Its connections break."""
        self.world.network.break_all()

    def network_lost(self) -> None:
        """Every worker and client gives it up."""
        self.world.network.break_all()

    def take_frame(self, peer: bytes, sender: str, body: bytes) -> None:
        """A frame from a worker or a client."""
        decoder: CommandDecoder[Any] = _from_worker if peer[:1] == b"w" else _from_client
        self.take_body(peer, sender, body, decoder, MASTER_ROUTES)

    def lost_peer(self, peer: bytes) -> None:
        """A frame was posted to a connection that is gone."""
        self.offer("registry", PeerLost(peer))

    def commit(self, batch: Batch) -> None:
        """Write, and let the checkers look."""
        self.journal.commit(batch)
        self.world.checkers.on_master_commit()

    def reconnect(self) -> None:
        """After a lost answer."""
        self.journal.reconnect()

    def load(self, name: str, key: tuple[Any, ...]) -> list[Any]:
        """Rows for an actor."""
        return self.journal.load(name, key)

    def ask(self, name: str, key: tuple[Any, ...]) -> Any:
        """A document for people."""
        return self.queries.ask(name, key)

    def post(self, peer: bytes, body: bytes) -> None:
        """To a worker's or a client's connection; to nobody if nobody asked."""
        if peer:
            self.world.network.to_guest(peer, body)

    def perform(self, actor: str, effect: Any) -> None:
        """The effects that only a master has."""
        match effect:
            case WatchWarden():
                self.watch(effect)
            case Withdraw():
                return
            case Leave():
                self.leave()
            case _:
                raise AssertionError(effect)

    def watch(self, asked: WatchWarden) -> None:
        """As `runtime/warden_watch.py`: the warden, and then what it left behind."""
        self.watching[asked.worker] = asked
        self._look_at(asked)

    def _look_at(self, asked: WatchWarden) -> None:
        if self.watching.get(asked.worker) is not asked:
            return
        (worker,) = (w for w in self.world.workers if w.name == asked.worker)
        machine = worker.machine
        warden = machine.warden
        there = warden is not None and (warden.pid, warden.start_ticks) == (
            asked.pid,
            asked.start_ticks,
        )
        if there or machine.processes:
            self.later(WATCH_MS, lambda: self._look_at(asked))
        else:
            self.offer("registry", WardenGone(asked.worker, asked.pid, asked.start_ticks))
