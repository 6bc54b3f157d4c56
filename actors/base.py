"""What an actor is, and what it may ask for; performed, all or nothing, after its turn is on disk.

An actor is a plain class with ``receive(message, ctx)``. It changes its own state and asks ``ctx``
for effects; it never waits and reads no clock, randomness, socket, file, database or process.
"""

from collections.abc import Container
from typing import Any, Protocol

import msgspec

from ..protocol.commands import Command, TaskExecuteRequest
from ..protocol.launch import Collection, Launch
from ..protocol.rows import Row, Versioned


class Context(Protocol):
    """Given to ``receive``; the same two clocks for the whole turn."""

    node: str  # this node's name
    turn_no: int  # rises with each turn of this node
    now_ms: int  # monotonic: for waits
    wall_ms: int  # epoch: for rows and for people
    peer: bytes  # routing id the command came from; empty for what comes from inside
    sender: str  # the name that belongs to the peer's key; empty for what comes from inside

    stalled_why: str  # what the disk said, while ``stalled_ms`` is not 0

    @property
    def stalled_ms(self) -> int:
        """For how long the present commit has been failing; 0: it is not."""

    def tell(self, actor: str, message: object) -> None:
        """Put ``message`` into another actor's mailbox of this node, to be read this turn."""

    def next_turn(self, message: object) -> None:
        """Send oneself the rest of a long work, after what else has arrived."""

    def look_at(self, part: object) -> None:
        """Of a message that holds many, the one that is thought about: blamed if that raises."""

    def send(self, peer: bytes, command: Command) -> None:
        """Send once, when the turn is on disk; it may be lost, late or repeated, never altered."""

    def send_now(self, peer: bytes, command: Command) -> None:
        """Send ahead of the commit: only what reveals no task state (DESIGN section 4)."""

    def write(self, row: Versioned) -> None:
        """Count the row's change and let the turn's commit take its image."""

    def append(self, row: Row) -> None:
        """Add a row that never changes."""

    def put(self, row: Row) -> None:
        """The worker's journal: insert or replace by key."""

    def delete(self, table: type[Row], key: object) -> None:
        """The worker's journal: delete by key."""

    def new_id(self, kind: str) -> int:
        """The next id of ``kind``, a field of `Counters`."""

    def load(self, name: str, *key: object) -> None:
        """Read by index after this turn's commit; answered by `Loaded` with the same name, key."""

    def query(self, name: str, token: object, *key: object) -> None:
        """Read for people: committed rows, another thread, no order; answered by `Queried`."""

    def set_timer(self, name: str, after_ms: int) -> None:
        """`Timer(name)` comes after ``after_ms``; an earlier timer of that name is replaced."""

    def perform(self, effect: "Effect") -> None:
        """Ask the outside world, after the commit; answered by the message the effect names."""

    def perform_now(self, effect: "Effect") -> None:
        """Ask ahead of the commit: what nobody sees and may be for nothing, or what must not wait
        for a disk that is full: that a lease goes on, and that something is to end."""

    def inspect(self) -> list[dict[str, Any]]:
        """The node's mailboxes, wire and storage as `debug mailboxes` shows them."""

    def peek(self, actor: str) -> list[dict[str, Any]] | None:
        """What waits for an actor and what it received last, secrets redacted; None: no such."""

    def actor_names(self) -> list[str]:
        """The actors of this node."""

    @property
    def is_careful(self) -> bool:
        """Whether something crashed a former life: take little at a time, so that it is found."""

    @property
    def parked(self) -> Container[int]:
        """Instances that are left alone until a person acts."""

    def recovered(self) -> None:
        """The node's state is rebuilt: let everything in."""


class Actor(Protocol):
    """One mailbox, one message at a time."""

    def receive(self, message: Any, ctx: Context) -> None:
        """Change own state, ask for effects."""

    def held(self) -> int:
        """How much the actor itself keeps back: ready, delayed, unacknowledged, open."""


# --- what the world tells -----------------------------------------------------------------------


class Boot(msgspec.Struct, frozen=True):
    """The node has started; told to each actor once, first."""


class Timer(msgspec.Struct, frozen=True):
    """A timer of this actor fired."""

    name: str


class Loaded(msgspec.Struct, frozen=True):
    """Answer to ``load``: the rows found, none if there are none."""

    name: str
    key: tuple[Any, ...]
    rows: list[Any]


class Queried(msgspec.Struct, frozen=True):
    """Answer to ``query``: a document, or None where nothing was found."""

    name: str
    token: Any
    document: Any
    refusal: tuple[int, str, str] | None = None  # exit code, code, message: it could not be read


class PeerLost(msgspec.Struct, frozen=True):
    """Frames to this peer cannot be delivered."""

    peer: bytes


class WardenGone(msgspec.Struct, frozen=True):
    """Answer to `WatchWarden`: that warden is no more, nor anything that carries its marks."""

    worker: str
    pid: int
    start_ticks: int


class LinkChanged(msgspec.Struct, frozen=True):
    """A worker's link to its master went up or down."""

    up: bool


class Vitals(msgspec.Struct, frozen=True):
    """The worker's machine, measured now and then."""

    load: float
    memory_free_bytes: int
    disk_free_bytes: int
    hub_lag_ms: int
    no_disk: bool = False  # less room than `worker.disk_free_min_bytes`


class WardenSaid(msgspec.Struct, frozen=True):
    """A message of the warden (tables at the top of ``actors/worker/warden.py``)."""

    message: dict[str, Any]


class Prepared(msgspec.Struct, frozen=True):
    """Answer to `Prepare`: what to launch; ``launch`` None needs no process."""

    dispatch_id: int
    launch: Launch | None
    problem: str = ""  # why it cannot be begun; the attempt fails with reason ``preflight``


class Collected(msgspec.Struct, frozen=True):
    """Answer to `Collect`: what the ended process left behind."""

    dispatch_id: int
    collection: Collection


class OnDisk(msgspec.Struct, frozen=True):
    """Answer to `TellWhenOnDisk`."""

    about: Any


class LogPage(msgspec.Struct, frozen=True):
    """Answer to `ReadLog`."""

    token: Any
    data: bytes
    size: int
    exists: bool
    offset: int  # where ``data`` begins: later than asked for where something is not kept


# --- what actors ask of it ----------------------------------------------------------------------


class Effect(msgspec.Struct, frozen=True):
    """Base of what is performed after the commit."""


class Prepare(Effect, frozen=True):
    """Make the attempt's folder and files on the file thread; repeatable. → `Prepared`."""

    request: TaskExecuteRequest


class Collect(Effect, frozen=True):
    """Read outputs and the log's end on the file thread; repeatable. → `Collected`."""

    dispatch_id: int
    task_type: str
    log: str
    exit_code: int
    outputs: dict[str, Any]
    required: list[str]


class Discard(Effect, frozen=True):
    """Remove the attempt's working folder; its log stays.

    ``brief``: its process, if any, lived so short that another attempt may get the folder instead.
    """

    dispatch_id: int
    brief: bool = False


class ReadLog(Effect, frozen=True):
    """A page of a log by name. → `LogPage`."""

    token: Any
    log: str
    offset: int
    limit: int


class ToWarden(Effect, frozen=True):
    """A message for the warden, in order with the others. → `WardenSaid`.

    ``only``: pid and start of the one that it is meant for; to any other it is lost.
    """

    message: dict[str, Any]
    only: tuple[int, int] | None = None


class WatchWarden(Effect, frozen=True):
    """Watch a worker's warden on the master's own machine, instead of an earlier one of that
    worker. → `WardenGone`, once; at once if there is no such process."""

    worker: str
    pid: int
    start_ticks: int


class TellWhenOnDisk(Effect, frozen=True):
    """Tell me when this turn is on disk. → `OnDisk`."""

    about: Any


class Withdraw(Effect, frozen=True):
    """Take back the announcement of the endpoints: who looks now finds no cluster."""


class Leave(Effect, frozen=True):
    """The node ends itself, its last turn committed."""

    reason: str
    end_warden: bool = False
    again: bool = False  # and begins another life at once
