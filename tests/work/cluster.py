"""A whole cluster in one process that only works: the simulation's, without faults and watchers.

Real are the turns and actors of master and workers, the codec on every hop, the warden's rules, the
statements on SQLite files, and what the task type `shell` prepares and collects. Played, as in the
simulation, are time, the network and the tasks' processes. Every wait is a constant, so the same
code does exactly the same work again.
"""

import json
import sqlite3
from pathlib import Path
from random import Random
from typing import Any, cast

from stenella.actors.base import Actor, Collect, Discard, Prepare, ToWarden
from stenella.actors.turn import Limits, Turn
from stenella.protocol.codec import digest, encode_frames
from stenella.protocol.commands import Submit
from stenella.storage.journal import Journal
from stenella.storage.queries import Queries
from stenella.storage.worker_journal import WorkerJournal
from stenella.tasks.shell import Shell
from stenella.workflow import definition as definitions
from stenella.workflow.definition import Definition

from ..simulation import world as worlds
from ..simulation.master_node import MasterNode
from ..simulation.network import Link, Network
from ..simulation.node import CLUSTER, Node
from ..simulation.options import Options
from ..simulation.parts import Parts
from ..simulation.worker_node import WorkerNode

SLOTS = 16
WORKERS = 2
OPTIONS = Options(
    seed=0, workers=WORKERS, slots=SLOTS, instances=0, leased=0.0, commit_ms_max=2, delay_ms_max=1
)
#: Of virtual time; a thousand tasks take some hundreds of milliseconds.
ENDS_MS_MAX = 600_000
STEP_MS = 20
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "LANG": "C.UTF-8"}


class Steady(Random):
    """No chance: every wait is as long as it may be, nothing unlikely happens."""

    def randint(self, a: int, b: int) -> int:
        return b

    def random(self) -> float:
        return 0.999

    def randrange(self, *args: Any) -> int:
        return 7


class Silent:
    """Stands for the simulation's checkers, trace and poison: looks at nothing, costs nothing."""

    def __getattr__(self, name: str) -> "Silent":
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        return None


class Ledger(Silent):
    """Counts what wardens write down."""

    records = 0

    def on_record(self, node: Any, record: Any) -> None:
        self.records += 1


class Plain:
    """Instead of the simulation's counted mailboxes: the actors themselves."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    @property
    def handled(self) -> int:
        """As the turn counts."""
        return sum(box.handled for box in self.turn.mailboxes.values())

    def offered(self, actor: str, message: Any, why_not: str) -> None:
        """Nothing that a node sends here is ever too much."""
        assert not why_not, (actor, message, why_not)

    def check(self) -> None:
        """Nobody looks."""


class Working(Node):
    """A node whose actors nobody stands before, and whose turns are counted."""

    turns = 0

    def rise(self, actors: dict[str, Actor], **numbers: Any) -> None:
        """As `Node.rise`, without what watches."""
        self.turn = self.world.parts.turn(self.name, actors, Limits(), **numbers)
        self.mailboxes = Plain(self.turn)  # type: ignore[assignment]
        self.alive = True
        self.wake()

    def _cycle(self) -> None:
        self.turns += 1
        super()._cycle()


class Master(Working, MasterNode):
    """The master."""


class Worker(Working, WorkerNode):
    """A worker; ``shell`` does the file work of attempts in ``folder``."""

    folder: Path
    warden_lines = warden_bytes = 0  # both ways

    def __init__(self, world: "Cluster", number: int) -> None:
        super().__init__(world, number)
        self.shell = Shell(ENVIRON)

    def perform(self, actor: str, effect: Any) -> None:
        """As in a world, and as a worker's process does it with files."""
        match effect:
            case ToWarden():
                self._count(effect.message)
            case Prepare():
                self.shell.prepare(effect.request, self._place(effect.request.dispatch_id))
            case Collect():
                place = self._place(effect.dispatch_id)
                self.shell.collect(
                    place, place / "log", effect.exit_code, effect.outputs, effect.required
                )
            case Discard():
                for file in self._place(effect.dispatch_id).iterdir():
                    file.unlink()
            case _:
                pass
        super().perform(actor, effect)

    def hear_warden(self, message: dict[str, Any]) -> None:
        """As in a world."""
        self._count(message)
        super().hear_warden(message)

    def _count(self, message: dict[str, Any]) -> None:
        self.warden_lines += 1
        self.warden_bytes += len(json.dumps(message)) + 1

    def _place(self, dispatch_id: int) -> Path:
        return self.folder / str(dispatch_id)


class Wire(Network):
    """Counts what goes each way between the master and its workers."""

    def __init__(self, world: "Cluster") -> None:
        super().__init__(world)
        self.frames = {b"w": 0, b"c": 0}
        self.bytes = {b"w": 0, b"c": 0}

    def _carry(self, link: Link, way: str, body: bytes) -> None:
        self.frames[link.guest.side] += 1
        self.bytes[link.guest.side] += len(body)
        super()._carry(link, way, body)


class Submitter:
    """A client that submits and does not ask what becomes of it."""

    side, name, life, alive = b"c", "client-1", 1, True

    def __init__(self, world: "Cluster") -> None:
        self.world = world
        self.link: Link | None = None
        self.numbers = 0

    def submit(self, definition: Definition) -> None:
        """One request, sent once: nothing is lost here."""
        body = definitions.encode(definition)
        self.numbers += 1
        request = Submit(
            request_id=f"submit-{self.numbers}",
            digest=digest(b"Submit", body),
            definition=body,
            params={},
        )
        [frame] = encode_frames(CLUSTER, self.name, "boot", [request])
        self.world.network.to_master(self, frame)

    def take_frame(self, peer: bytes, sender: str, body: bytes) -> None:
        """The answer."""
        return

    def link_changed(self, up: bool) -> None:
        """Once."""

    def when_awake(self, action: Any) -> None:
        """Always."""
        action()


class Cluster(worlds.World):
    """Master, two workers of 16 slots with their wardens, one client; its files in ``folder``."""

    def __init__(self, folder: Path, parts: Parts | None = None) -> None:
        super().__init__(OPTIONS, parts)
        self.close()  # the journals in memory
        self.random = Steady()
        self.ledger = Ledger()
        nobody: Any = Silent()
        self.checkers, self.trace, self.poison = cast(Any, self.ledger), nobody, nobody
        self.network = self.wire = Wire(self)
        self.head = self.master = Master(self)
        self.master.journal.close()
        self.master.journal = Journal.open(folder / "stenella.db")
        self.master.queries = Queries(self.master.journal.connection)
        self.hands = [Worker(self, number + 1) for number in range(WORKERS)]
        self.workers = list(self.hands)
        for worker in self.hands:
            worker.folder = folder / worker.name
            worker.folder.mkdir()
            worker.journal.close()
            worker.journal = WorkerJournal.open(folder / f"{worker.name}.db", full=False)
        self.client = Submitter(self)
        self.clients = []
        for connection in self.connections():
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def connections(self) -> list[sqlite3.Connection]:
        """Of the master's database and the workers' journals."""
        of_workers = [worker.journal.connection for worker in self.workers]
        return [self.master.journal.connection, *of_workers]

    def begin(self) -> None:
        """Everything up and known to each other."""
        self.master.start()
        for worker in self.workers:
            worker.start()
        self.network.dial(self.client)
        self.run(self.now_ms + 5_000)

    def finish(self) -> None:
        """Until every workflow has ended and nothing of it is under way."""
        assert self.master.turn is not None
        executor: Any = self.master.turn.actors["workflow_executor"]
        end_ms = self.now_ms + ENDS_MS_MAX
        while executor.live or self._taken() < self.client.numbers:
            assert self.now_ms < end_ms, f"{len(executor.live)} workflows have not ended"
            self.run(self.now_ms + STEP_MS)
        self.run(self.now_ms + 3_000)  # heartbeats: what is settled is forgotten

    def forget(self) -> None:
        """What the played world remembers of attempts; the cluster's own stays."""
        for worker in self.hands:
            machine = worker.machine
            assert machine.warden is not None
            for played in (machine.log, machine.spawns, machine.folders, machine.capped):
                played.clear()
            machine.warden.odd.clear()
            machine.warden.limits.clear()

    def _taken(self) -> int:
        [[count]] = self.connections()[0].execute("SELECT count(*) FROM workflow_instance")
        return int(count)
