"""The wire of a world: connections that are made and lost, frames that are lost, late or repeated.

A guest (worker or client) dials the master; each connection has a routing id of its own, as
`runtime/link.py` makes them. A frame of a dead connection still reaches the master if that lives
(its socket had it), and the guest only where the options have ghosts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .master_node import MasterNode
    from .world import World

REDIAL_MS = (100, 1_000)
#: ZMTP heartbeats find a silent cut after this.
HEARTBEAT_TIMEOUT_MS = 6_000
COPY_DELAYS_MAX = 11  # after so many times the longest delay no copy is under way
NOTICE_MS_MAX = 50  # a reset connection is noticed by the other end
BOTH, TO_MASTER, TO_GUEST = "both ways", "to the master", "to the guest"


class Guest(Protocol):
    """Whoever dials the master."""

    name: str  # what the key belongs to
    side: bytes  # which of the master's sockets: b"w" or b"c"
    life: int
    alive: bool
    link: "Link | None"

    def take_frame(self, peer: bytes, sender: str, body: bytes) -> None:
        """A frame arrived."""

    def link_changed(self, up: bool) -> None:
        """The connection is made, or noticed to be lost."""

    def when_awake(self, action: Callable[[], object]) -> None:
        """Do it now, or when this process runs again."""


class Link:
    """One connection."""

    def __init__(self, peer: bytes, guest: Guest, master_life: int) -> None:
        self.peer = peer
        self.guest = guest
        self.guest_life = guest.life
        self.master_life = master_life
        self.open = True
        self.mourned = False  # the master's end has noticed
        self.last_ms = {TO_MASTER: 0, TO_GUEST: 0}
        self.under_way = 0
        self.clogged: list[Callable[[], object]] = []  # arrivals of a connection that stands still


class Network:
    """All connections of a world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.links: dict[bytes, Link] = {}
        self.cuts: dict[str, str] = {}  # guest's name → which way nothing passes
        self.clogs: dict[str, None] = {}  # guests whose connection stands still
        self.sent = self.lost = 0

    # --- connections ------------------------------------------------------------------------------

    def dial(self, guest: Guest) -> None:
        """Try to connect, again and again, as long as this life of the guest has no connection."""
        life, world = guest.life, self.world

        def attempt() -> None:
            if not guest.alive or guest.life != life or guest.link is not None:
                return
            if world.master.alive and guest.name not in self.cuts:
                self._connect(guest)
            else:
                world.after(world.random.randint(*REDIAL_MS), attempt)

        world.after(world.random.randint(0, 20), attempt)

    def _connect(self, guest: Guest) -> None:
        peer = b"%s%s.%d" % (guest.side, guest.name.encode(), len(self.links))
        link = Link(peer, guest, self.world.master.life)
        self.links[peer] = guest.link = link
        self.world.trace.add(self.world.now_ms, guest.name, "connects", peer.decode())
        guest.link_changed(True)

    def _break(self, link: Link) -> None:
        """Both ends notice, the living ones a moment later."""
        if not link.open:
            return
        link.open = False
        guest, life, random = link.guest, link.guest_life, self.world.random

        def guest_notices() -> None:
            if guest.alive and guest.life == life and guest.link is link:
                guest.link = None
                guest.link_changed(False)
                self.dial(guest)

        def master_notices() -> None:
            link.mourned = True

        notice_ms = random.randint(0, NOTICE_MS_MAX)
        self.world.after(notice_ms, lambda: guest.when_awake(guest_notices))
        self.world.after(random.randint(0, NOTICE_MS_MAX), master_notices)

    def guest_gone(self, guest: Guest) -> None:
        """The guest's process has ended."""
        if guest.link is not None:
            self._break(guest.link)
            guest.link = None

    def break_all(self) -> None:
        """The master's process has ended, or its machine's network was down for a moment."""
        for link in list(self.links.values()):
            self._break(link)

    def give_up(self, guest: Guest) -> None:
        """The master has heard nothing of a guest for too long."""
        if guest.link is not None:
            self._break(guest.link)

    def cut(self, guest: Guest, way: str, for_ms: int) -> None:
        """Let nothing pass for a while; a long cut ends the connection."""
        if guest.name in self.cuts:
            return
        self.cuts[guest.name] = way
        self.world.trace.add(self.world.now_ms, guest.name, "cut", way, for_ms)
        link = guest.link

        def time_out() -> None:
            if link is not None and guest.name in self.cuts:
                self._break(link)

        self.world.after(HEARTBEAT_TIMEOUT_MS, time_out)
        self.world.after(for_ms, lambda: self.cuts.pop(guest.name, None))

    def clog(self, guest: Guest) -> None:
        """Let nothing arrive, and lose nothing."""
        if not self.world.healing:
            self.clogs[guest.name] = None
            self.world.trace.add(self.world.now_ms, guest.name, "clogged")

    def unclog(self, guest: Guest) -> None:
        """What stood still arrives now."""
        if self.clogs.pop(guest.name, self) is None:
            for link in self.links.values():
                if link.guest is guest:
                    arrivals, link.clogged = link.clogged, []
                    for arrive in arrivals:
                        arrive()

    def heal(self) -> None:
        """Everything passes."""
        self.cuts.clear()
        guests: list[Guest] = [*self.world.workers, *self.world.clients]
        for guest in guests:
            self.unclog(guest)

    # --- frames -----------------------------------------------------------------------------------

    def to_master(self, guest: Guest, body: bytes) -> None:
        """Post a frame at the guest's end; dropped where there is no connection."""
        if guest.link is not None:
            self._carry(guest.link, TO_MASTER, body)

    def to_guest(self, peer: bytes, body: bytes) -> None:
        """Post a frame at the master's end."""
        link = self.links[peer]
        if link.mourned:
            self.world.master.lost_peer(peer)
        else:
            self._carry(link, TO_GUEST, body)

    def _carry(self, link: Link, way: str, body: bytes) -> None:
        weather, random, world = self.world.weather, self.world.random, self.world
        self.sent += 1
        is_cut = self.cuts.get(link.guest.name) in (BOTH, way)
        if is_cut or link.under_way >= weather.queue_max or random.random() < weather.loss:
            self.lost += 1
            return
        copies = 1
        while copies < 4 and random.random() < weather.repeats:
            copies += 1
        for copy in range(copies):
            due_ms = world.now_ms + random.randint(0, weather.delay_ms_max)
            if copy:
                due_ms += random.randint(0, (COPY_DELAYS_MAX - 1) * weather.delay_ms_max)
            elif weather.fifo:
                due_ms = link.last_ms[way] = max(due_ms, link.last_ms[way])
            link.under_way += 1
            world.at(due_ms, lambda: self._reach(link, way, body))

    def _reach(self, link: Link, way: str, body: bytes) -> None:
        """The other machine; its process may stand still."""
        if link.guest.name in self.clogs:
            link.clogged.append(lambda: self._reach(link, way, body))
            return
        link.under_way -= 1
        receiver: Guest | MasterNode = self.world.master if way == TO_MASTER else link.guest
        receiver.when_awake(lambda: self._arrive(link, way, body))

    def _arrive(self, link: Link, way: str, body: bytes) -> None:
        world, guest = self.world, link.guest
        if way == TO_MASTER:
            if world.master.alive and world.master.life == link.master_life:
                world.master.take_frame(link.peer, guest.name, body)
        elif guest.alive and (guest.link is link or world.options.ghosts):
            guest.take_frame(link.peer, "master", body)
