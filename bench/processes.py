"""What the processes of a cluster cost, as Linux counts it in ``/proc``: memory, processor, files.

The processes are those that have the home in their environment: its supervisor, master, workers and
wardens, by these names. A task's own are not counted.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: Of a line of ``/proc/PID/stat`` behind the command's closing bracket: utime, stime, and the
#: same of children that were waited for.
UTIME, STIME, CUTIME, CSTIME = 11, 12, 13, 14
START = 19  # ticks since the machine's boot
KIB = 1_024


@dataclass(frozen=True)
class Memory:
    """MB. ``pss``: pages that others share count in part; ``own``: neither file nor shared."""

    rss: float
    pss: float
    own: float


def of_home(home: Path) -> dict[str, int]:
    """Name → pid: ``supervisor``, ``master``, ``worker-1``…, ``warden-1``…, in this order; wardens
    and workers that have not begun are missing.

    A child that is being spawned has the memory of its parent, and so its command line, until it
    is another program: of two with one name it is the younger.
    """
    mark = f"STENELLA_HOME={home}".encode()
    found: dict[str, tuple[int, int]] = {}  # → when it was started, pid
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            words = (folder / "cmdline").read_bytes().split(b"\0")
            name = _name(words) if b"-m" in words else ""
            if name and mark in (folder / "environ").read_bytes().split(b"\0"):
                known = int(_fields(folder / "stat")[START]), int(folder.name)
                found[name] = min(found.get(name, known), known)
    order = ("supervisor", "master", "worker", "warden")
    names = sorted(found, key=lambda name: (order.index(name.split("-")[0]), name))
    return {name: found[name][1] for name in names}


def _name(words: list[bytes]) -> str:
    """By its command line; empty: another process, as of a task."""
    match [os.fsdecode(word) for word in words[words.index(b"-m") + 1 :] if word]:
        case ["stenella.runtime.process", "supervisor" | "embedded", *_]:
            return "supervisor"
        case ["stenella.runtime.process", "master", *_]:
            return "master"
        case ["stenella.runtime.process", "worker", number, *_]:
            return f"worker-{number}"
        case ["stenella.runtime.warden_main", folder]:
            return f"warden-{Path(folder).name}"
    return ""


def memory(pid: int) -> Memory:
    """What it has now. Raises OSError if it has ended."""
    sizes = dict.fromkeys(("Rss", "Pss", "Anonymous"), 0.0)
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0]) * KIB / 1e6
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Anonymous"])


def peak_mb(pid: int) -> float:
    """The most that was resident since it began, MB. Raises OSError if it has ended."""
    status = (PROC / str(pid) / "status").read_text()
    (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) * KIB / 1e6


def processor_s(pid: int) -> float:
    """Seconds of processor time of all its threads, ended ones too, but of no child."""
    return _seconds(PROC / str(pid) / "stat", UTIME, STIME)


def children_s(pid: int) -> float:
    """Seconds of processor time of the children that it has waited for."""
    return _seconds(PROC / str(pid) / "stat", CUTIME, CSTIME)


def files(pid: int) -> int:
    """Open descriptors."""
    return len(os.listdir(PROC / str(pid) / "fd"))


def threads(pid: int) -> int:
    return len(os.listdir(PROC / str(pid) / "task"))


def _seconds(path: Path, *places: int) -> float:
    fields = _fields(path)
    return sum(int(fields[place]) for place in places) / TICKS_PER_S


def _fields(path: Path) -> list[str]:
    return path.read_text().rpartition(")")[2].split()
