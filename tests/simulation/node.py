"""A node of the world: the real turn and actors, performed as `runtime/node.py` performs them.

A crash drops the actors and whatever is not committed; it may come between any two effects, and
between a commit and what it releases.
"""

from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Any

from stenella.actors.base import Actor, Loaded, OnDisk, Queried, TellWhenOnDisk
from stenella.actors.suspects import FORGIVE_MS, Suspect, quarantine_answer
from stenella.actors.turn import Limits, Load, Perform, Query, Released, Send, Turn, shares
from stenella.protocol.codec import CommandDecoder, decode_header, encode_frames
from stenella.protocol.commands import (
    Command,
    Refused,
    Request,
    WorkerRegister,
    WorkerWelcome,
)
from stenella.protocol.rows import Batch, CommitFinal

from .mailboxes import Mailboxes
from .os_process import Crash, OsProcess
from .poison import Poisoned
from .story import Violation

if TYPE_CHECKING:
    from .world import World

CLUSTER = "cluster-1"
HEARTBEAT_MS = 2_000
RETRY_MS_MIN, RETRY_MS_MAX = 20, 1_000  # between attempts at the same batch
STALL_MS_MAX = 8_000
SLOW_MS_MAX = 10_000
#: What is received or sent while it is settled who goes on with what.
JUDGING = (WorkerRegister, WorkerWelcome)
#: Cycles at one moment that take nothing: a node that spins would never let time pass.
IDLE_CYCLES_MAX = 3


class Node(OsProcess):
    """One node, in all its lives."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.stopping = False
        self.boot = ""
        self.turn: Turn | None = None
        self.mailboxes: Mailboxes | None = None
        self.disk_full_until_ms = 0
        self.suspects: list[Suspect] = []  # the file that outlives its lives
        self.jobs: deque[Batch | Load] = deque()
        self.working = False
        self.stalled_until_ms = 0
        self.cycling = False
        self.alarm_ms: int | None = None
        self.idle_cycles = 0
        self.risen_ms = 0  # when this life began, world

    # --- what a role adds -------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life."""
        raise NotImplementedError

    def gone(self) -> None:
        """The process has ended: what it held is closed."""
        raise NotImplementedError

    def commit(self, batch: Batch) -> None:
        """Write a batch."""
        raise NotImplementedError

    def reconnect(self) -> None:
        """Nothing an old connection believed counts any more."""

    def load(self, name: str, key: tuple[Any, ...]) -> list[Any]:
        """Read rows."""
        raise NotImplementedError

    def ask(self, name: str, key: tuple[Any, ...]) -> Any:
        """Read for people."""
        raise NotImplementedError

    def post(self, peer: bytes, body: bytes) -> None:
        """Hand a frame to the wire."""
        raise NotImplementedError

    def perform(self, actor: str, effect: Any) -> None:
        """Do what only this role does."""
        raise NotImplementedError

    # --- life -------------------------------------------------------------------------------------

    def rise(self, actors: dict[str, Actor], **numbers: Any) -> None:
        """Begin to live with these actors."""
        options = self.world.options
        self.mailboxes = Mailboxes(actors, self.world.poison)
        limits = Limits(options.turn_messages, options.mailbox_max, options.ahead_bytes)
        self.turn = self.world.parts.turn(self.name, self.mailboxes.actors, limits, **numbers)
        self.mailboxes.watch(self.turn)
        self.alive, self.stopping = True, False
        self.risen_ms = self.world.now_ms
        self.jobs, self.working, self.stalled_until_ms = deque(), False, 0
        self.cycling, self.alarm_ms, self.idle_cycles = False, None, 0
        self.note("starts", f"life {self.life}")
        self.later(FORGIVE_MS, self._acquit)
        self.wake()

    def _acquit(self) -> None:
        """A life that was long enough clears whoever was suspected once."""
        assert self.turn is not None
        guilty = self.turn.suspicion.quarantined
        self.suspects = [s for s in self.suspects if s.key in guilty]

    def new_boot(self) -> str:
        """A name for this life."""
        self.life += 1
        self.boot = f"{self.name}-{self.life}-{self.world.random.randrange(1_000_000)}"
        return self.boot

    def crash(self, why: str) -> None:
        """End at once; come up again after a while."""
        if not self.alive:
            return
        self.note("crashes", why)
        job = self.jobs[0] if self.working and self.jobs else None
        if isinstance(job, Batch) and self.world.random.random() < 0.5:
            self.commit(job)  # it was on its way to the disk
        self.end()

    def end(self) -> None:
        """The process is gone; its supervisor starts another."""
        self.alive, self.turn = False, None
        self.stands_still = False
        self.backlog.clear()
        self.gone()
        longest_ms = self.world.weather.down_ms_max
        self.world.after(self.world.random.randint(min(10, longest_ms), longest_ms), self.start)

    def leave(self) -> None:
        """End cleanly: no more frames, and what was thought is committed and sent."""
        self.stopping = True
        deadline_ms = self.world.now_ms + 5_000

        def look() -> None:
            assert self.turn is not None
            if self.turn.is_settled or self.world.now_ms >= deadline_ms:
                self.note("leaves")
                self.end()
            else:
                self.later(5, look)

        self.later(50, look)

    def fill_disk(self, for_ms: int) -> None:
        """No space left, for a while."""
        self.note("disk full", f"for {for_ms} ms")
        self.disk_full_until_ms = self.world.now_ms + for_ms

    # --- what arrives -----------------------------------------------------------------------------

    def offer(self, actor: str, message: Any) -> None:
        """Something of this node happened."""
        self.take(actor, message)
        self.wake()

    def take(
        self, actor: str, message: Any, peer: bytes = b"", sender: str = "", size: int = 0
    ) -> str:
        """Offer to the turn, and count it."""
        assert self.turn is not None
        assert self.mailboxes is not None
        why_not = self.turn.offer(actor, message, peer, sender, size)
        self.mailboxes.offered(actor, message, why_not)
        return why_not

    def take_body(
        self,
        peer: bytes,
        sender: str,
        body: bytes,
        decoder: CommandDecoder[Any],
        routes: dict[type[Command], str],
    ) -> None:
        """A frame from a peer whose key belongs to ``sender``."""
        if self.stopping:
            return
        frame = decode_header(body, CLUSTER)
        assert frame.sender == sender, (frame.sender, sender)
        good, bad = decoder.decode(frame.commands)
        assert not bad, bad
        self.note("receives", *good)
        self.world.checkers.on_arrival(self, sender, good)
        if any(isinstance(command, JUDGING) for command in good):
            self._crash_judging()
        for command, size in zip(good, shares(body, len(good)), strict=True):
            why_not = self.take(routes[type(command)], command, peer, sender, size)
            answer = quarantine_answer(command) if why_not == "quarantined" else None
            if answer is not None:
                self.later(0, lambda answer=answer: self._send(peer, [answer]))  # type: ignore[misc]
            if why_not == "busy" and isinstance(command, Request):
                refusal = Refused(
                    request_id=command.request_id, exit_code=6, code="busy", message=""
                )
                self.later(0, lambda refusal=refusal: self._send(peer, [refusal]))  # type: ignore[misc]
        self.wake()

    def _crash_judging(self) -> None:
        weather, random = self.world.weather, self.world.random
        if random.random() < weather.crash_judging:
            self.soon(3 * weather.commit_ms_max, lambda: self.crash("while it is judged"))

    # --- think and act ----------------------------------------------------------------------------

    def wake(self) -> None:
        """Plan the next cycle: soon if there is work, else when a timer is due."""
        if self.cycling or self.turn is None:
            return
        if self.turn.has_work(self.now_ms()):
            self.cycling = True
            self.soon(self.world.weather.cycle_ms_max, self._cycle)
            return
        due_ms = self.turn.next_due()
        if due_ms is not None and (self.alarm_ms is None or due_ms < self.alarm_ms):
            self.alarm_ms = due_ms
            self.later(ceil((due_ms - self.now_ms()) / self.rate), self._alarm)

    def _alarm(self) -> None:
        self.alarm_ms = None
        self.wake()

    def _cycle(self) -> None:
        assert self.turn is not None
        assert self.mailboxes is not None
        self.cycling = False
        handled = self.mailboxes.handled
        self.world.checkers.on_think(self)
        try:
            at_once = self.turn.think(self.now_ms(), self.wall_ms())
        except Poisoned as poison:
            self.suspects += self.turn.blame()
            raise Crash(f"poisoned by {poison}") from None
        self._act(at_once)
        self._form()
        self._act(self.turn.release())
        self.mailboxes.check()
        self.idle_cycles = 0 if self.mailboxes.handled > handled else self.idle_cycles + 1
        if self.idle_cycles > IDLE_CYCLES_MAX:
            raise Violation("the node rests", f"{self.name} thinks without anything to take")
        self.wake()

    def _form(self) -> None:
        assert self.turn is not None
        batch = self.turn.form()
        if batch is not None:
            self.jobs.append(batch)
            self._serve()

    def _act(self, released: list[Released]) -> None:
        outgoing: dict[bytes, list[Command]] = {}
        last: list[Perform] = []
        for effect in released:
            match effect:
                case Send():
                    outgoing.setdefault(effect.peer, []).append(effect.command)
                case Load():
                    self.jobs.append(effect)
                    self._serve()
                case Query():
                    self.soon(20, lambda query=effect: self._answer(query))  # type: ignore[misc]
                case Perform(effect=TellWhenOnDisk(about)):
                    self.offer(effect.actor, OnDisk(about))
                case Perform():
                    last.append(effect)
        for peer, commands in outgoing.items():
            self._send(peer, commands)
        for effect in last:
            self.gap(type(effect.effect).__name__)
            self.perform(effect.actor, effect.effect)

    def _send(self, peer: bytes, commands: list[Command]) -> None:
        self.gap(type(commands[0]).__name__)
        self.note("sends", *commands)
        self.world.checkers.on_send(self, commands)
        for body in encode_frames(CLUSTER, self.frame_sender, self.boot, commands):
            self.post(peer, body)

    @property
    def frame_sender(self) -> str:
        """The name in its frames."""
        return self.name

    def _answer(self, query: Query) -> None:
        document = self.ask(query.name, query.key)
        self.offer(query.actor, Queried(query.name, query.token, document))

    # --- the storage thread -----------------------------------------------------------------------

    def _serve(self) -> None:
        if not self.working and self.jobs:
            self.working = True
            random, weather = self.world.random, self.world.weather
            slow = isinstance(self.jobs[0], Batch) and random.random() < weather.commit_slow
            wait_ms = random.randint(0, SLOW_MS_MAX if slow else weather.commit_ms_max)
            self.later(wait_ms, self._work, in_thread=True)

    def _work(self) -> None:
        job, random, weather = self.jobs[0], self.world.random, self.world.weather
        if isinstance(job, Load):
            self.jobs.popleft()
            rows = self.load(job.name, job.key)
            self.working = False
            self.offer(job.actor, Loaded(job.name, job.key, rows))
            self._serve()
            return
        if random.random() < weather.commit_final:
            raise Crash("fsync failed: whether the commit is on disk is not known")
        if random.random() < weather.commit_stall:
            self.stalled_until_ms = self.world.now_ms + random.randint(1, STALL_MS_MAX)
        self._write(job, RETRY_MS_MIN)

    def _commit(self, batch: Batch) -> None:
        try:
            self.commit(batch)
        except CommitFinal as error:
            raise Violation("§4 what is thought can be written", f"{error}") from error

    def _write(self, batch: Batch, pause_ms: int) -> None:
        assert self.turn is not None
        unknown = self.world.random.random() < self.world.weather.commit_unknown
        stalled_until_ms = max(self.stalled_until_ms, self.disk_full_until_ms)
        stalled = self.world.now_ms < stalled_until_ms and not self.world.healing
        if unknown and not stalled:
            if self.world.random.random() < 0.5:
                self._commit(batch)
            self.gap("the commit's answer is lost")
            self.reconnect()
        if unknown or stalled:
            self.turn.failed(self.now_ms())
            self.note("stalls")
            again_ms = min(2 * pause_ms, RETRY_MS_MAX)
            self.later(pause_ms, lambda: self._write(batch, again_ms), in_thread=True)
            return
        self.jobs.popleft()
        self._commit(batch)
        self.gap("the commit is known")
        self.soon(1, self._committed)

    def _committed(self) -> None:
        assert self.turn is not None
        self.turn.committed()
        self._act(self.turn.release())
        self.working = False
        self._form()
        self._act(self.turn.release())
        self._serve()
        self.wake()
