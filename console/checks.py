"""What `stenella doctor` looks at: one small function a check, in one table.

A check is given what is known of the home and of the cluster, and returns what it finds wrong;
none found is well. ``problem`` makes the doctor end with 1; ``notice`` is to be looked at some
time. Each finding says how to mend it.
"""

import ctypes
import os
import resource
import shutil
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..home import endpoints, locks, settings
from ..home.layout import Home, require_private
from ..protocol.errors import StenellaError
from .text import span

#: Below it a burst of logs or history fills the disk before anybody looks.
FREE_BYTES_MIN = 500 * 1024 * 1024
#: Each turn waits for one sync; above it a chain of tasks feels it.
SYNC_MS_MAX = 50.0
SYNCS = 5
#: A master holds a file for each connection; below it some hundred clients and workers do not fit.
FILES_MIN = 1_024
PROCESSES_MIN = 512
#: Between this machine's clock and the master's; times of rows are compared by people.
CLOCK_S_MAX = 2.0
#: To a port of this machine, which answers at once or not at all.
CONNECT_S_MAX = 1.0
PR_GET_CHILD_SUBREAPER = 37  # prctl(2)
#: Of `PRAGMA quick_check`: a database of a million rows takes about a second.
CHECK_S_MAX = 5.0


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, and what to do."""

    what: str
    mend: str
    level: str = "problem"  # or notice


@dataclass
class Patient:
    """What the checks look at. ``status`` and ``mailboxes``: None where no cluster answers."""

    home: Home
    held: bool
    status: dict[str, Any] | None = None
    mailboxes: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    stuck: list[dict[str, Any]] = field(default_factory=list)  # causes that nobody acts on
    unreachable: str = ""


def home_is_private(patient: Patient) -> Iterator[Finding]:
    """The home is ours alone."""
    yield from _private(patient.home.root, patient.home.run, patient.home.workers)


def keys_are_private(patient: Patient) -> Iterator[Finding]:
    """So are the keys."""
    home = patient.home
    yield from _private(home.keys, *sorted(home.keys.glob("*")), *home.workers.glob("*/key"))


def disk_has_room(patient: Patient) -> Iterator[Finding]:
    """There is room, and the file system takes writes."""
    disk = os.statvfs(patient.home.root)
    if disk.f_flag & os.ST_RDONLY:
        yield Finding(f"the file system of {patient.home.root} is read-only", "mount it writable")
        return
    free = disk.f_bavail * disk.f_frsize
    if free < FREE_BYTES_MIN:
        text = f"{free / 2**20:,.0f} MB are free on the disk of {patient.home.root}"
        yield Finding(text, "make room: logs of old tasks are in workers/*/logs", _level(free == 0))
    if disk.f_files and not disk.f_favail:
        yield Finding("no file can be made: the disk has no inodes left", "remove small files")


def disk_syncs_fast(patient: Patient) -> Iterator[Finding]:
    """Every commit waits for a sync."""
    try:
        took_ms = _sync_ms(patient.home.run)
    except OSError as error:
        yield Finding(f"{patient.home.run} cannot be written: {error.strerror}", "mend the disk")
        return
    if took_ms > SYNC_MS_MAX:
        mend = "put the home on a local disk; network and USB disks are slow"
        yield Finding(
            f"a sync takes {took_ms:.0f} ms, and every turn waits for one", mend, "notice"
        )


def database_is_sound(patient: Patient) -> Iterator[Finding]:
    """It is of this version, in WAL mode, and its pages fit together."""
    path = patient.home.database
    if not path.exists():
        return
    from ..storage.queries import Queries  # peewee: only for those who ask

    try:
        Queries.open(path).close()
    except StenellaError as error:
        yield Finding(error.message, "nothing was changed; see docs/operations.md")
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        deadline_s = time.monotonic() + CHECK_S_MAX
        connection.set_progress_handler(lambda: time.monotonic() > deadline_s, 100_000)
        [(mode,)] = connection.execute("PRAGMA journal_mode").fetchall()
        if mode != "wal":
            mend = "stop the cluster and start it again: the master sets it"
            yield Finding(f"{path} is in journal mode {mode}, not wal", mend)
        try:
            [(verdict,), *_] = connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.OperationalError as error:
            yield Finding(f"{path} was not checked whole: {error}", "run it when idle", "notice")
        else:
            if verdict != "ok":
                yield Finding(f"{path} is damaged: {verdict}", "put a copy of the home back")


def limits_are_wide(patient: Patient) -> Iterator[Finding]:
    """What this user may open and start."""
    for name, number, least, flag in (
        ("files", resource.RLIMIT_NOFILE, FILES_MIN, "-n"),
        ("processes", resource.RLIMIT_NPROC, PROCESSES_MIN, "-u"),
    ):
        soft, _hard = resource.getrlimit(number)
        if soft not in (resource.RLIM_INFINITY, -1) and soft < least:
            text = f"this user may have {soft} {name} at once"
            yield Finding(text, f"raise it (ulimit {flag} {least}) where the cluster is started")
    group_max = _group_processes_max()
    if group_max is not None and group_max < PROCESSES_MIN:
        text = f"this control group may have {group_max} processes at once"
        yield Finding(text, "raise its pids.max (TasksMax= of the unit)", "notice")


def system_is_fit(patient: Patient) -> Iterator[Finding]:
    """What a warden needs to find every process of a task: /proc, and orphans that come to it."""
    try:
        Path(f"/proc/{os.getpid()}/environ").read_bytes()
        Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError as error:
        yield Finding(f"/proc cannot be read: {error.strerror}", "mount it (mount -t proc …)")
    found = ctypes.c_int()
    if ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0):
        yield Finding("this system has no child subreapers", "use Linux 3.4 or newer, no emulation")
    if shutil.which("sh") is None:
        yield Finding("there is no sh in the PATH, so no shell task runs", "install a shell")
    elif shutil.which("bash") is None:
        mend = "install bash, or begin scripts with #!/bin/sh"
        yield Finding("there is no bash in the PATH; scripts are run by sh", mend, "notice")


def programs_are_there(patient: Patient) -> Iterator[Finding]:
    """The interpreter that a node runs with is still the one on the disk."""
    running = [*(patient.status or {}).get("masters", ())]
    here = socket.gethostname()
    running += [w for w in (patient.status or {}).get("workers", ()) if w.get("host") == here]
    for node in running:
        try:
            program = os.readlink(f"/proc/{node['pid']}/exe")
        except OSError:
            continue  # it has left, or is another user's
        if program.endswith(" (deleted)"):
            text = f"{node['id']} (pid {node['pid']}) runs {program}: it was replaced or removed"
            yield Finding(text, "restart it: `stenella worker restart`, or `down` and `up`")


def ports_are_reached(patient: Patient) -> Iterator[Finding]:
    """The master's are open; those that conf.toml fixes are free while it is down."""
    if patient.held:
        found = endpoints.read(patient.home)
        for what, address in (
            (("clients", found.client), ("workers", found.worker)) if found else ()
        ):
            if address and not _listens(address):
                mend = "a firewall on this machine, or a master that hangs: see its log"
                yield Finding(f"nobody answers where the master takes {what}: {address}", mend)
        return
    try:
        chosen = settings.load(patient.home).master
    except StenellaError as error:
        yield Finding(error.message, "see `stenella config show`")
        return
    for name, address in (
        ("master.client_endpoint", chosen.client_endpoint),
        ("master.worker_endpoint", chosen.worker_endpoint),
    ):
        if not address.endswith(":0") and _listens(address):
            text = f"{name} = {address} is taken by another program"
            yield Finding(text, "end that program, or choose another port in conf.toml")


def cluster_answers(patient: Patient) -> Iterator[Finding]:
    """Who holds the home also answers. (No cluster is no problem.)"""
    if patient.held and patient.status is None:
        mend = f"see {patient.home.run / 'master.log'}"
        yield Finding(f"a cluster holds this home and does not answer: {patient.unreachable}", mend)


def storage_takes_writes(patient: Patient) -> Iterator[Finding]:
    """The master is not waiting for its disk."""
    if patient.status is not None and patient.status["problem"]:
        yield Finding(patient.status["problem"], "make room or mend the disk; it goes on by itself")


def clocks_agree(patient: Patient) -> Iterator[Finding]:
    """People compare times of two machines."""
    if patient.status is None:
        return
    apart_s = abs(time.time() - patient.status["time"])
    if apart_s > CLOCK_S_MAX:
        text = f"this clock and the master's are {apart_s:.0f} s apart"
        yield Finding(text, "set both by NTP; nothing that is measured depends on it", "notice")


def workers_are_there(patient: Patient) -> Iterator[Finding]:
    """None is late or dead, and all nodes are of one version."""
    if patient.status is None:
        return
    for master in patient.status["masters"]:
        if (version := master.get("version") or __version__) != __version__:
            text = f"the master is of version {version}, this is {__version__}"
            yield Finding(text, "restart the cluster after an upgrade: `down`, `up`", "notice")
    for worker in patient.status["workers"]:
        name, state = worker["id"], worker["state"]
        if state in ("late", "dead"):
            mend = f"see worker.log of {name}; `stenella worker rm {name}` if it will not come back"
            heard = worker.get("heard")
            ago = (
                "" if heard is None else f", last heard {span(patient.status['time'] - heard)} ago"
            )
            yield Finding(f"worker {name} is {state}{ago}", mend)
        version = worker.get("version") or __version__
        if version != __version__:
            text = f"worker {name} is of version {version}, this is {__version__}"
            yield Finding(text, "install the same version on all machines", "notice")
        if message := worker.get("message"):  # a second one of its name, or no room there
            mend = "make room there, or give each worker a folder and key of its own"
            yield Finding(f"worker {name}: {message}", mend)


def nothing_was_rejected(patient: Patient) -> Iterator[Finding]:
    """Frames that were no frames, and keys that nobody knows."""
    for row in patient.mailboxes:
        if row["actor"] == "wire" and row["rejected"]:
            counts = ", ".join(f"{reason} {count}" for reason, count in row["rejected"].items())
            mend = "a stranger at the port, another version, or a key of another home: see its log"
            yield Finding(f"{row['node']} has turned away frames: {counts}", mend, "notice")


def nothing_needs_attention(patient: Patient) -> Iterator[Finding]:
    """No dead letters, and none that crashed a node."""
    quarantined = [letter for letter in patient.letters if letter["quarantined"]]
    others = len(patient.letters) - len(quarantined)
    mend = "see `stenella debug dead-letters`; retry it after an upgrade, or drop it"
    for letter in quarantined:
        about = letter["workflow_instance_id"]
        what = f"workflow instance {about} needs attention" if about else "a request is put aside"
        yield Finding(f"{what}: {letter['reason']}", mend)
    if others:
        yield Finding(f"{others} dead letters", mend, "notice")
    if patient.home.suspects.exists():
        mend = "see master.log, and report what it says"
        yield Finding("something crashed the master lately", mend, "notice")
    for path in sorted(patient.home.workers.glob("*/suspects")):
        mend = f"see {path.with_name('worker.log')}, and report what it says"
        yield Finding(f"something crashed worker {path.parent.name} lately", mend, "notice")


def somebody_acts_next(patient: Patient) -> Iterator[Finding]:
    """Whatever has not ended has an owner: the sweeper of the master looks every 30 s."""
    for cause in patient.stuck:
        what = f"task {cause['task']}" if cause["task"] else "a workflow instance"
        number = abs(cause["task_instance_id"] or 0)
        said = f": {cause['sentence']}" if cause["sentence"] else ""
        text = f"{what} ({number}) is {cause['state']} and nobody acts next{said}"
        mend = "a bug of ours: report it (`stenella debug bundle`); `down --keep` and `up` go on"
        yield Finding(text, mend)


def no_journal_was_set_aside(patient: Patient) -> Iterator[Finding]:
    """A worker began a new journal: the old one was damaged, crashed it, or was another's."""
    for aside in sorted(patient.home.workers.glob("*/journal.db.aside-*")):
        if not aside.name.endswith(("-wal", "-shm")):
            mend = "what it held of unfinished tasks is lost to the cluster; remove it when read"
            yield Finding(f"a journal was set aside: {aside}", mend, "notice")


def no_task_is_left_alone(patient: Patient) -> Iterator[Finding]:
    """Processes of tasks whose worker and warden are both gone."""
    for number, pids in _unguarded(patient.home).items():
        shown = ", ".join(map(str, pids[:10]))
        mend = "start the cluster: it ends or adopts them; or kill them"
        yield Finding(f"worker {number} is gone and its tasks still run, pids {shown}", mend)


#: In the order of the report.
CHECKS: dict[str, Callable[[Patient], Iterator[Finding]]] = {
    "home": home_is_private,
    "keys": keys_are_private,
    "disk": disk_has_room,
    "sync": disk_syncs_fast,
    "database": database_is_sound,
    "limits": limits_are_wide,
    "system": system_is_fit,
    "programs": programs_are_there,
    "ports": ports_are_reached,
    "cluster": cluster_answers,
    "storage": storage_takes_writes,
    "clock": clocks_agree,
    "workers": workers_are_there,
    "wire": nothing_was_rejected,
    "letters": nothing_needs_attention,
    "stuck": somebody_acts_next,
    "journals": no_journal_was_set_aside,
    "tasks": no_task_is_left_alone,
}


def _private(*paths: Path) -> Iterator[Finding]:
    for path in paths:
        try:
            require_private(path)
        except StenellaError as error:
            yield Finding(error.message, error.message.rpartition(": ")[2])
        except OSError as error:
            yield Finding(f"{path} cannot be read: {error.strerror}", "use a home of your own")


def _level(is_problem: bool) -> str:
    return "problem" if is_problem else "notice"


def _listens(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_S_MAX):
            return True
    except OSError:
        return False


def _group_processes_max() -> int | None:
    """Of our control group (v2); None: no bound, or it cannot be seen."""
    try:
        own = Path("/proc/self/cgroup").read_text().partition("::")[2].splitlines()[0]
        return int(Path(f"/sys/fs/cgroup/{own}/pids.max").read_text())
    except (OSError, ValueError, IndexError):
        return None


def _sync_ms(folder: Path) -> float:
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - before) * 1_000)
    return statistics.median(took)


def _unguarded(home: Home) -> dict[int, list[int]]:
    """Worker's number → living processes that carry its marker, where nobody guards them."""
    numbers = [int(path.name) for path in home.workers.glob("[0-9]*") if path.name.isdigit()]
    found: dict[int, list[int]] = {}
    for number in numbers:
        place = home.worker(number)
        guards = (place.lock, place.folder / "warden.lock")
        if any(locks.holder(path) is not None for path in guards):
            continue
        work = str(place.work).encode()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                environ = (path / "environ").read_bytes()
            except OSError:
                continue
            if b"STENELLA_ATTEMPT=" in environ and work in environ:
                found.setdefault(number, []).append(int(path.name))
    return found
