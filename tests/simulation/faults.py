"""The faults that come by themselves; those between two effects come from the nodes.

`BY_THEMSELVES` names the option that holds each one's interval; each plans the next of its kind,
until the world heals.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stenella.protocol.codec import encode_frames
from stenella.protocol.commands import TaskExecuteResponse

from .network import BOTH, TO_GUEST, TO_MASTER, Guest
from .node import CLUSTER
from .twin import Twin

if TYPE_CHECKING:
    from .node import Node
    from .world import World

CLOG_MS_MAX = 6_000  # between two connections of a swizzle
PARTITION_MS_MAX = 20_000
BLOCK_MS_MAX = 60_000  # of a garbage collection, or of a call that does not come back
SHORT_MS_MAX = 8_000
FLAPS = 10
TWIN_MS_MAX = 40_000


def guests(world: "World") -> list[Guest]:
    """Whoever dials the master."""
    return [*world.workers, *world.clients]


def nodes(world: "World") -> "list[Node]":
    """Whoever can crash."""
    return [world.master, *world.workers]


def cut(world: "World") -> None:
    """Nothing passes between the master and one guest, one way or both."""
    guest = world.random.choice(guests(world))
    way = world.random.choice((BOTH, TO_MASTER, TO_GUEST))
    world.network.cut(guest, way, world.random.randint(1, world.options.cut_ms_max))


def partition(world: "World") -> None:
    """The master is cut off from everybody, and then it is not."""
    for_ms = world.random.randint(1, PARTITION_MS_MAX)
    for guest in guests(world):
        world.network.cut(guest, BOTH, for_ms)


def swizzle(world: "World") -> None:
    """Connections stand still one after the other, and go on in another order."""
    all_of_them = guests(world)
    some = world.random.sample(all_of_them, world.random.randint(1, len(all_of_them)))
    at_ms = 0
    for guest in some:
        at_ms += world.random.randint(0, CLOG_MS_MAX)
        world.after(at_ms, lambda guest=guest: world.network.clog(guest))  # type: ignore[misc]
    for guest in world.random.sample(some, len(some)):
        at_ms += world.random.randint(0, CLOG_MS_MAX)
        world.after(at_ms, lambda guest=guest: world.network.unclog(guest))  # type: ignore[misc]


def jump(world: "World") -> None:
    """Somebody sets a wall clock."""
    node = world.random.choice(nodes(world))
    node.wall_offset_ms += world.random.choice((-3_600_000, -5_000, 5_000, 3_600_000))
    world.trace.add(world.now_ms, node.name, "jumps", node.wall_offset_ms)


def black_out(world: "World") -> None:
    """All nodes crash at once, and come up in whatever order."""
    for node in nodes(world):
        node.crash("SIGKILL")


def freeze(world: "World") -> None:
    """SIGSTOP, and SIGCONT after a while."""
    node = world.random.choice(nodes(world))
    node.stand_still(world.random.randint(1, world.options.freeze_ms_max), whole=True)


def lose(world: "World") -> None:
    """A worker elsewhere does not come back; the one that has all groups stays."""
    rest = [worker for worker in world.workers[1:] if worker.leased and not worker.lost]
    if rest:
        world.random.choice(rest).lose(whole=world.random.random() < 0.5)


def suspend(world: "World") -> None:
    """A machine of its own stands still with all that runs on it, and then goes on."""
    machines = [worker.machine for worker in world.workers if worker.leased and worker.alive]
    if machines:
        for_ms = world.random.randint(1, world.options.suspend_ms_max)
        world.random.choice(machines).freeze(for_ms)


def block(world: "World") -> None:
    """A node's loop does not come round; its threads and its socket's queue go on."""
    node = world.random.choice(nodes(world))
    node.stand_still(world.random.randint(1_000, BLOCK_MS_MAX), whole=False)


def kill_child(world: "World") -> None:
    """The kernel, out of memory, kills a task's process."""
    machine = world.random.choice(world.workers).machine
    # What outlasts KILL is the warden's to report, and it did not send this one.
    victims = [p for p in machine.processes.values() if not p.plan.get("stubborn_ms")]
    if victims:
        machine.kill(world.random.choice(victims))


def fill_disk(world: "World") -> None:
    """Nothing can be written for a while."""
    node = world.random.choice(nodes(world))
    node.fill_disk(world.random.randint(1, world.options.disk_full_ms_max))


def break_all(world: "World") -> None:
    """All connections break at once, and everybody comes back and repeats everything."""
    world.network.break_all()


def mend(world: "World") -> None:
    """Somebody mends what crashed a node, and lets go on what was put aside for it."""
    world.poison.cure()
    for letter in world.master.letters():
        world.random.choice(world.clients).retry_letter(letter)


def shut_down(world: "World") -> None:
    """`stenella down`; somebody brings it up again."""
    world.random.choice(world.clients).shut_down()


def kill_master(world: "World") -> None:
    """SIGKILL."""
    world.master.crash("SIGKILL")


def kill_worker(world: "World") -> None:
    """SIGKILL; its warden and its tasks go on."""
    world.random.choice(world.workers).crash("SIGKILL")


def kill_warden(world: "World") -> None:
    """SIGKILL; its tasks go on."""
    world.random.choice(world.workers).machine.kill_warden()


def reboot(world: "World") -> None:
    """A machine goes down with all that runs on it; a power cut, with what was not synced."""
    world.random.choice(world.workers).reboot(power_cut=world.options.power_cut)


def storm(world: "World") -> None:
    """A user does something to something."""
    world.random.choice(world.clients).meddle()


def order(world: "World") -> None:
    """A person wants something of a worker."""
    world.random.choice(world.clients).order_some(world.random.choice(world.workers).name)


def shorten_disk(world: "World") -> None:
    """A worker's disk has little room for a while."""
    node = world.random.choice(world.workers)
    node.measure(True)
    world.after(world.random.randint(1, SHORT_MS_MAX), lambda: node.measure(False))


def flap(world: "World") -> None:
    """A worker comes and goes every second."""
    node = world.random.choice(world.workers)

    def come_and_go() -> None:
        if not world.healing:
            node.crash("flaps")

    for second in range(FLAPS):
        world.after(1_000 * second, come_and_go)


def clone(world: "World") -> None:
    """Somebody starts a copy of a worker's machine, or of its folder, beside it."""
    if world.twin is None:
        original = world.random.choice(world.workers)
        twin = world.twin = Twin(world, original, is_image=world.random.random() < 0.5)
        twin.start()
        world.after(world.random.randint(1, TWIN_MS_MAX), twin.vanish)


def forge(world: "World") -> None:
    """A worker, with its own good key, reports the failure of another's attempt."""
    forger = world.random.choice(world.workers)
    rows = world.checkers.rows
    live = [row for row in rows.tasks.values() if row["worker"] not in (None, forger.name)]
    if not live or not forger.alive:
        return
    row = world.random.choice(live)
    names = ("workflow_instance_id", "attempt", "dispatch_id")
    lie = TaskExecuteResponse(
        task_instance_id=row["id"],
        **{name: row[name] for name in names},
        epoch=world.master.life,
        seq=row["seq"] + 1,
        status="FAILURE",
        exit_code=1,
        reason="exit_nonzero",
        message="forged",
        start_time=None,
        end_time=forger.wall_ms(),
        host=forger.name,
        pid=1,
        log="",
        outputs={},
        tail="",
    )
    for body in encode_frames(CLUSTER, forger.name, forger.boot, [lie]):
        world.network.to_master(forger, body)


BY_THEMSELVES: dict[str, Callable[["World"], None]] = {
    "cut_interval_ms": cut,
    "partition_ms": partition,
    "clog_ms": swizzle,
    "forge_ms": forge,
    "herd_ms": break_all,
    "clock_jump_ms": jump,
    "shutdowns": shut_down,
    "mended_ms": mend,
    "master_crash_ms": kill_master,
    "worker_crash_ms": kill_worker,
    "warden_crash_ms": kill_warden,
    "child_kill_ms": kill_child,
    "reboot_ms": reboot,
    "blackout_ms": black_out,
    "freeze_ms": freeze,
    "suspend_ms": suspend,
    "lose_ms": lose,
    "block_ms": block,
    "disk_full_ms": fill_disk,
    "storm_ms": storm,
    "orders_ms": order,
    "disk_ms": shorten_disk,
    "flap_ms": flap,
    "twin_ms": clone,
}


def begin(world: "World") -> None:
    """Plan the first of each kind; each plans the next, until the world heals."""
    for name, fault in BY_THEMSELVES.items():
        interval_ms: int = getattr(world.options, name)
        if interval_ms:
            again(world, interval_ms, fault)


def again(world: "World", interval_ms: int, fault: "Callable[[World], None]") -> None:
    """Let it strike, so often on average."""

    def strike() -> None:
        if not world.healing:
            fault(world)
            plan()

    def plan() -> None:
        world.after(world.random.randint(1, 2 * interval_ms), strike)

    plan()
