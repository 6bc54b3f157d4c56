"""A clone of a worker (F33): its key, and a copy of its journal or none, beside the living one.

Of a copied image everything is the same but the machine; a copied folder has set its journal
aside and lies on the same machine. It registers like any life. The master may take it only when
nothing of the worker runs any more; then it is ended here, and until then it must say and start
nothing.
"""

from typing import TYPE_CHECKING, Any

from stenella.protocol.commands import (
    Command,
    TaskExecuteRequestAck,
    TaskExecuteResponse,
    TaskExecuteRunning,
    TaskKillResponse,
)
from stenella.protocol.rows import Batch
from stenella.storage.worker_journal import WorkerJournal

from .machine import Machine
from .story import Violation
from .worker_node import WorkerNode

if TYPE_CHECKING:
    from .machine import Process
    from .world import World

#: An image's kernel is booted on another machine.
ELSEWHERE = 1_000
OF_ATTEMPTS = (
    TaskExecuteRequestAck,
    TaskExecuteRunning,
    TaskExecuteResponse,
    TaskKillResponse,
)


class Twin(WorkerNode):
    """One life of a clone."""

    is_twin = True

    def __init__(self, world: "World", original: WorkerNode, *, is_image: bool) -> None:
        super().__init__(world, int(original.name.split("-")[1]))
        self.original = original
        self.leased = original.leased or is_image
        self.machine = Machine(world, self)
        self.machine.boots = original.machine.boots
        if is_image:
            self.machine.boots += ELSEWHERE
            self.machine.log = list(original.machine.log)
            self.journal = WorkerJournal.open(None, full=False)
            self.journal.connection.deserialize(original.journal.connection.serialize())
            (node,) = self.journal.load("node")
            self.life = node.life

    def note(self, kind: str, *things: Any) -> None:
        """As a twin's."""
        self.world.trace.add(self.world.now_ms, f"twin of {self.name}", kind, *things)

    def vanish(self) -> None:
        """It is switched off, with all that it has."""
        if self.world.twin is self:
            self.world.twin = None
        if self.alive:
            self.note("vanishes")
            self.alive, self.turn = False, None
            self.gone()
        self.machine.kill_warden()
        self.journal.close()

    def end(self) -> None:
        """No life comes after this one."""
        self.vanish()

    def commit(self, batch: Batch) -> None:
        """Nobody looks at its journal."""
        self.journal.commit(batch)

    # --- what a clone may do ----------------------------------------------------------------------

    def says(self, commands: list[Command]) -> None:
        """Raises `Violation` where it speaks of attempts."""
        for command in commands:
            if isinstance(command, OF_ATTEMPTS):
                text = f"{self.name}: {command}"
                raise Violation("§5 a clone has no say", text, command.task_instance_id)

    def spawns(self, process: "Process") -> None:
        """Raises `Violation`."""
        text = f"{self.name}: {process.start}"
        raise Violation("§5 a clone runs nothing", text, process.start["task_instance_id"])

    def is_taken(self) -> None:
        """The master has written it down as the worker. Raises `Violation`."""
        leases = self.world.checkers.leases
        for process in self.original.machine.processes.values():
            kept = self.original.leased and process.start["keep"]
            if not kept and not (self.original.leased and leases.excuses(process)):
                text = f"{self.name} is given to a clone while pid {process.pid} runs"
                raise Violation("§5 one identity, one worker", text)
        self.world.after(0, self.vanish)
