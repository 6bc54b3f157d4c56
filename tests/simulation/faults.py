"""The faults that come by themselves; those between two effects come from the nodes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .network import BOTH, TO_GUEST, TO_MASTER, Guest

if TYPE_CHECKING:
    from .node import Node
    from .world import World


def begin(world: "World") -> None:
    """Plan the first of each kind; each plans the next, until the world heals."""
    options, random = world.options, world.random

    def again(interval_ms: int, fault: Callable[[], None]) -> None:
        if not interval_ms:
            return

        def strike() -> None:
            if not world.healing:
                fault()
                world.after(random.randint(1, 2 * interval_ms), strike)

        world.after(random.randint(1, 2 * interval_ms), strike)

    def cut() -> None:
        guests: list[Guest] = [*world.workers, *world.clients]
        guest = random.choice(guests)
        way = random.choice((BOTH, TO_MASTER, TO_GUEST))
        if guest.name not in world.network.cuts:
            world.network.cut(guest, way, random.randint(1, options.cut_ms_max))

    def jump() -> None:
        nodes: list[Node] = [world.master, *world.workers]
        node = random.choice(nodes)
        node.wall_offset_ms += random.choice((-3_600_000, -5_000, 5_000, 3_600_000))
        world.trace.add(world.now_ms, node.name, "jumps", node.wall_offset_ms)

    def shut_down() -> None:
        random.choice(world.clients).shut_down()

    def order() -> None:
        random.choice(world.clients).order_some(random.choice(world.workers).name)

    def fill_disk() -> None:
        node = random.choice(world.workers)
        node.measure(True)
        world.after(random.randint(1, 8_000), lambda: node.measure(False))

    def flap() -> None:
        node = random.choice(world.workers)

        def come_and_go() -> None:
            if not world.healing:
                node.crash("flaps")

        for second in range(10):
            world.after(1_000 * second, come_and_go)

    again(options.orders_ms, order)
    again(options.disk_ms, fill_disk)
    again(options.flap_ms, flap)
    again(options.cut_interval_ms, cut)
    again(options.clock_jump_ms, jump)
    again(options.shutdowns, shut_down)
    again(options.master_crash_ms, lambda: world.master.crash("SIGKILL"))
    again(options.worker_crash_ms, lambda: random.choice(world.workers).crash("SIGKILL"))
    again(options.warden_crash_ms, lambda: random.choice(world.workers).machine.kill_warden())
    again(options.reboot_ms, lambda: random.choice(world.workers).reboot())
