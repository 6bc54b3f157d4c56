"""``up``: keeps the master and the workers of one home running; one supervisor per home.

A child that ends is started again after a pause; one that ended with a refusal (a held home, a
port in use, a newer schema, a wrong setting) is not, and its line and code become ours. Children
run in sessions of their own, so a Ctrl-C in the terminal reaches only the supervisor; each holds
the read end of a pipe as its standard input and leaves when the supervisor is gone. stdlib only:
this process sleeps all its life, so it should weigh little.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..home import endpoints, locks
from ..home.files import replace
from ..home.layout import Home
from .process import PROGRAM

#: Before the next start of a child that ended, by how often it did so in a row (DESIGN section 9).
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
#: A child that lived so long has not ended "in a row".
STEADY_S = 10.0
#: Ends that another start cannot mend: usage, refused in this state, not allowed.
REFUSALS = (2, 6, 8)
#: Between looks for the master's endpoints while it starts.
LOOK_S = 0.02
#: For children that were told to leave; then they are killed (tasks stay with the wardens).
LEAVE_S = 10.0
LOG_BYTES_MAX = 4 * 1024 * 1024  # at a child's start a longer log is begun anew, one old one kept

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Desired(msgspec.Struct, frozen=True):
    """``run/desired.json``: what `up` asks of the running supervisor."""

    workers: int
    slots: int | None = None


def remembered_workers(home: Home) -> int:
    """How many workers this home had last: they may hold tasks that wait for them."""
    try:
        return msgspec.json.decode(home.desired_file.read_bytes(), type=Desired).workers
    except (FileNotFoundError, msgspec.MsgspecError):
        return 1


def _remember(home: Home, desired: Desired) -> None:
    replace(home.desired_file, msgspec.json.encode(desired) + b"\n")


def ask_for(home: Home, desired: Desired) -> bool:
    """Tell the home's supervisor what is wanted; False if there is none."""
    pid = locks.holder(home.supervisor_lock)
    if pid is None:
        return False
    _remember(home, desired)
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:  # it has just left
        return False
    return True


class Child:
    """A process that is to be there."""

    def __init__(self, name: str, words: list[str], log: Path) -> None:
        self.name = name
        self.words = words
        self.log = log
        self.pid = 0
        self.started_s = 0.0
        self.ends = 0  # in a row
        self.due_s: float | None = None  # of the next start
        self.refused = False
        self.drained = False  # it ended because its master is going

    def start(self, lifeline: int, now_s: float) -> None:
        """Start it in a session of its own, its output appended to its log."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.pid = os.posix_spawn(
            sys.executable,
            [*PROGRAM, *self.words],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, lifeline, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
        )
        self.started_s, self.due_s = now_s, None

    def ended(self, now_s: float) -> None:
        """Plan the next start."""
        self.pid = 0
        self.ends = 0 if now_s - self.started_s >= STEADY_S else self.ends + 1
        self.due_s = now_s + PAUSES_S[min(self.ends, len(PAUSES_S)) - 1] if self.ends else now_s

    def last_line(self) -> str:
        """What it said last: of a refusal, the reason."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4_096))
            lines = file.read().decode(errors="replace").splitlines()
        return lines[-1].removeprefix("stenella: ") if lines else f"see {self.log}"


class Supervisor:
    """Owns the children of one home. ``say`` writes a line for the person at the terminal."""

    def __init__(
        self, home: Home, desired: Desired, linger_s: float | None, say: Callable[[str], None]
    ) -> None:
        self.home = home
        self.say = say
        self.lifeline, self._lifeline_end = os.pipe()
        words = ["master"] if linger_s is None else ["master", f"{linger_s:g}"]
        self.children = [Child("master", words, home.run / "master.log")]
        self.slots: int | None = None
        self.announced = 0  # pid of the master whose endpoints were said
        self.told_to_stay = 0  # pid of a master that was to leave when idle, and is to no more
        self.has_fallen = False  # a master has ended otherwise than on its way down
        self.exit_code: int | None = None
        self.leave_by_s: float | None = None
        self.down_pid = 0  # of the `down` that a signal started
        self.want(desired)

    def want(self, desired: Desired) -> None:
        """More workers are started; other slots restart them (their tasks stay). Never fewer."""
        have = len(self.children) - 1
        for number in range(have + 1, desired.workers + 1):
            folder = self.home.worker(number)
            folder.create()
            words = ["worker", str(number)]
            self.children.append(Child(f"worker {number}", words, folder.folder / "worker.log"))
        if desired.slots is not None and desired.slots != self.slots:
            self.slots = desired.slots
            for child in self.children[1:]:
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
        for child in self.children[1:]:
            child.refused = False  # whoever asks has mended what it was refused for
            child.drained = False  # and wants it there
            base = child.words[:2]
            child.words = base if self.slots is None else [*base, str(self.slots)]

    def run(self) -> int:
        """Supervise until everything has left; the exit code."""
        for child in self.children:
            self._start(child, time.monotonic())
        while not (self.exit_code is not None and not any(c.pid for c in self.children)):
            self._step()
        return self.exit_code

    def _step(self) -> None:
        received = signal.sigtimedwait(SIGNALS, self._patience_s())
        now_s = time.monotonic()
        number = received.si_signo if received is not None else 0
        if number == signal.SIGHUP:
            self._read_desired()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._go_down(now_s)
        self._reap(now_s)
        for child in self.children:
            if self._is_missing(child) and (child.due_s is None or child.due_s <= now_s):
                self._start(child, now_s)
        self._announce()
        if self.leave_by_s is not None and now_s >= self.leave_by_s:
            self._signal_all(signal.SIGKILL)

    def _is_missing(self, child: Child) -> bool:
        """It is to be started, at once or after its pause."""
        is_down = not (child.pid or child.refused or child.drained)
        return self.exit_code is None and is_down

    def _start(self, child: Child, now_s: float) -> None:
        try:
            child.start(self.lifeline, now_s)
        except OSError as error:  # no process, memory or disk left: it may come back
            child.started_s = now_s  # an end at once, or it would be tried again without a pause
            child.ended(now_s)
            self.say(f"{child.name} cannot be started: {error}; tried again")

    def _patience_s(self) -> float:
        now_s = time.monotonic()
        waits = [
            child.due_s - now_s
            for child in self.children
            if child.due_s is not None and self._is_missing(child)
        ]
        if self.leave_by_s is not None:
            waits.append(self.leave_by_s - now_s)
        if self.exit_code is None and self.announced != self.children[0].pid:
            waits.append(LOOK_S)
        return max(0.0, min(waits, default=3_600.0))

    def _reap(self, now_s: float) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid == self.down_pid:
                self.down_pid = 0
                if code:  # nobody answered it: leave without the drain, tasks stay
                    self._leave(code, now_s)
            for child in self.children:
                if child.pid == pid:
                    self._child_ended(child, code, now_s)

    def _child_ended(self, child: Child, code: int, now_s: float) -> None:
        is_master = child is self.children[0]
        stays = is_master and child.pid == self.told_to_stay
        child.ended(now_s)
        if code == 0 and is_master and not stays:
            self._leave(0, now_s)  # it was shut down, or nobody used it
        elif code == 0 and not is_master and not self._has_just_fallen(now_s):
            child.drained = True  # the master is going, too
        elif code in REFUSALS:
            child.refused = True
            self.say(f"{child.name}: {child.last_line()}")
            if is_master or len(self.children) == 2:
                self._leave(code, now_s)
        elif self.exit_code is None:
            self.say(f"{child.name} ended with code {code}, is started again; see {child.log}")
            if is_master:
                self.has_fallen = True
                for worker in self.children[1:]:
                    worker.drained = False  # it came to nothing, what it drained them for

    def _has_just_fallen(self, now_s: float) -> bool:
        """Whether it may have been a former master, which did not go down, that drained a worker.

        The next one undoes that in whatever worker it meets, a second or so after its start.
        """
        master = self.children[0]
        is_new = self.has_fallen and now_s - master.started_s < STEADY_S
        return is_new or not master.pid

    def _read_desired(self) -> None:
        """Somebody ran `up` here; an embedded cluster becomes one that stays."""
        master = self.children[0]
        if master.words != ["master"]:
            master.words = ["master"]
            self.told_to_stay = master.pid
            if master.pid:
                os.kill(master.pid, signal.SIGTERM)
        try:
            self.want(msgspec.json.decode(self.home.desired_file.read_bytes(), type=Desired))
        except (FileNotFoundError, msgspec.MsgspecError) as error:
            self.say(f"{self.home.desired_file} cannot be read: {error}")

    def _go_down(self, now_s: float) -> None:
        """First Ctrl-C: as `down`. A second one: leave now; tasks stay with their wardens."""
        if self.down_pid or self.exit_code is not None:
            self._leave(130, now_s)
            return
        self.say("going down; once more to leave at once (tasks go on, the next `up` adopts them)")
        environment = os.environ | {"STENELLA_HOME": str(self.home.root)}
        self.down_pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "stenella", "down"],
            environment,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
            setsid=True,
            setsigmask=(),
        )

    def _leave(self, exit_code: int, now_s: float) -> None:
        if self.exit_code is None:
            self.exit_code = exit_code
            self.leave_by_s = now_s + LEAVE_S
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: int) -> None:
        for child in self.children:
            if child.pid:
                os.kill(child.pid, number)

    def _announce(self) -> None:
        master = endpoints.read(self.home)
        if master is not None and master.pid == self.children[0].pid != self.announced:
            self.announced = master.pid
            self.say(f"master is ready, pid {master.pid}, clients at {master.client}")


def run(home: Home, desired: Desired, linger_s: float | None, say: Callable[[str], None]) -> int:
    """Be the supervisor of ``home``. Raises RefusedInState if it has one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # whoever sees the lock may signal
    lock = locks.hold(home.supervisor_lock, "a supervisor")
    try:
        os.environ["STENELLA_HOME"] = str(home.root)  # for the children, however it was given
        _remember(home, desired)
        return Supervisor(home, desired, linger_s, say).run()
    finally:
        lock.release()
