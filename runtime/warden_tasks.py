"""The warden's hands: starts, ends, reaps and sweeps task processes; decides nothing.

Used by `warden_main.py` only and under its rules: the standard library, one thread, no fork. What
is found in /proc may be gone a moment later, and whatever is not the warden's own child may even be
another process under the same number: pids are compared with their start before they are killed.
What cannot be read because no file or memory is left just now (`PASSING`) is never taken for gone,
nor is a child that /proc hides (proc(5), hidepid: a task's setuid program).
"""

import errno
import os
import signal
import time
from contextlib import suppress

from ..actors.worker.warden import Fields
from .warden_memory import Memory, read

MARKER = b"STENELLA_ATTEMPT="
#: Why a process cannot be started or looked at just now; others have to end first.
PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT  # has it ended? Do not reap
EVERY_SIGNAL = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
KILLED_CHILD = 128 + signal.SIGKILL  # what a shell ends with when its last command got KILL
SHEBANG_BYTES = 256  # what the kernel reads of a first line

#: An attempt begins once. What stands there already was left by a former database of the same home,
#: whose numbers were the same, and its outputs are none of ours.
FRESH_LOG = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND

PF_KTHREAD = 0x200000  # proc(5), field 9: a thread of the kernel
DEAD = (b"Z", b"X")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # of field 22 there
#: Two readings of one clock, by the kernel and by us, may differ by their rounding.
CLOCK_SLACK_NS = 1_000


class Look:
    """What /proc/<pid>/stat says. Raises OSError if there is no such process any more."""

    def __init__(self, pid: int) -> None:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            stat = os.read(fd, 4096)
        finally:
            os.close(fd)
        fields = stat[stat.rindex(b")") + 2 :].split()  # proc(5): from field 3, after the name
        self.alive = fields[0] not in DEAD
        self.parent, self.group, self.session = (int(field) for field in fields[1:4])
        self.of_kernel = bool(int(fields[6]) & PF_KTHREAD)
        self.start_ticks = int(fields[19])
        self.has_environ = int(fields[48]) != 0  # its end; 0 in the middle of exec and of exit
        self.marker: bytes | None = None  # once it was asked for, and could be told
        self.environ_is_empty = fields[47] == fields[48]

    @classmethod
    def at_child(cls, child: int) -> "Look":
        """An own one, not reaped yet; if /proc hides it, as its parent sees it by other means."""
        try:
            return cls(child)
        except OSError as error:
            if error.errno in PASSING:
                raise
        look = cls.__new__(cls)
        look.alive = os.waitid(os.P_PID, child, LOOK) is None
        look.parent, look.group, look.session = os.getpid(), os.getpgid(child), os.getsid(child)
        look.of_kernel, look.start_ticks, look.marker = False, 0, b""
        return look

    def marked(self, pid: int) -> bytes | None:
        """As `marker_of`; read once for all sweeps that share this look."""
        if self.marker is None:
            self.marker = marker_of(pid)
        return self.marker


class Tasks:
    """The processes. ``mains``: pid of each main process not yet reaped → dispatch_id, begin in ns,
    kills for want of memory before it."""

    def __init__(self) -> None:
        self.mains: dict[int, tuple[int, int, int]] = {}
        self.table: dict[int, Look] | None = None
        self.memory = Memory()
        self.oom_kills: int | None = None  # as of this look

    def spawn(self, start: Fields) -> Fields:
        """Start it as its message says; the answer is `spawned` or `spawn_failed`."""
        dispatch_id, wall_ms = start["dispatch_id"], time.time_ns() // 1_000_000
        env = start["env"] | {"STENELLA_ATTEMPT": start["marker"]}
        log, path, doing = -1, "", f"cannot open the log {start['log']}"
        try:
            log = os.open(start["log"], FRESH_LOG, 0o600)
            doing = f"cannot enter the working folder {start['cwd']}"
            os.chdir(start["cwd"])
            doing = "cannot be started"
            path = found(start["argv"][0], env.get("PATH", os.defpath))
            before_ns = boottime_ns()
            pid = os.posix_spawn(
                path,
                start["argv"],
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=EVERY_SIGNAL,
            )
        except (OSError, ValueError, TypeError, IndexError) as error:
            if isinstance(error, OSError) and error.errno in PASSING:
                return {"do": "spawn_later", "dispatch_id": dispatch_id, "start": start}
            why = str(error)
            if isinstance(error, OSError):
                why = reason(path, error) if path else str(error.strerror)
            failed = {"do": "spawn_failed", "dispatch_id": dispatch_id, "end_time": wall_ms}
            return failed | {"message": f"{doing}: {why}"}
        finally:
            os.chdir("/")  # hold nobody's folder
            if log >= 0:
                os.close(log)
        after_ns = boottime_ns()
        if self.oom_kills is None:
            self.oom_kills = self.memory.kills()
        self.mains[pid] = dispatch_id, time.monotonic_ns(), self.oom_kills
        spawned = {"do": "spawned", "dispatch_id": dispatch_id, "pid": pid}
        return spawned | {
            "start_ticks": start_ticks(pid, before_ns, after_ns),
            "start_time": wall_ms,
        }

    def terminate(self, pid: int) -> bool:
        """TERM to the group of a main process; False if that has ended or may not be signalled."""
        if pid not in self.mains or os.waitid(os.P_PID, pid, LOOK) is not None:
            return False
        try:
            os.killpg(pid, signal.SIGTERM)
        except PermissionError:
            return False
        return True

    def reap(self) -> list[Fields]:
        """All children that have ended: `exited` for the main ones, nothing for orphans.

        What is left of a main process's group is killed first, while its zombie keeps the number.
        """
        exits: list[Fields] = []
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, LOOK)
            except ChildProcessError:
                return exits
            if ended is None:
                return exits
            main = self.mains.pop(ended.si_pid, None)
            if main is not None:
                kill_group(ended.si_pid)
                by_itself = ended.si_code == os.CLD_EXITED
                exited = {"do": "exited", "dispatch_id": main[0], "code": None, "signal": None}
                exited["code" if by_itself else "signal"] = ended.si_status
                exited["duration_ms"] = (time.monotonic_ns() - main[1]) // 1_000_000
                killed = ended.si_status == (KILLED_CHILD if by_itself else signal.SIGKILL)
                struck = killed and self.memory.kills() > main[2]
                exited["oom"] = self.memory.where if struck else ""
                exits.append(exited)
            os.waitpid(ended.si_pid, 0)

    def sweep(self, sweep: Fields) -> list[int]:
        """One pass of `Warden._sweep`: KILL to all that is left; the pids found alive.

        Where it cannot be seen just now, the main one stands for all: look again.
        """
        pid = sweep["pid"]
        try:
            if not sweep["everywhere"] and not self._leaves_something(pid):
                return []
            if pid in self.mains:
                kill_group(pid)
            table = self._table()
        except OSError as error:
            if error.errno in PASSING:
                return [pid]
            raise
        ours, unsure = self._attribute(sweep, table)
        killed = [p for p in with_descendants(ours, table) if kill(p, table[p])]
        return sorted({*killed, *unsure})

    def count(self, counts: list[Fields]) -> dict[int, int]:
        """Processes of each attempt; of none if not even all of the machine are too many."""
        if entities() <= min(count["most"] for count in counts):
            return {}
        try:
            table = self._table()
        except OSError as error:
            if error.errno in PASSING:
                return {}
            raise
        found = {}
        for count in counts:
            ours, _ = self._attribute(count | {"everywhere": False}, table)
            family = with_descendants([count["pid"], *ours], table)
            found[count["dispatch_id"]] = sum(p in table and table[p].alive for p in family)
        return found

    def _leaves_something(self, pid: int) -> bool:
        """Whether a main process that has ended left its group, or orphans of anybody's."""
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            pass
        except PermissionError:
            return True
        else:
            return True
        try:
            os.waitid(os.P_ALL, 0, LOOK)
        except ChildProcessError:
            return False  # no child at all
        own = children()
        if own is None:
            me = os.getpid()
            own = [child for child, look in self._table().items() if look.parent == me]
        return any(child not in self.mains for child in own)

    def _attribute(self, sweep: Fields, table: dict[int, Look]) -> tuple[list[int], list[int]]:
        """The processes that are the attempt's, and those that cannot be told at this moment.

        Exact for an own attempt: whatever is left of it has come to the warden or descends from
        what has, and a child of the warden does not vanish before the warden reaps it.
        """
        me, pid, marker = os.getpid(), sweep["pid"], sweep["marker"].encode()
        main = table.get(pid)
        same = main is not None and main.start_ticks == sweep["start_ticks"]
        alone = all(other == pid for other in self.mains)
        ours, unsure = [], []
        for p, look in table.items():
            orphan = look.parent == me and (p == pid or p not in self.mains)
            if orphan and not look.alive:
                unsure.append(p)  # what it forked last may have come too late for this table
            elif sweep["abandoned"] and same and look.group == pid:
                ours.append(p)
            elif orphan and (alone or pid in (p, look.group, look.session)):
                ours.append(p)  # alone: it may hide its origin, but can belong to nobody else
            elif look.alive and (orphan or sweep["everywhere"]) and p != me:
                found_marker = look.marked(p)
                if found_marker is None:
                    unsure.append(p)
                elif found_marker == marker:
                    ours.append(p)
        return ours, unsure

    def _table(self) -> dict[int, Look]:
        """Every process of the machine, looked at once between two calls of `look_again`.

        Raises OSError (`PASSING`): not all could be looked at.
        """
        if self.table is None:
            table = {}
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        look = Look(int(name))
                    except OSError as error:
                        if error.errno in PASSING:
                            raise
                        continue  # it has gone meanwhile
                    if not look.of_kernel:
                        table[int(name)] = look
            for child in children() or ():
                if child not in table:
                    table[child] = Look.at_child(child)
            self.table = table
        return self.table

    def look_again(self) -> None:
        self.table = self.oom_kills = None


def entities() -> int:
    """Processes and threads of the machine (proc_loadavg(5)): one cheap read; 0: cannot be read."""
    fields = read("/proc/loadavg").split()
    return int(fields[3].partition(b"/")[2]) if fields else 0


def children() -> list[int] | None:
    """The warden's own, until it reaps them; None: a kernel built without this."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return None


def boottime_ns() -> int:
    """By the clock of which the kernel counts a process's start in ticks."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def start_ticks(pid: int, before_ns: int, after_ns: int) -> int:
    """When an own child began; 0: cannot be told, so a later warden goes by its marker alone.

    Where one tick holds both readings of `boottime_ns`, as a rule, it holds the start too; to ask
    /proc costs a tenth of a spawn, while the child pages its program in.
    """
    tick = (before_ns - CLOCK_SLACK_NS) // TICK_NS
    if tick == (after_ns + CLOCK_SLACK_NS) // TICK_NS:
        return tick
    try:
        return Look(pid).start_ticks
    except OSError:  # it is there, and may be hidden (hidepid) once it has become somebody else
        return 0


def found(program: str, search_path: str) -> str:
    """The file that ``program`` means; only a name without slash is searched for."""
    if "/" in program:
        return program
    for folder in search_path.split(os.pathsep):
        path = os.path.join(folder or ".", program)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise FileNotFoundError(errno.ENOENT, f"no program {program!r} in PATH {search_path}")


def reason(path: str, error: OSError) -> str:
    """Why ``path`` could not be executed, in words that say what to mend."""
    if error.errno == errno.ENOENT and os.path.exists(path):
        first_line = b""
        with suppress(OSError), open(path, "rb") as file:
            first_line = file.readline(SHEBANG_BYTES).removeprefix(b"#!").strip(b" \t\n")
        interpreter = first_line.partition(b" ")[0].decode(errors="replace")
        return f"{path} asks for the interpreter {interpreter!r}, which does not exist"
    if error.errno == errno.EACCES:
        return f"{path} or its interpreter may not be executed: chmod +x, or a mount with noexec"
    if error.errno == errno.ENOEXEC:
        return f"{path} is no program: its first line names no interpreter (#!…)"
    if error.errno == errno.E2BIG:
        return f"arguments and environment of {path} are too large for this machine"
    return f"{path}: {error.strerror}"


def marker_of(pid: int) -> bytes | None:
    """The marker in a process's environment; empty: it has none, or hides it; None: ask again.

    In the middle of exec a process has no environment, and would pass for somebody else's
    (measured: one daemon in 500 escaped a sweep so).
    """
    try:
        while True:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
                environ = b"\0" + file.read()
            start = environ.find(b"\0" + MARKER)
            if start >= 0:
                return environ[start + 1 + len(MARKER) :].partition(b"\0")[0]
            look = Look(pid)
            if len(environ) > 1 or (look.environ_is_empty and look.has_environ):
                return b""
            if not look.has_environ:
                return None
    except OSError as error:
        return None if error.errno in PASSING else b""


def with_descendants(ours: list[int], table: dict[int, Look]) -> list[int]:
    """``ours`` and all processes below them."""
    children: dict[int, list[int]] = {}
    for p, look in table.items():
        children.setdefault(look.parent, []).append(p)
    family = dict.fromkeys(ours)
    queue = list(family)
    for p in queue:
        more = [child for child in children.get(p, ()) if child not in family]
        family |= dict.fromkeys(more)
        queue += more
    return queue


def kill(pid: int, seen: Look) -> bool:
    """KILL to that very process, not to another under its number; False if it is dead already."""
    try:
        own = seen.parent == os.getpid()  # then the number is its own until it is reaped
        if not seen.alive or not (own or Look(pid).start_ticks == seen.start_ticks):
            return False
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return True  # it lives; the next pass says more
    except OSError as error:
        return error.errno in PASSING
    return True


def kill_group(pid: int) -> None:
    """KILL to the group of a main process that is not reaped yet, so that the number is its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except PermissionError:
        return  # of another user: what is left of it is found by the sweep
