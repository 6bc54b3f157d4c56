"""Performs the turn under gevent: what arrives goes in, batches go to the disk, effects go out.

One greenlet thinks, one serves the storage thread (commits and loads, in order), one the reader
thread. What is role specific (links, the warden, task files) is handed in by ``master_node`` and
``worker_node``. Crash-only: a bug in an actor or a commit that can never succeed ends the process;
what was not committed was never visible, and the next start reads the truth from the rows.
"""

import gc
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gevent import Greenlet, sleep, spawn
from gevent import signal_handler as gevent_signal
from gevent.event import Event
from gevent.hub import get_hub
from gevent.queue import Queue
from gevent.threadpool import ThreadPool

from ..actors.base import Loaded, OnDisk, Queried, TellWhenOnDisk
from ..actors.suspects import FORGIVE_MS, Suspect, quarantine_answer
from ..actors.turn import Load, Perform, Query, Released, Send, Turn, shares
from ..home.settings import Settings
from ..protocol.codec import (
    FRAME_BYTES_MAX,
    BadCommand,
    CommandDecoder,
    ProtocolError,
    decode_header,
    encode_frames,
)
from ..protocol.commands import Command, Refused, Request
from ..protocol.errors import NotAllowed, StenellaError
from ..protocol.rows import Batch, CommitFinal, CommitRefused, CommitTransient, CommitUnknown
from . import suspects_file
from .link import LinkLimits

log = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
#: New objects before the first of the collector's generations is walked; how often that before
#: the second and the third. What a node keeps (rows, keys, messages) has no cycles, and the default
#: of 700 cost a master 14 % of a fan-out; cycles come from errors and greenlets, few at a time.
GC_THRESHOLDS = (20_000, 20, 50)

EXIT_OK = 0
EXIT_SIGNALLED = 143  # told to leave by a signal: a supervisor that is not leaving starts it again
EXIT_BUG = 70  # EX_SOFTWARE: the supervisor starts the node again
EXIT_LATER = 75  # EX_TEMPFAIL: the supervisor starts it again, when there may be room on the disk
EXIT_AGAIN = 76  # another life at once, in the same process: nobody outside sees it
#: Between two looks at what no event tells of. A node wakes for its heartbeats anyway, so looking
#: needs no timer: one that is idle looks as often as they come.
LOOK_MS = 1_000
#: A commit whose answer is lost so often in a row: the disk is failing, and the next start knows.
UNKNOWN_MAX = 5
#: Between attempts at the same batch, doubled: a lock clears in milliseconds, a full disk does not.
RETRY_S_MIN, RETRY_S_MAX = 0.02, 1.0
#: Reads served by one hop to the storage thread, which takes longer (60 µs) than a read by key (5):
#: few enough that a commit does not wait for long.
LOADS_MAX = 250
#: At a clean stop: what was thought is committed and sent, or the next start sends it.
STOP_S_MAX = 5.0
#: Bad frames may come in floods; the log gets one line a second, the counters get all.
BAD_FRAME_LOG_S = 1.0


def log_to_stderr() -> None:
    """A node's log, whoever started it: a supervisor has a file there."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)


def now_ms() -> int:
    """The monotonic clock, for waits and leases: it counts what the machine sleeps, too."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """The wall clock, for rows and for people."""
    return time.time_ns() // 1_000_000


def clock_us() -> int:
    """A fine clock, for measuring `receive`."""
    return time.perf_counter_ns() // 1_000


def in_pool(pool: ThreadPool, function: Callable[..., Any], *args: Any) -> Any:
    """The result of ``function`` on a native thread of ``pool``; raises what it raises.

    The error crosses as a value: gevent writes one that is raised there to standard error first,
    and where that is a full disk, the caller never hears of it (seen: the node hung for good).
    """
    value, error = pool.apply(outcome, (function, args))
    if error is not None:
        raise error
    return value


def outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """What ``function`` returned, and what it raised: to cross from a native thread as a value."""
    try:
        return function(*args), None
    except Exception as error:  # noqa: BLE001 - what is raised is told to whoever asked
        return None, error


def link_limits(settings: Settings) -> LinkLimits:
    """What a node's links hold at most; the frame's limit is the protocol's."""
    return LinkLimits(
        frame_bytes_max=FRAME_BYTES_MAX, peer_frames_max=settings.node.peer_frames_max
    )


class Node:
    """One process's turn and its performers.

    ``commit``, ``reconnect`` and ``load`` run on the storage thread, ``ask`` on the reader thread;
    ``post`` queues a body for a peer; ``perform`` does what only this role does; ``look`` is
    called when it wakes, `LOOK_MS` apart, and told how late we are; ``suspects`` is the file of
    what may have crashed it.
    """

    def __init__(
        self,
        turn: Turn,
        *,
        cluster: str,
        sender: str,
        boot: str,
        storage: ThreadPool,
        commit: Callable[[Batch], None],
        reconnect: Callable[[], None],
        load: Callable[[str, tuple[Any, ...]], list[Any]],
        ask: Callable[[str, tuple[Any, ...]], Any],
        post: Callable[[bytes, bytes], None],
        perform: Callable[[str, Any], None],
        look: Callable[[int], None],
        refuses: bool,
        suspects: Path,
    ) -> None:
        self.turn = turn
        self.cluster, self.sender, self.boot = cluster, sender, boot
        self.exit_code: int | None = None
        self._storage, self._commit, self._load = storage, commit, load
        self._reconnect, self._suspects = reconnect, suspects
        self._ask, self._post, self._perform = ask, post, perform
        self._look, self._look_due_ms = look, 0
        self._refuses = refuses  # the bound side tells its peers what it could not take
        self._wake = Event()
        self._jobs: Queue[Batch | Load] = Queue()
        self._questions: Queue[Query] = Queue()
        self._ended = Event()
        self._stopping = False
        self._bad_logged_s = 0.0
        self._lifeline: Any = None
        self._greenlets: list[Greenlet[..., Any]] = []

    # --- life -----------------------------------------------------------------------------------

    def run(self, pumps: list[Callable[[], None]]) -> int:
        """Live until `leave` or a crash; ``pumps`` are greenlet bodies that must not end."""
        gc.collect()
        gc.freeze()  # modules and all that was made at the start are walked no more
        gc.set_threshold(*GC_THRESHOLDS)
        bodies = [self._think, self._serve_storage, self._serve_reader, self._acquit, *pumps]
        for body in bodies:
            greenlet = spawn(body)
            greenlet.link_exception(self._crash)
            self._greenlets.append(greenlet)
        self._ended.wait()
        self._settle()
        for greenlet in self._greenlets:
            greenlet.kill()
        assert self.exit_code is not None
        return self.exit_code

    def leave(self, exit_code: int = EXIT_OK) -> None:
        """End `run` after what was thought is on disk and sent; the first call decides."""
        if self.exit_code is None:
            self.exit_code = exit_code
        self._stopping = True
        self._ended.set()

    def heed_signals(self, supervised: bool) -> None:
        """TERM and INT end the node cleanly; so does the end of a supervisor's pipe on stdin."""
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent_signal(number, self.leave, EXIT_SIGNALLED)
        if supervised:
            self._lifeline = get_hub().loop.io(0, 1)
            self._lifeline.start(self.leave, EXIT_SIGNALLED)

    def offer(self, actor: str, message: Any) -> None:
        """Something of this node happened."""
        self.turn.offer(actor, message)
        self._wake.set()

    def _crash(self, greenlet: "Greenlet[..., Any]") -> None:
        error = greenlet.exception
        if isinstance(error, StenellaError):
            log.error("%s", error.message)
            self.leave(error.exit_code)
            return
        log.critical("the node ends after a bug; its next start goes on from the rows: %r", error)
        self.leave(EXIT_BUG)

    def _accuse(self, suspects: list[Suspect]) -> None:
        """Before the end: the next life is careful with these."""
        suspects_file.append(self._suspects, suspects)
        keys = ", ".join(suspect.key for suspect in suspects[-3:]) or "nothing known"
        log.critical("suspected: %s (%d in all)", keys, len(suspects))

    def _acquit(self) -> None:
        """A life that was long enough clears whoever was suspected once."""
        sleep(FORGIVE_MS / 1_000)
        if self.turn.suspicion.former:
            guilty = self.turn.suspicion.quarantined
            kept = [s for s in suspects_file.read(self._suspects) if s.key in guilty]
            suspects_file.keep(self._suspects, kept)
            log.info("no crash for a while: nobody is suspected any more")
        Event().wait()

    def _settle(self) -> None:
        """Let the commit in flight and the last effects out, for a clean end only."""
        if self.exit_code not in (EXIT_OK, EXIT_SIGNALLED, EXIT_AGAIN):
            return
        end_s = time.monotonic() + STOP_S_MAX
        while not self.turn.is_settled and time.monotonic() < end_s:
            sleep(0.005)

    # --- what arrives ---------------------------------------------------------------------------

    def take_frame(
        self,
        peer: bytes,
        sender: str,
        body: bytes,
        decoder: CommandDecoder[Any],
        routes: dict[type[Command], str],
        not_for: Callable[[Command], str] | None = None,
    ) -> None:
        """A body from a peer whose key belongs to ``sender``: judge it, decode it, offer it.

        ``not_for`` says why a command is not for the holder of this key; empty: it is.
        """
        if self._stopping:
            return
        wire = self.turn.wire
        try:
            frame = decode_header(body, self.cluster)
            if frame.sender != sender:
                raise ProtocolError("sender", f"{frame.sender[:64]!r} with the key of {sender}")
            good, bad = decoder.decode(frame.commands)
        except ProtocolError as error:
            self._count_bad(error.reason, sender, str(error))
            if error.reason == "version":
                self._refuse(peer, "", "version", str(error))
            return
        wire.handled += 1
        for unreadable in bad:
            self._count_bad("command", sender, unreadable.reason)
        for unreadable in [b for b in bad if b.request_id] or bad[:1]:
            self._refuse_unreadable(peer, unreadable)
        for command, size in zip(good, shares(body, len(good)), strict=True):
            if not_for is not None and (text := not_for(command)):
                wire.reject("role")
                self._refuse_role(peer, getattr(command, "request_id", ""), text)
                continue
            why_not = self.turn.offer(routes[type(command)], command, peer, sender, size)
            if why_not == "quarantined" and (answer := quarantine_answer(command)) is not None:
                self._send(peer, [answer])
            if why_not == "busy" and isinstance(command, Request):
                text = "the master has too much to do; try again"
                self._refuse(peer, command.request_id, "busy", text)
        self._wake.set()

    def _refuse_role(self, peer: bytes, request_id: str, text: str) -> None:
        """Not allowed with that key."""
        refusal = Refused(
            request_id=request_id, exit_code=NotAllowed.exit_code, code="not_allowed", message=text
        )
        self._send(peer, [refusal])

    def _refuse_unreadable(self, peer: bytes, unreadable: BadCommand) -> None:
        text = f"not understood, or not for your key: {unreadable.reason}"
        self._refuse(peer, unreadable.request_id, "not_understood", text)

    def _count_bad(self, reason: str, sender: str, detail: str) -> None:
        self.turn.wire.reject(reason)
        if time.monotonic() - self._bad_logged_s >= BAD_FRAME_LOG_S:
            self._bad_logged_s = time.monotonic()
            log.warning("bad frame reason=%s sender=%s detail=%s", reason, sender, detail)

    def _refuse(self, peer: bytes, request_id: str, code: str, message: str) -> None:
        if not self._refuses:
            return  # two nodes that do not understand each other must not answer each other
        refusal = Refused(request_id=request_id, exit_code=6, code=code, message=message)
        self._send(peer, [refusal])

    # --- think and act --------------------------------------------------------------------------

    def _think(self) -> None:
        turn = self.turn
        while True:
            self._wake.clear()
            if (at_ms := now_ms()) >= self._look_due_ms:
                self._look_due_ms = at_ms + LOOK_MS
                due_ms = turn.next_due()
                self._look(0 if due_ms is None else max(0, at_ms - due_ms))
            if turn.has_work(at_ms):
                self._act(self._take_turn())
                self._form()
                self._act(turn.release())
                sleep(0)  # the pumps' turn
            else:
                due_ms = turn.next_due()
                self._wake.wait(None if due_ms is None else max(0, due_ms - now_ms()) / 1_000)

    def _take_turn(self) -> list[Released]:
        try:
            return self.turn.think(now_ms(), wall_ms())
        except Exception:
            self._accuse(self.turn.blame())
            raise

    def _form(self) -> None:
        batch = self.turn.form()
        if batch is not None:
            self._jobs.put(batch)

    def _act(self, released: list[Released]) -> None:
        """Perform in order; what goes to one peer goes together, in order, at the end."""
        outgoing: dict[bytes, list[Command]] = {}
        last: list[Perform] = []
        for effect in released:
            match effect:
                case Send():
                    outgoing.setdefault(effect.peer, []).append(effect.command)
                case Load():
                    self._jobs.put(effect)
                case Query():
                    self._questions.put(effect)
                case Perform(effect=TellWhenOnDisk(about)):
                    self.offer(effect.actor, OnDisk(about))
                case Perform():
                    last.append(effect)
        for peer, commands in outgoing.items():
            self._send(peer, commands)
        for effect in last:
            self._perform(effect.actor, effect.effect)

    def _send(self, peer: bytes, commands: list[Command]) -> None:
        try:
            frames = encode_frames(self.cluster, self.sender, self.boot, commands)
        except ProtocolError as error:
            self._send_the_rest(peer, commands, error)
            return
        self.turn.frames_out += len(frames)
        for body in frames:
            self._post(peer, body)

    def _send_the_rest(self, peer: bytes, commands: list[Command], error: ProtocolError) -> None:
        """One of them is too large for the wire: refuse that, send the others one by one."""
        if len(commands) > 1:
            for command in commands:
                self._send(peer, [command])
            return
        log.error("not sent: %s", error)
        request_id = getattr(commands[0], "request_id", "")
        if request_id and not isinstance(commands[0], Refused):
            self._refuse(peer, request_id, "too_large", f"the answer is too large: {error}")

    # --- storage and reader ---------------------------------------------------------------------

    def _serve_storage(self) -> None:
        while True:
            job = self._jobs.get()
            if isinstance(job, Batch):
                began_us = clock_us()
                self._write(job)
                self.turn.committed(clock_us() - began_us)
                self._act(self.turn.release())
                self._form()
                self._act(self.turn.release())
                self._wake.set()
            else:
                loads = [job, *self._further_loads()]
                for load, rows in zip(loads, self._read(loads), strict=True):
                    self.offer(load.actor, Loaded(load.name, load.key, rows))

    def _write(self, batch: Batch) -> None:
        """Until it is on disk. Raises CommitFinal; CommitUnknown if the disk fails on and on."""
        pause_s, lost_answers = RETRY_S_MIN, 0
        while True:
            try:
                if lost_answers:
                    in_pool(self._storage, self._reconnect)
                in_pool(self._storage, self._commit, batch)
                return
            except CommitTransient as error:
                self._stall(error)
            except CommitUnknown as error:
                lost_answers += 1
                if lost_answers > UNKNOWN_MAX:
                    raise
                self._stall(error)  # the same batch finds out by its number
            except CommitFinal as error:
                log.critical("the commit can never succeed: %s", error)
                if isinstance(error, CommitRefused):
                    self._accuse(self.turn.blame(batch))
                raise
            sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)

    def _stall(self, error: Exception) -> None:
        if not self.turn.stalled_ms:
            log.warning("storage stalled, nothing is lost, trying again: %s", error)
        self.turn.failed(now_ms(), str(error))

    def _further_loads(self) -> list[Load]:
        """Those that follow without a batch between them: one hop to the thread serves them all."""
        loads: list[Load] = []
        while len(loads) < LOADS_MAX and self._jobs.qsize():
            job = self._jobs.peek()
            if isinstance(job, Batch):
                break
            loads.append(job)
            self._jobs.get()
        return loads

    def _read(self, loads: list[Load]) -> list[list[Any]]:
        while True:
            try:
                return in_pool(self._storage, self._load_all, loads)  # type: ignore[no-any-return]
            except CommitTransient as error:
                log.warning("cannot read, trying again: %s", error)
                sleep(RETRY_S_MAX)

    def _load_all(self, loads: list[Load]) -> list[list[Any]]:
        """On the storage thread; what is read twice after an error does no harm."""
        return [self._load(load.name, load.key) for load in loads]

    def _serve_reader(self) -> None:
        pool = ThreadPool(1)
        while True:
            question = self._questions.get()
            document, error = pool.apply(outcome, (self._ask, (question.name, question.key)))
            refusal = None
            if isinstance(error, StenellaError):
                refusal = (error.exit_code, error.code, error.message)
            elif error is not None:
                log.warning("cannot answer %s: %r", question.name, error)
                refusal = (6, "not_read", f"the database could not be read: {error}")
            self.offer(question.actor, Queried(question.name, question.token, document, refusal))
