"""One seed, one world: virtual time, a whole cluster, its load and its faults.

One heap of (virtual ms, ticket), one `Random`; no thread, no sleep. First the safety phase with
faults, then the healing phase in which everything must end; the checkers look at every commit,
frame and process throughout.
"""

import heapq
from collections.abc import Callable
from random import Random

from stenella.actors.master.liveness import Terms

from . import faults
from .checkers import Checkers
from .clients import Client
from .master_node import MasterNode
from .network import COPY_DELAYS_MAX, Network
from .node import HEARTBEAT_MS
from .options import Options
from .parts import Parts
from .poison import Poison
from .story import Trace, Violation
from .twin import Twin
from .worker_node import WorkerNode

#: Everything must have ended so long after the faults have: the longest repeat (100 s) twice, and
#: what tasks, retries and kills may take in between.
HEAL_MS_MAX = 400_000
LOOK_MS = 500  # between two looks whether everything has ended
CLIENTS = 2
ORDERS_GONE_MS = 40_000  # by then most that were asked for have ended; but see `set_right`


class World:
    """A cluster and what surrounds it."""

    def __init__(self, options: Options, parts: Parts | None = None) -> None:
        self.options = options
        self.weather = options
        self.parts = parts or Parts()
        self.random = Random(options.seed + 1_000_003)
        self.now_ms = 0
        self.tickets = 0
        self.gaps = 0  # between effects, at which a node could have crashed
        self.heap: list[tuple[int, int, Callable[[], object]]] = []
        self.boots_here = 0  # of the machine that the master and the workers without lease are on
        self.trace = Trace()
        self.healing = False
        self.healed_ms: int | None = None  # when the faults have ended
        self.poison = Poison(self)
        self.network = Network(self)
        self.checkers = Checkers(self)
        self.master = MasterNode(self)
        self.workers = [WorkerNode(self, number + 1) for number in range(options.workers)]
        self.twin: Twin | None = None  # a clone of one of them, while there is one
        self.clients = [Client(self, number + 1) for number in range(CLIENTS)]

    def terms(self) -> Terms:
        """For the master of this moment."""
        return Terms(
            heartbeat_ms=HEARTBEAT_MS,
            lease_ms=self.options.lease_ms,
            fence_grace_ms=self.options.fence_grace_ms,
            machine=f"kernel-here-{self.boots_here}",
        )

    # --- time -------------------------------------------------------------------------------------

    def at(self, due_ms: int, action: Callable[[], object]) -> None:
        """Do something at a time, after what was planned for it before."""
        self.tickets += 1
        heapq.heappush(self.heap, (due_ms, self.tickets, action))

    def after(self, wait_ms: int, action: Callable[[], object]) -> None:
        """Do something later."""
        self.at(self.now_ms + wait_ms, action)

    def run(self, until_ms: int) -> None:
        """Let time pass."""
        while self.heap and self.heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self.heap)
            action()
        self.now_ms = until_ms

    def close(self) -> None:
        """Close the databases."""
        self.master.journal.close()
        for worker in self.workers:
            worker.journal.close()

    # --- the two phases ---------------------------------------------------------------------------

    def play(self) -> None:
        """Both phases. Raises `Violation`."""
        self.start()
        self.run(self.options.safety_ms)
        self.heal()
        self.finish()

    def start(self) -> None:
        """Everything up, load and faults under way."""
        self.master.start()
        for worker in self.workers:
            worker.start()
        for client in self.clients:
            client.start()
        faults.begin(self)

    def heal(self) -> None:
        """No fault any more; who is down comes up by itself."""
        self.healing = True
        self.healed_ms = self.now_ms
        self.weather = self.options.healed()
        if self.twin is not None:
            self.twin.vanish()
        for worker in self.workers:
            worker.measure(False)
        if self.options.orders_ms:
            self.set_right()
        self.trace.add(self.now_ms, "world", "heals")
        self.network.heal()
        for worker in self.workers:
            worker.machine.thaw()
        for node in (self.master, *self.workers):
            node.go_on()

    @property
    def present(self) -> list[WorkerNode]:
        """The workers that are not lost for good."""
        return [worker for worker in self.workers if not worker.lost]

    def set_right(self) -> None:
        """Every worker takes tasks again; orders that are still on their way come before."""
        for client in self.clients:
            client.drop_orders()

        def order() -> None:
            for worker in self.workers:
                self.clients[0].set_right(worker.name)

        copies_ms = COPY_DELAYS_MAX * self.options.delay_ms_max + 1_000
        self.after(max(ORDERS_GONE_MS, copies_ms), order)

    def finish(self) -> None:
        """Everything ends, and then everything works."""
        if self.options.crasher:
            self.live_with_poison()
        self.run_until_quiet()
        self.clients[0].probe(sum(worker.slots for worker in self.present))
        self.run_until_quiet()
        self.checkers.at_end()

    def live_with_poison(self) -> None:
        """Everything else ends while there is poison about; cured, what waited goes on."""

        def unrest() -> tuple[str, int] | None:
            if not self.master.alive:  # what crashed it is put aside when it is up again
                return "the master is down", 0
            return self.checkers.rows.unrest_beside_poison()

        self.run_until(unrest)
        faults.mend(self)

    def run_until_quiet(self) -> None:
        """Raises `Violation` where something has not ended in time."""
        self.run_until(lambda: self.checkers.unrest() or self.checkers.leftover())

    def run_until(self, look: Callable[[], tuple[str, int] | None]) -> None:
        """Until ``look`` finds nothing that has not ended."""
        deadline_ms = self.now_ms + HEAL_MS_MAX
        while unrest := look():
            if self.now_ms >= deadline_ms:
                what, task_instance_id = unrest
                text = f"not within {HEAL_MS_MAX} ms: {what}"
                if self.checkers.unrest():
                    raise Violation("I36 everything ends", text, task_instance_id)
                raise Violation("I35 nothing is left over", text, task_instance_id)
            self.run(self.now_ms + LOOK_MS)


def play(options: Options, parts: Parts | None = None) -> None:
    """Play a world to its end. A `Violation` carries options and story as notes."""
    world = World(options, parts)
    try:
        world.play()
    except Violation as violation:
        violation.add_note(f"seed {options.seed}, at {world.now_ms} ms; options: {options.text()}")
        violation.add_note(world.trace.story(violation.task_instance_id))
        raise
    except AssertionError as bug:
        bug.add_note(f"seed {options.seed}, at {world.now_ms} ms; options: {options.text()}")
        raise
    finally:
        world.close()
