"""The turn: take, think, commit, act (DESIGN section 4), as code without I/O.

Performed by ``runtime/node.py`` under gevent and by the simulation. The performer offers what
arrives, lets the turn think, commits the batch that `form` gives it on the storage thread, says
`committed`, and performs what `release` gives it, in that order.

Invariant: an effect is released only when the commit that holds its turn and all earlier ones has
succeeded; a turn without writes waits for the writes of the turns before it.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from ..protocol.commands import (
    Command,
    DebugReply,
    DebugRequest,
    Heartbeat,
    HeartbeatAck,
    WorkerRegister,
)
from ..protocol.rows import Batch, Counters, Row, Versioned
from .base import Actor, Boot, Effect, Loaded, Queried, Timer
from .mailbox import Mailbox, p99
from .peek import WAITING_MAX, described
from .suspects import Redelivered, Suspect, Suspicion

#: A row in a batch that waits, without its text (tuple, ints, overhead); the text came in with the
#: messages, whose bytes are counted when they are taken.
ROW_BYTES = 200
#: The timers that run also at the bound of thinking ahead: whoever is slow must not look dead, and
#: can be looked into.
URGENT_TIMERS = ("beat", "debug")
#: Taken first, and also while the disk stalls or the node is rebuilding its state.
URGENT = (Heartbeat, HeartbeatAck, DebugRequest, DebugReply)
#: Debug requests are refused while so much that is urgent waits: heartbeats come first. A thousand
#: workers send some hundred of those while a turn is thought.
URGENT_MAX = 10_000
#: Urgent are also the answers of these reads, which only debug requests wait for.
URGENT_QUERIES = ("trace", "dead_letters")


class Limits(msgspec.Struct, frozen=True):
    """Bounds of a node; each has a key in conf.toml."""

    turn_messages: int = 1_000
    mailbox_max: int = 100_000
    ahead_bytes: int = 16 * 1024 * 1024


class Send(msgspec.Struct, frozen=True):
    """One command to one peer; the performer packs those of a release into frames."""

    peer: bytes
    command: Command


class Load(msgspec.Struct, frozen=True):
    """Read on the storage thread, in order with the commits; answer `Loaded` to ``actor``."""

    actor: str
    name: str
    key: tuple[Any, ...]


class Query(msgspec.Struct, frozen=True):
    """Read on the reader thread; answer `Queried` to ``actor``."""

    actor: str
    name: str
    token: Any
    key: tuple[Any, ...]


class Perform(msgspec.Struct, frozen=True):
    """An effect of the outside world; its answer goes to ``actor``."""

    actor: str
    effect: Effect


Released = Send | Load | Query | Perform


def shares(body: bytes, count: int) -> list[int]:
    """Of a body's bytes, for each of its commands: the last one has them all.

    So what came together is taken together, where a part of it is too much: who repeats all of it
    would else get in a few with each repeat, which are ever rarer.
    """
    return [0] * (count - 1) + [len(body)] * min(1, count)


class Turn:
    """Feeds actors and collects what they ask for; is itself the `Context` of the one receiving."""

    def __init__(
        self,
        node: str,
        actors: dict[str, Actor],
        limits: Limits,
        *,
        commit_no: int = 0,
        counters: Counters | None = None,
        recovering: bool = False,
        clock_us: Callable[[], int] = lambda: 0,
        suspicion: Suspicion | None = None,
        redeliver: Sequence[tuple[str, Redelivered]] = (),
    ) -> None:
        self.node = node
        self.actors = actors
        self.limits = limits
        self.counters = counters
        self.recovering = recovering
        self.commit_no = commit_no
        self.turn_no = 0
        self.now_ms = 0
        self.wall_ms = 0
        self.peer = b""
        self.sender = ""
        self.mailboxes = {name: Mailbox() for name in actors}
        self.wire = Mailbox()  # frames taken, and what was wrong with others
        self.frames_out = 0
        self.storage = Mailbox()  # commits, and how long each took until it was on disk
        self.commit_us = 0  # the last one
        self._formed_ms = 0  # when the batch in flight was formed
        self.suspicion = suspicion or Suspicion()
        if counters is not None:
            self.suspicion.first_new_instance = counters.workflow_instance
        self._redeliver = redeliver  # to whom, once the node is rebuilt
        self._clock_us = clock_us
        self._receiving = ""
        self._message: Any = None  # the one being received, or the part of it that is looked at
        self._questions = 0  # loads and queries without an answer
        self._urgent: deque[tuple[str, Any, bytes, str, int]] = deque()
        self._intake: deque[tuple[str, Any, bytes, str, int]] = deque()
        self._held_back: deque[tuple[str, Any, bytes, str, int]] = deque()  # while there is care
        self._thinking: deque[tuple[str, Any, bytes, str]] = deque()
        self._timers: list[tuple[int, int, str, str]] = []
        self._timer_tickets: dict[tuple[str, str], int] = {}
        self._tickets = 0
        self._written: dict[type[Versioned], dict[object, Versioned]] = {}
        self._appended: dict[type[Row], list[Row]] = {}
        self._put: dict[type[Row], dict[object, Row | None]] = {}  # None: deleted
        self._intake_bytes = 0
        self._ahead_bytes = 0
        self._at_once: list[Released] = []
        self._thought: list[Released] = []  # since the batch in flight was formed
        self._in_flight: list[Released] | None = None
        self._batch: Batch | None = None  # what is in flight
        self._released: list[Released] = []
        self._failing_since_ms: int | None = None
        self.stalled_why = ""
        for name in actors:
            self.offer(name, Boot())

    # --- the performer's side -------------------------------------------------------------------

    def offer(
        self, actor: str, message: Any, peer: bytes = b"", sender: str = "", size: int = 0
    ) -> str:
        """Take a message in; returns why not (``busy``, ``recovering``, ``quarantined``), or ""."""
        box = self.mailboxes[actor]
        urgent = isinstance(message, URGENT) or (not peer and _is_looked_for(message))
        if peer and self.suspicion.refuses(sender, message):
            box.reject("quarantined")
            return "quarantined"
        if peer and len(self._urgent) >= URGENT_MAX and isinstance(message, DebugRequest):
            box.reject("busy")
            return "busy"
        if peer and not urgent:
            if self.recovering:
                box.reject("recovering")
                return "recovering"
            is_full = self._intake_bytes >= self.limits.ahead_bytes
            if is_full or box.depth >= self.limits.mailbox_max:
                box.reject("busy")
                return "busy"
        box.enter()
        box.arrived_ms.append(self.now_ms)
        self._intake_bytes += size
        (self._urgent if urgent else self._intake).append((actor, message, peer, sender, size))
        return ""

    def has_work(self, now_ms: int) -> bool:
        """Whether `think` would deliver anything now."""
        due = self.next_due()
        if self._urgent or (due is not None and due <= now_ms):
            return True
        if self.is_ahead:
            return False
        if not self.suspicion.is_careful(now_ms):
            return bool(self._intake or self._held_back)
        inside = any(not item[2] for item in self._intake)
        return inside or (self._rests and bool(self._intake or self._held_back))

    @property
    def is_settled(self) -> bool:
        """Nothing thought waits for the disk."""
        return self._in_flight is None and not self._has_writes and not self._thought

    @property
    def _rests(self) -> bool:
        """Nothing that was taken has any consequence left to come."""
        return self.is_settled and not self._questions

    @property
    def is_ahead(self) -> bool:
        """At the bound of what may be thought before it is on disk."""
        return self._ahead_bytes >= self.limits.ahead_bytes

    def next_due(self) -> int | None:
        """When the next timer fires; at the bound of thinking ahead, only the urgent one does."""
        while self._timers and not self._is_set(self._timers[0]):
            heapq.heappop(self._timers)
        if self.is_ahead:
            urgent = (t[0] for t in self._timers if t[3] in URGENT_TIMERS and self._is_set(t))
            return min(urgent, default=None)
        return self._timers[0][0] if self._timers else None

    def think(self, now_ms: int, wall_ms: int) -> list[Released]:
        """One turn's take and think; returns what may be performed ahead of the commit."""
        self.turn_no += 1
        self.now_ms, self.wall_ms = now_ms, wall_ms
        if self._rests:
            self.suspicion.taken.clear()
        self._take(self._urgent)
        if not self.is_ahead:
            if self._held_back or self.suspicion.is_careful(now_ms):
                self._hold_back()
            self._take(self._intake)
        self._take_timers()
        self._run()
        at_once, self._at_once = self._at_once, []
        return at_once

    def form(self) -> Batch | None:
        """The next batch, if there is something to write and none is in flight."""
        if self._in_flight is not None or not self._has_writes:
            return None
        self.commit_no += 1
        batch = Batch(
            commit_no=self.commit_no,
            counters=msgspec.structs.replace(self.counters) if self.counters else None,
            versioned={
                table: [_image(row) for row in rows.values()]
                for table, rows in self._written.items()
            },
            appended={
                table: [msgspec.structs.astuple(row) for row in rows]
                for table, rows in self._appended.items()
            },
            put={
                table: [msgspec.structs.astuple(row) for row in rows.values() if row is not None]
                for table, rows in self._put.items()
            },
            deleted={
                table: [key for key, row in rows.items() if row is None]
                for table, rows in self._put.items()
            },
        )
        self._written, self._appended, self._put, self._ahead_bytes = {}, {}, {}, 0
        self._in_flight, self._thought = self._thought, []
        self._batch, self._formed_ms = batch, self.now_ms
        self.storage.enter()
        return batch

    def committed(self, took_us: int = 0) -> None:
        """The batch in flight is on disk; ``took_us`` since it was the storage thread's turn."""
        assert self._in_flight is not None
        self.storage.depth -= 1
        self.storage.handled += 1
        self.storage.busy_us.append(took_us)
        self.commit_us = took_us
        self._released += self._in_flight
        self._in_flight = None
        self._failing_since_ms = None
        if self._batch is not None and self._batch.counters is not None:
            self.suspicion.first_new_instance = self._batch.counters.workflow_instance
        self._batch = None

    def failed(self, now_ms: int, why: str = "") -> None:
        """The batch in flight failed for now; the performer will try the same one again."""
        assert self._in_flight is not None
        self.stalled_why = why
        self.storage.reject("failed")
        if self._failing_since_ms is None:
            self._failing_since_ms = now_ms

    def blame(self, batch: Batch | None = None) -> list[Suspect]:
        """Who it was: `think` has raised, or the data of ``batch`` was refused for good."""
        if batch is not None:
            return self.suspicion.blame_commit(batch.instances())
        receiving = self._receiving, self._message, self.sender
        return self.suspicion.blame_message(receiving, bool(self.peer))

    def release(self) -> list[Released]:
        """What may be performed now, in turn order."""
        if self._in_flight is None and not self._has_writes:
            self._released += self._thought
            self._thought, self._ahead_bytes = [], 0
        released, self._released = self._released, []
        return released

    # --- the context ----------------------------------------------------------------------------

    @property
    def stalled_ms(self) -> int:
        """For how long the commit in flight has been failing; 0: it is not."""
        if self._failing_since_ms is None:
            return 0
        return max(1, self.now_ms - self._failing_since_ms)

    def tell(self, actor: str, message: object) -> None:
        """See `Context.tell`."""
        box = self.mailboxes[actor]
        box.depth += 1  # as `enter`, which would be a call more for each message there is
        if box.depth > box.high_water:
            box.high_water = box.depth
        self._thinking.append((actor, message, b"", ""))

    def next_turn(self, message: object) -> None:
        """See `Context.next_turn`."""
        box = self.mailboxes[self._receiving]
        box.enter()
        box.arrived_ms.append(self.now_ms)
        self._intake.append((self._receiving, message, b"", "", 0))

    def look_at(self, part: object) -> None:
        """See `Context.look_at`."""
        self._message = part

    def send(self, peer: bytes, command: Command) -> None:
        """See `Context.send`."""
        self._thought.append(Send(peer, command))

    def send_now(self, peer: bytes, command: Command) -> None:
        """See `Context.send_now`."""
        self._at_once.append(Send(peer, command))

    def write(self, row: Versioned) -> None:
        """See `Context.write`."""
        row.event_no += 1
        self._ahead_bytes += ROW_BYTES
        self._written.setdefault(type(row), {})[getattr(row, row.KEY)] = row

    def append(self, row: Row) -> None:
        """See `Context.append`."""
        self._ahead_bytes += ROW_BYTES
        self._appended.setdefault(type(row), []).append(row)

    def put(self, row: Row) -> None:
        """See `Context.put`."""
        self._ahead_bytes += ROW_BYTES
        self._put.setdefault(type(row), {})[getattr(row, row.KEY)] = row

    def delete(self, table: type[Row], key: object) -> None:
        """See `Context.delete`."""
        self._ahead_bytes += ROW_BYTES
        self._put.setdefault(table, {})[key] = None

    def new_id(self, kind: str) -> int:
        """See `Context.new_id`."""
        number: int = getattr(self.counters, kind)
        setattr(self.counters, kind, number + 1)
        return number

    def load(self, name: str, *key: object) -> None:
        """See `Context.load`."""
        self._questions += 1
        self._thought.append(Load(self._receiving, name, key))

    def query(self, name: str, token: object, *key: object) -> None:
        """See `Context.query`."""
        self._questions += 1
        self._at_once.append(Query(self._receiving, name, token, key))

    def set_timer(self, name: str, after_ms: int) -> None:
        """See `Context.set_timer`."""
        self._tickets += 1
        self._timer_tickets[self._receiving, name] = self._tickets
        heapq.heappush(self._timers, (self.now_ms + after_ms, self._tickets, self._receiving, name))

    def perform(self, effect: Effect) -> None:
        """See `Context.perform`."""
        self._thought.append(Perform(self._receiving, effect))

    def perform_now(self, effect: Effect) -> None:
        """See `Context.perform_now`."""
        self._at_once.append(Perform(self._receiving, effect))

    @property
    def is_careful(self) -> bool:
        """See `Context.is_careful`."""
        return self.suspicion.is_careful(self.now_ms)

    @property
    def parked(self) -> set[int]:
        """See `Context.parked`."""
        return self.suspicion.parked

    def recovered(self) -> None:
        """See `Context.recovered`."""
        self.recovering = False
        self.suspicion.begin_care(self.now_ms)
        for actor, message in self._redeliver:
            self.tell(actor, message)

    def inspect(self) -> list[dict[str, Any]]:
        """See `Context.inspect`."""
        rows = [
            {"node": self.node, "actor": name, "held": self.actors[name].held()}
            | box.measures(self.now_ms)
            for name, box in self.mailboxes.items()
        ]
        wire = {"node": self.node, "actor": "wire", "held": 0} | self.wire.measures(self.now_ms)
        storage = {"node": self.node, "actor": "storage", "held": len(self._thought)}
        return [*rows, wire | {"frames_out": self.frames_out}, storage | self._storage_measures()]

    def _storage_measures(self) -> dict[str, Any]:
        """The oldest is the commit in flight; held are effects that wait for the one after it."""
        in_flight_ms = self.now_ms - self._formed_ms if self._in_flight is not None else 0
        return self.storage.measures(self.now_ms) | {
            "oldest_ms": in_flight_ms,
            "commit_ms_last": self.commit_us / 1_000,
            "commit_ms_p99": p99(self.storage.busy_us) / 1_000,
            "stalled_ms": self.stalled_ms,
            "stalled_why": self.stalled_why if self.stalled_ms else None,
            "ahead_bytes": self._ahead_bytes,
            "ahead_bytes_max": self.limits.ahead_bytes,
        }

    def peek(self, actor: str) -> list[dict[str, Any]] | None:
        """See `Context.peek`: what waits, oldest first, then what was received, newest first."""
        box = self.mailboxes.get(actor)
        if box is None:
            return None
        about = {"node": self.node, "actor": actor}
        queued = chain(self._urgent, self._intake, self._held_back)
        waiting = islice((item for item in queued if item[0] == actor), WAITING_MAX)
        rows = []
        for (_, message, _, sender, _), arrived_ms in zip(waiting, box.arrived_ms, strict=False):
            place = {"state": "waiting", "age_ms": self.now_ms - arrived_ms, "from": sender or None}
            rows.append(about | place | described(message))
        received = about | {"state": "received", "age_ms": None, "from": None}
        return rows + [received | described(message) for message in reversed(box.recent)]

    def actor_names(self) -> list[str]:
        """See `Context.actor_names`."""
        return list(self.actors)

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _has_writes(self) -> bool:
        return bool(self._written or self._appended or self._put)

    def _take(self, queue: deque[tuple[str, Any, bytes, str, int]]) -> None:
        for _ in range(min(len(queue), self.limits.turn_messages)):
            actor, message, peer, sender, size = queue.popleft()
            self.mailboxes[actor].arrived_ms.popleft()
            self._intake_bytes -= size
            self._ahead_bytes += size
            if peer:
                self.suspicion.taken.append((actor, message, sender))
            elif isinstance(message, Loaded | Queried):
                self._questions -= 1
            self._thinking.append((actor, message, peer, sender))

    def _hold_back(self) -> None:
        """With suspects about: from outside one message, and only when the last one is done.

        Who registers goes first: a worker that waits for long would be declared dead.
        """
        outside = [*self._held_back, *(item for item in self._intake if item[2])]
        outside.sort(key=lambda item: not isinstance(item[1], WorkerRegister))
        inside = [item for item in self._intake if not item[2]]
        careful = self.suspicion.is_careful(self.now_ms)
        count = int(self._rests) if careful else len(outside)
        self._intake = deque([*inside, *outside[:count]])
        self._held_back = deque(outside[count:])

    def _is_set(self, timer: tuple[int, int, str, str]) -> bool:
        """Not replaced by a later one of its name."""
        _, ticket, actor, name = timer
        return self._timer_tickets.get((actor, name)) == ticket

    def _take_timers(self) -> None:
        held_back = []
        while self._timers and self._timers[0][0] <= self.now_ms:
            timer = heapq.heappop(self._timers)
            _, _, actor, name = timer
            if not self._is_set(timer):
                continue
            if self.is_ahead and name not in URGENT_TIMERS:
                held_back.append(timer)
                continue
            del self._timer_tickets[actor, name]
            self.mailboxes[actor].enter()
            self._thinking.append((actor, Timer(name), b"", ""))
        for timer in held_back:
            heapq.heappush(self._timers, timer)

    def _run(self) -> None:
        thinking, clock_us = self._thinking, self._clock_us
        began_us = clock_us()
        while thinking:
            self._receiving, message, self.peer, self.sender = thinking.popleft()
            self._message = message
            box = self.mailboxes[self._receiving]
            self.actors[self._receiving].receive(message, self)
            ended_us = clock_us()
            box.busy_us.append(ended_us - began_us)
            box.recent.append(message)
            began_us = ended_us
            box.depth -= 1
            box.handled += 1


def _is_looked_for(message: object) -> bool:
    """An answer that a debug request waits for."""
    return isinstance(message, Queried) and message.name in URGENT_QUERIES


def _image(row: Versioned) -> tuple[object, ...]:
    image = msgspec.structs.astuple(row)
    row.stored_no = row.event_no
    return image
