"""The warden's process: performs `actors/worker/warden.py`, parent of a worker's task processes.

``python -m stenella.runtime.warden_main FOLDER``, FOLDER being the worker's, mode 0700. It holds
``warden.lock`` (with its pid), listens on ``warden.sock`` and writes ``warden.log``. A second one
in the same folder ends at once with exit code 6. One thread, one poll. The standard library only,
and little of it: every worker pays for it (`typing`, `subprocess`, `logging` would add 3 MB).

Taking the lock proves that no spawn of a former warden is still under way: a child between clone
and exec holds a copy of the lock's descriptor. Linux only: /proc, and a child subreaper.
"""

import ctypes
import fcntl
import heapq
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress

from ..actors.worker.warden import Effect, Fields, Warden
from .warden_logs import are_empty, cap
from .warden_tasks import PASSING, Tasks

READ_BYTES = 16_384  # a turn takes some 20 starts, 15 ms: what they answer does not wait longer
LINE_BYTES_MAX = 64 << 20  # above any start: the kernel takes 6 MB of arguments and environment
BACKLOG = 8  # one worker, now and then two lives of it
DISK_RETRY_MS = 1_000  # a log that could not be appended to is tried again
ACCEPT_RETRY_MS = 1_000  # no file left for a connection; it waits in the backlog
GOODBYE_S = 1.0  # for the last facts to leave
HELD = 6  # exit code: another warden has this folder
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

#: They concern processes whose `begun` or `starting` is recorded, so they need not wait for a disk
#: that refuses: a full one is a reason to kill.
AT_ONCE = ("signal", "sweep", "count", "cap", "timer", "limit", "alarm", "close")
#: A poll does not count the time that the machine is suspended; a lease does.
ALARM_LOOK_MS = 1_000


class Log:
    """``warden.log``: JSON lines. What the disk does not take is kept and appended later."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.unwritten = b""

    def read(self) -> list[Fields]:
        """All whole records; a torn or damaged line is left out."""
        records = []
        with open(self.path, "rb") as file:
            lines = file.read().split(b"\n")
        if lines[-1]:
            self.unwritten = b"\n"  # the torn line must not swallow the next
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and {"dispatch_id", "phase"} <= record.keys():
                records.append(record)
        return records

    def append(self, records: list[Fields]) -> bool:
        """One write for all of them. False: the disk refuses; nothing is lost, call again."""
        self.unwritten += lines_of(records)
        try:
            while self.unwritten:
                self.unwritten = self.unwritten[os.write(self.fd, self.unwritten) :]
        except OSError:
            return False
        return True

    def rewrite(self, records: list[Fields]) -> None:
        """Replace the file in one step; if the disk refuses, the old one stays: it says more.

        ``records`` hold all that was appended, so nothing may be unwritten but a torn line's end.
        """
        fresh, data = -1, lines_of(records)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            fresh = os.open(self.path + ".new", flags, 0o600)
            while data:
                data = data[os.write(fresh, data) :]
            os.rename(self.path + ".new", self.path)
        except OSError:
            if fresh >= 0:
                os.close(fresh)
            return
        os.close(self.fd)
        self.fd, self.unwritten = fresh, b""


def lines_of(records: list[Fields]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


class Connection:
    """One stream of JSON lines; what it cannot take at once waits in ``outbox``."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self.stream = stream
        self.inbox = b""
        self.outbox = b""

    def read(self) -> list[bytes] | None:
        """The whole lines that have come; None at the end."""
        try:
            data = self.stream.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        return lines if data and len(self.inbox) <= LINE_BYTES_MAX else None

    def flush(self) -> None:
        """Send what goes without waiting; a peer that is gone is found by `read`."""
        try:
            while self.outbox:
                self.outbox = self.outbox[self.stream.send(self.outbox) :]
        except BlockingIOError:
            return
        except OSError:
            self.outbox = b""


class Performer:
    """The loop: take what has come, ask the rules, perform what they say, in their order."""

    def __init__(self, folder: int, listener: socket.socket) -> None:
        path = f"/proc/self/fd/{folder}/warden.log"  # of any length, whatever the folder's path
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            kernel_boot = file.read().strip()
        self.log = Log(path)
        self.tasks = Tasks()
        self.warden = Warden(self.log.read(), kernel_boot)
        self.listener = listener
        self.connections: dict[int, Connection] = {}
        self.connection_no = 0
        self.deaf_until = 0  # monotonic ns: a connection cannot be taken before
        self.timers: list[tuple[int, int, Fields]] = []  # due in monotonic ns, number, message
        self.timer_no = 0
        self.limits: dict[int, int] = {}  # dispatch_id → due in monotonic ns; of running ones only
        self.alarm_ms = 0  # on CLOCK_BOOTTIME; 0: none
        self.waiting: list[Effect] = []  # for the log
        self.running = True

    def run(self) -> None:
        """Until the rules say exit."""
        wake, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the poll ends
        self._think([{"do": "open"}])
        while self.running:
            poll = select.poll()
            poll.register(wake, select.POLLIN)
            if self.deaf_until <= time.monotonic_ns():
                poll.register(self.listener, select.POLLIN)
            by_fd = {c.stream.fileno(): number for number, c in self.connections.items()}
            for fd, number in by_fd.items():
                out = select.POLLOUT if self.connections[number].outbox else 0
                poll.register(fd, select.POLLIN | out)
            ready = [fd for fd, _ in poll.poll(self._patience_ms())]
            messages = []
            for fd in ready:
                if fd == wake:
                    os.read(wake, READ_BYTES)
                elif fd == self.listener.fileno():
                    self._accept()
                else:
                    messages += self._read(by_fd[fd])
            now_ms = boottime_ms()
            if self.alarm_ms <= now_ms:
                self.alarm_ms = 0
            clock = {"do": "clock", "now_ms": now_ms}
            self._think([clock, *messages, *self.tasks.reap(), *self._due()])
            for connection in self.connections.values():
                connection.flush()
        for connection in self.connections.values():
            connection.stream.settimeout(GOODBYE_S)
            connection.flush()

    def _patience_ms(self) -> float | None:
        waits: list[float] = [DISK_RETRY_MS] if self.waiting else []
        due = [*(timer[0] for timer in self.timers[:1]), *self.limits.values()]
        if self.deaf_until > time.monotonic_ns():
            due.append(self.deaf_until)
        if due:
            waits.append((min(due) - time.monotonic_ns()) / 1e6)
        if self.alarm_ms:
            waits.append(min(self.alarm_ms - boottime_ms(), ALARM_LOOK_MS))
        return max(0.0, min(waits)) if waits else None

    def _accept(self) -> None:
        try:
            stream, _ = self.listener.accept()
        except OSError as error:
            if error.errno in PASSING:  # it stays readable: asked at once, it would take all time
                self.deaf_until = time.monotonic_ns() + ACCEPT_RETRY_MS * 1_000_000
            return  # else it has given up meanwhile
        self.connection_no += 1
        self.connections[self.connection_no] = Connection(stream)

    def _read(self, number: int) -> list[Fields]:
        lines = self.connections[number].read()
        if lines is None:
            self.connections.pop(number).stream.close()
            return [{"do": "closed", "connection": number}]
        return [message_of(line) | {"connection": number} for line in lines]

    def _due(self) -> list[Fields]:
        now, due = time.monotonic_ns(), []
        while self.timers and self.timers[0][0] <= now:
            due.append(heapq.heappop(self.timers)[2])
        for dispatch_id in [d for d, due_ns in self.limits.items() if due_ns <= now]:
            del self.limits[dispatch_id]
            due.append({"do": "limit_over", "dispatch_id": dispatch_id})
        return due

    def _think(self, messages: list[Fields]) -> None:
        effects = [effect for message in messages for effect in self.warden.receive(message)]
        while effects or self.waiting:
            answers = self._perform(effects)
            if not answers:
                return
            effects = [effect for answer in answers for effect in self.warden.receive(answer)]

    def _perform(self, effects: list[Effect]) -> list[Fields]:
        """Perform a batch; its records go first, in one write. Returns what the effects answer."""
        self.tasks.look_again()
        answers = [a for effect in effects if effect[0] in AT_ONCE for a in self._do(effect)]
        self.waiting += [effect for effect in effects if effect[0] not in AT_ONCE]
        while self.waiting and self.running:
            if self.waiting[0][0] == "rewrite":
                self.log.rewrite(self.waiting.pop(0)[1])
                continue
            kinds = [effect[0] for effect in self.waiting]
            end = kinds.index("rewrite") if "rewrite" in kinds else len(kinds)
            batch = [effect for effect in self.waiting[:end] if effect[0] != "record"]
            recorded = self.log.append([e[1] for e in self.waiting[:end] if e[0] == "record"])
            if not recorded:
                self.waiting[:end] = batch
                break
            self.waiting = self.waiting[end:]
            answers += [answer for effect in batch for answer in self._do(effect)]
        return answers

    def _do(self, effect: Effect) -> list[Fields]:
        match effect:
            case ("spawn", start):
                if withdrawn := self.warden.withdrawn(start, time.time_ns() // 1_000_000):
                    return [withdrawn]
                return [self.tasks.spawn(start)]
            case ("signal", dispatch_id, pid):
                sent = self.tasks.terminate(pid)
                return [{"do": "signalled", "dispatch_id": dispatch_id}] if sent else []
            case ("sweep", sweep):
                answer = {name: sweep[name] for name in ("dispatch_id", "sweep_no")}
                left = self.tasks.sweep(sweep)
                silent = are_empty(sweep["traces"])
                return [answer | {"do": "swept", "left": left, "silent": silent}]
            case ("count", counts):
                return [{"do": "counted", "counts": self.tasks.count(counts)}]
            case ("cap", log, bytes_max):
                cap(log, bytes_max)
            case ("tell", number, fact):
                if number in self.connections:
                    self.connections[number].outbox += json.dumps(fact).encode() + b"\n"
            case ("close", number):
                if number in self.connections:
                    self.connections.pop(number).stream.close()
            case ("timer", after_ms, message):
                self.timer_no += 1
                due = time.monotonic_ns() + after_ms * 1_000_000
                heapq.heappush(self.timers, (due, self.timer_no, message))
            case ("limit", dispatch_id, None):
                self.limits.pop(dispatch_id, None)
            case ("limit", dispatch_id, after_ms):
                self.limits[dispatch_id] = time.monotonic_ns() + after_ms * 1_000_000
            case ("alarm", at_ms):
                self.alarm_ms = at_ms
            case _:
                assert effect == ("exit",), effect
                self.running = False
        return []


def boottime_ms() -> int:
    """The clock of leases: it counts what a machine sleeps, and no one sets it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def message_of(line: bytes) -> Fields:
    """A command as it came; a line that is none gets a name that no command has."""
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict) or message.get("do", "closed") == "closed":
        message = {"do": ""}
    return message | {"do": str(message["do"])}


def main(folder_path: str) -> int:
    """Guard the folder until nothing is left to do; returns the exit code."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
            os.close(int(name))  # whatever the starter left open: this process outlives it
    folder = os.open(folder_path, os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("/")
    lock = os.open("warden.lock", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return HELD
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        return 1
    # A Unix socket's path is limited to 107 bytes; a home's is not.
    address = f"/proc/self/fd/{folder}/warden.sock"
    with suppress(FileNotFoundError):
        os.unlink("warden.sock", dir_fd=folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        os.chmod(address, 0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        Performer(folder, listener).run()
        os.unlink("warden.sock", dir_fd=folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
