"""The warden's hands: starts, ends, reaps and sweeps task processes; decides nothing.

Used by `warden_main.py` only and under its rules: the standard library, one thread, no fork. What
is found in /proc may be gone a moment later, and whatever is not the warden's own child may even be
another process under the same number: pids are compared with their start before they are killed.
"""

import errno
import os
import signal
import time

from ..actors.worker.warden import Fields

MARKER = b"STENELLA_ATTEMPT="
LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT  # has it ended? Do not reap
EVERY_SIGNAL = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
SHEBANG_BYTES = 256  # what the kernel reads of a first line

#: pid → parent, group, session, start in ticks since boot, state
Table = dict[int, tuple[int, int, int, int, bytes]]


class Tasks:
    """The processes. ``mains``: pid of each main process not yet reaped → dispatch_id, begin."""

    def __init__(self) -> None:
        self.mains: dict[int, tuple[int, int]] = {}
        self.table: Table | None = None

    def spawn(self, start: Fields) -> Fields:
        """Start it as its message says; the answer is `spawned` or `spawn_failed`."""
        dispatch_id, wall_ms = start["dispatch_id"], time.time_ns() // 1_000_000
        env = start["env"] | {"STENELLA_ATTEMPT": start["marker"]}
        log, path, doing = -1, "", f"cannot open the log {start['log']}"
        try:
            log = os.open(start["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            doing = f"cannot enter the working folder {start['cwd']}"
            os.chdir(start["cwd"])
            doing = "cannot be started"
            path = found(start["argv"][0], env.get("PATH", os.defpath))
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
            why = str(error)
            if isinstance(error, OSError):
                why = reason(path, error) if path else str(error.strerror)
            failed = {"do": "spawn_failed", "dispatch_id": dispatch_id, "end_time": wall_ms}
            return failed | {"message": f"{doing}: {why}"}
        finally:
            os.chdir("/")  # hold nobody's folder
            if log >= 0:
                os.close(log)
        self.mains[pid] = dispatch_id, time.monotonic_ns()
        spawned = {"do": "spawned", "dispatch_id": dispatch_id, "pid": pid}
        return spawned | {"start_ticks": look_at(pid)[3], "start_time": wall_ms}

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
                exits.append(exited)
            os.waitpid(ended.si_pid, 0)

    def sweep(self, sweep: Fields) -> list[int]:
        """One pass of `Warden._sweep`: KILL to all that is left; the pids found alive."""
        pid = sweep["pid"]
        if not sweep["everywhere"] and not self._leaves_something(pid):
            return []
        if pid in self.mains:
            kill_group(pid)
        table = self._table()
        left = [victim for victim in self._victims(sweep, table) if kill(victim, table[victim][3])]
        return sorted(left)

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
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
                children = [int(child) for child in file.read().split()]
        except FileNotFoundError:  # a kernel built without it
            me = os.getpid()
            children = [child for child, stat in self._table().items() if stat[0] == me]
        return any(child not in self.mains for child in children)

    def _victims(self, sweep: Fields, table: Table) -> list[int]:
        me, pid, marker = os.getpid(), sweep["pid"], sweep["marker"].encode()
        victims: dict[int, None] = {}
        if sweep["abandoned"]:
            if pid in table and table[pid][3] == sweep["start_ticks"]:
                victims = {p: None for p, stat in table.items() if stat[1] == pid}
        else:
            others = [main for main in self.mains if main != pid]
            for p, (parent, group, session, _, _) in table.items():
                if parent != me or p in others:
                    continue
                # An orphan that hides its origin goes when it can belong to nobody else.
                if pid in (p, group, session) or not others or marker_of(p) == marker:
                    victims[p] = None
        if sweep["everywhere"]:
            victims |= {p: None for p in table if p != me and marker_of(p) == marker}
        children: dict[int, list[int]] = {}
        for p, stat in table.items():
            children.setdefault(stat[0], []).append(p)
        queue = list(victims)
        for p in queue:
            found_now = [child for child in children.get(p, ()) if child not in victims]
            victims |= dict.fromkeys(found_now)
            queue += found_now
        return [p for p in victims if table[p][4] not in (b"Z", b"X")]

    def _table(self) -> Table:
        """Every process of the machine, looked at once between two calls of `look_again`."""
        if self.table is None:
            self.table = {}
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        self.table[int(name)] = look_at(int(name))
                    except OSError:
                        continue  # it has gone meanwhile
        return self.table

    def look_again(self) -> None:
        self.table = None


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
        with open(path, "rb") as file:
            words = file.readline(SHEBANG_BYTES).removeprefix(b"#!").strip(b" \t\n").split(b" ")
        interpreter = words[0].decode(errors="replace")
        return f"{path} asks for the interpreter {interpreter!r}, which does not exist"
    if error.errno == errno.EACCES:
        return f"{path} or its interpreter may not be executed: chmod +x, or a mount with noexec"
    if error.errno == errno.ENOEXEC:
        return f"{path} is no program: its first line names no interpreter (#!…)"
    if error.errno == errno.E2BIG:
        return f"arguments and environment of {path} are too large for this machine"
    return f"{path}: {error.strerror}"


def look_at(pid: int) -> tuple[int, int, int, int, bytes]:
    """A row of `Table`. Raises OSError if there is no such process any more."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        stat = os.read(fd, 4096)
    finally:
        os.close(fd)
    fields = stat[stat.rindex(b")") + 2 :].split()  # proc(5): from field 3, after the name
    return int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0]


def marker_of(pid: int) -> bytes:
    """The marker in a process's environment; empty if it has none, or hides it."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environ = file.read()
    except OSError:
        return b""
    start = (b"\0" + environ).find(b"\0" + MARKER)
    return environ[start + len(MARKER) :].partition(b"\0")[0] if start >= 0 else b""


def kill(pid: int, start_ticks: int) -> bool:
    """KILL to that very process; False if it has gone."""
    try:
        if look_at(pid)[3] != start_ticks:
            return False
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def kill_group(pid: int) -> None:
    """KILL to the group of a main process that is not reaped yet, so that the number is its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except PermissionError:
        return  # of another user: what is left of it is found by the sweep
