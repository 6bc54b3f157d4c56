"""A worker of a world: its journal in memory, its machine, the line to its warden."""

import json
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from stenella.actors.base import (
    Collect,
    Collected,
    Discard,
    Leave,
    LinkChanged,
    LogPage,
    Prepare,
    Prepared,
    ReadLog,
    ToWarden,
    Vitals,
    WardenSaid,
)
from stenella.actors.suspects import Suspicion
from stenella.actors.worker.identity import Identity
from stenella.actors.worker.role import MASTER_PEER, WORKER_ROUTES
from stenella.protocol.codec import CommandDecoder
from stenella.protocol.commands import TaskExecuteRequest, ToWorker
from stenella.protocol.launch import Collection, Launch
from stenella.protocol.rows import Batch, JournalNode
from stenella.storage.worker_journal import WorkerJournal

from .machine import OUTPUT, PROCESSES_MAX, Machine
from .network import Link
from .node import CLUSTER, HEARTBEAT_MS, Node
from .warden_line import WardenLine

if TYPE_CHECKING:
    from .world import World

_to_worker: CommandDecoder[ToWorker] = CommandDecoder(ToWorker)
#: People's orders give a worker at most so many slots more than it was started with.
MORE_SLOTS = 2
LOG = b"what the task wrote\n"
AWAY_MS_MAX = 60_000  # of a worker that a later `up` has again
UNSYNCED_MAX = 20  # commits that a power cut may take; in truth all since the last checkpoint


class WorkerNode(Node):
    """All lives of one worker over one journal, on one machine."""

    side = b"w"
    is_twin = False

    def __init__(self, world: "World", number: int) -> None:
        super().__init__(world, f"worker-{number}")
        self.journal = WorkerJournal.open(None, full=False)
        self.slots = world.options.slots
        # Somebody may give it more while it runs.
        self.slots_max = self.slots + (MORE_SLOTS if world.options.orders_ms else 0)
        self.groups = ["default", "big"] if number == 1 else ["default"]
        self.no_disk = False
        self.leased = world.random.random() < world.options.leased
        self.lost = False  # for good
        self.machine = Machine(world, self)
        self.unsynced: deque[bytes] = deque(maxlen=UNSYNCED_MAX)  # former images of the journal
        self.link: Link | None = None
        self.line: WardenLine | None = None

    def start(self) -> None:
        """Begin a life, counted in the journal first."""
        if self.alive or self.lost:
            return
        boot = self.new_boot()
        rows = self.journal.load("node")
        node = rows[0] if rows else JournalNode(journal=boot, cluster=CLUSTER, life=0, epoch=0)
        node.life += 1
        image = msgspec.structs.astuple(node)
        self.journal.commit(Batch(commit_no=0, put={JournalNode: [image]}))
        identity = Identity(
            worker=self.name,
            boot=boot,
            life=node.life,
            kernel_boot=self.machine.kernel_boot,
            journal=node.journal,
            cluster=CLUSTER,
            groups=self.groups,
            slots=self.slots,
            types=["noop", "shell"],
            version="0",
            pid=self.life,
            host=self.name,
            machine=self.machine.seen_from_master,
        )
        actors = self.world.parts.worker_actors(
            identity,
            epoch=node.epoch,
            heartbeat_ms=HEARTBEAT_MS,
            kill_grace_ms=self.world.options.kill_grace_ms,
            processes_max=PROCESSES_MAX,
        )
        guilty = [suspect.key for suspect in self.world.parts.convicted(self.suspects)]
        former = [s.key for s in self.suspects if s.key not in guilty]
        self.rise(actors, suspicion=Suspicion(former, guilty))
        self.measure(self.no_disk)
        self.line = WardenLine(self, boot, node.journal, node.life)
        self.line.connect()
        self.world.network.dial(self)

    def measure(self, no_disk: bool) -> None:
        """Its disk has little room, or enough again."""
        self.no_disk = no_disk
        if self.alive:
            self.offer("membership", Vitals(0.0, 0, 0, 0, no_disk=no_disk))

    def gone(self) -> None:
        """Its connections break; the warden and the tasks go on."""
        self.world.network.guest_gone(self)
        if self.line is not None:
            self.line.close()
            self.line = None

    def network_lost(self) -> None:
        """The master gives it up."""
        self.world.network.give_up(self)

    def reboot(self, power_cut: bool = False) -> None:
        """The whole machine goes down and comes up again; a power cut takes what was not synced."""
        if self.leased:
            self._lose_machine(power_cut)
            return
        self.world.boots_here += 1  # the master's own machine, with all that is on it
        for worker in self.world.workers:
            if not worker.leased:
                worker._lose_machine(power_cut)
        self.world.master.crash("reboot")

    def lose(self, whole: bool) -> None:
        """It is never started again; ``whole``: its machine neither, else its warden lives on."""
        self.note("is lost", "with its machine" if whole else "")
        self.lost = True
        if whole:
            self.machine.reboot()
        self.crash("lost")

    def _may_be_dismissed(self) -> None:
        """The next `up` is with fewer workers; a later one has it again, or none does.

        Not of the one that has all groups.
        """
        dismissed = self.world.weather.dismissed
        if self is self.world.workers[0] or not dismissed:
            return
        if self.world.random.random() >= dismissed:
            return
        self.note("is dismissed")
        self.lost = True

        def engage() -> None:
            self.lost = False
            self.start()

        if self.world.random.random() < 0.5:
            self.world.after(self.world.random.randint(1, AWAY_MS_MAX), engage)

    def _lose_machine(self, power_cut: bool) -> None:
        self.note("reboots", "power cut" if power_cut else "")
        self.machine.reboot()
        self.crash("reboot")
        if power_cut and self.unsynced:
            lost = self.world.random.randint(0, len(self.unsynced) - 1)
            self.journal.connection.deserialize(self.unsynced[lost])
            self.world.checkers.on_power_cut(self)
            self.machine.lose_log()
        self.unsynced.clear()

    # --- what arrives -----------------------------------------------------------------------------

    def take_frame(self, peer: bytes, sender: str, body: bytes) -> None:
        """A frame from the master."""
        self.take_body(MASTER_PEER, sender, body, _to_worker, WORKER_ROUTES)

    def link_changed(self, up: bool) -> None:
        """The connection to the master is there, or gone."""
        self.offer("membership", LinkChanged(up))

    def hear_warden(self, message: dict[str, Any]) -> None:
        """The warden's word."""
        self.note("hears", message)
        if message["say"] == "records":
            self.world.checkers.on_hello_answered(self)
        self.offer("executor", WardenSaid(message))

    # --- what it does -----------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Write, and let the checkers look."""
        if self.world.options.power_cut:
            self.unsynced.append(self.journal.connection.serialize())
        self.journal.commit(batch)
        self.world.checkers.on_worker_commit(self, batch)

    def load(self, name: str, key: tuple[Any, ...]) -> list[Any]:
        """Rows for an actor."""
        return self.journal.load(name, key)

    def post(self, peer: bytes, body: bytes) -> None:
        """To the master."""
        self.world.network.to_master(self, body)

    def perform(self, actor: str, effect: Any) -> None:
        """The effects that only a worker has."""
        files_ms = self.world.weather.file_ms_max
        match effect:
            case ToWarden():
                assert self.line is not None
                message = effect.message
                if message["do"] == "start":  # as a worker's process hands it on
                    message = message | {"log_bytes_max": self.world.options.log_bytes_max}
                self.line.post(message, effect.only)
            case Prepare():
                since_ms = self.world.now_ms
                self.world.checkers.processes.on_prepare(self, effect.request)
                self.soon(files_ms, lambda: self._prepared(actor, effect.request, since_ms))
            case Collect():
                self.soon(files_ms, lambda: self.offer(actor, self._collected(effect)))
            case Discard():
                self.machine.folders.pop(effect.dispatch_id, None)
            case ReadLog():
                page = LogPage(effect.token, LOG[effect.offset :], len(LOG), True, effect.offset)
                self.soon(files_ms, lambda: self.offer(actor, page))
            case Leave():
                assert self.line is not None
                if effect.end_warden:
                    self.line.post({"do": "leave"})
                    self._may_be_dismissed()
                self.leave()
            case _:
                raise AssertionError(effect)

    def _prepared(self, actor: str, request: TaskExecuteRequest, since_ms: int) -> None:
        took_ms = self.world.now_ms - since_ms
        self.world.checkers.processes.on_prepared(self, request, took_ms)
        self.offer(actor, prepared(request))

    def _collected(self, effect: Collect) -> Collected:
        written = self.machine.folders.get(effect.dispatch_id, {})
        tail = "\n".join(self.machine.said.get(effect.dispatch_id, ()))
        missing = [name for name in effect.required if name not in written]
        problem = f"no output {missing[0]}" if missing else ""
        return Collected(effect.dispatch_id, Collection(effect.outputs | written, tail, problem))


def prepared(request: TaskExecuteRequest) -> Prepared:
    """What a task type would say."""
    if request.task_type == "noop":
        return Prepared(request.dispatch_id, None)
    assert request.script is not None
    plan = json.loads(request.script)
    if plan["odd"] == "prepare":
        return Prepared(request.dispatch_id, None, "its folder cannot be made")
    env = {name: str(value) for name, value in request.params.items()}
    # A deaf one's type does not say what it reads.
    traces = None if plan["deaf"] else [OUTPUT]
    return Prepared(request.dispatch_id, Launch(["sim", request.script], env, "/work", traces))
