"""The cluster that is tormented: a master's home, and workers with homes of their own.

Each worker comes through a proxy, below a small process that starts it again whenever it ends; as
a worker of another home it lives by a lease. If the kernel lets us, that process is the first of a
pid namespace, and can be taken away with all that runs there, as a machine is.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from stenella.home import endpoints
from stenella.home.layout import Home

from ..live.home import LiveHome
from .proxy import Proxy

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
#: The worker again and again; the shell is what a machine's init is, and reaps.
INIT = 'while :; do "$@"; sleep 0.2; done'
STENELLA = (sys.executable, "-m", "stenella")
#: Leases as short as the machine's load allows; a heartbeat in a row of ten may be late.
SHORT = {
    "STENELLA_CLUSTER__HEARTBEAT_S": "0.25",
    "STENELLA_CLUSTER__LEASE_S": "3",
    "STENELLA_CLUSTER__FENCE_GRACE_S": "1",
    "STENELLA_TASK__KILL_GRACE_S": "0.5",
}
LEASE_S = 3.0
SLOTS = 4


def has_namespaces() -> bool:
    """Whether we may make pid namespaces."""
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return done.returncode == 0


class Found:
    """A process, by what it was started with and its first environment."""

    def __init__(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        self.pid = pid
        self.command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        self.environment = (folder / "environ").read_bytes().split(b"\0")

    def carries(self, entry: str) -> bool:
        """Whether a variable begins like this."""
        return any(variable.startswith(entry.encode()) for variable in self.environment)


def processes() -> list[Found]:
    """All that we may look at."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append(Found(int(path.name)))
    return found


class Machine:
    """One worker: its home, its proxy, its init."""

    def __init__(self, number: int, master: LiveHome, folder: Path, isolated: bool) -> None:
        folder.mkdir()
        self.number = number
        self.isolated = isolated
        self.home = LiveHome(folder)
        self.home.environment |= SHORT
        there = endpoints.read(Home(master.root))
        assert there is not None
        self.cluster = there.cluster
        self.proxy = Proxy(int(there.worker.rpartition(":")[2]))
        self.key = folder / "worker.key"
        self.key.touch(mode=0o600)
        self.key.write_text(master.run("key", "new", "worker", "--name", f"far-{number}"))
        self.init: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Power on."""
        address = f"tcp://127.0.0.1:{self.proxy.port}"
        worker = (*STENELLA, "worker", "start", "--slots", str(SLOTS))
        command = ["sh", "-c", INIT, "sh", *worker, "--key", str(self.key), "--master", address]
        with (self.home.folder / "worker.out").open("ab") as out:
            self.init = subprocess.Popen(
                [*(NAMESPACE if self.isolated else ()), *command],
                env=self.home.environment,
                cwd=self.home.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def of(self, what: str) -> list[int]:
        """Pids of its ``worker``, ``warden``, ``init`` or ``tasks``."""
        return [found.pid for found in processes() if self._is(what, found)]

    def _is(self, what: str, found: Found) -> bool:
        ours = found.carries(f"STENELLA_HOME={self.home.root}")
        match what:
            case "worker":
                return (
                    ours
                    and found.command.startswith(f"{sys.executable} ")
                    and (" worker start " in found.command)
                )
            case "warden":
                return str(self.home.root) in found.command and "warden_main" in found.command
            case "init":
                return ours and found.command.startswith("sh -c while")
            case _:
                return found.carries(f"STENELLA_ATTEMPT={self.cluster}.far-{self.number}.")

    def power_off(self) -> None:
        """All of it ends at once."""
        for what in ("init", "worker", "warden", "tasks"):
            for pid in self.of(what):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.init is not None:
            self.init.kill()
            self.init.wait()
            self.init = None

    def end(self) -> None:
        """Nothing of it is left."""
        self.power_off()
        self.proxy.end()


class Cluster:
    """The master's home and its machines."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.master = LiveHome(folder)
        self.master.environment |= SHORT
        self.master.run("up", "--workers", "0", "--detach")
        self.isolated = has_namespaces()
        self.machines = [
            Machine(number, self.master, folder / f"machine-{number}", self.isolated)
            for number in range(1, workers + 1)
        ]
        for machine in self.machines:
            machine.start()

    def master_pids(self) -> list[int]:
        """The master's, without its supervisor."""
        home = f"STENELLA_HOME={self.master.root}"
        return [p.pid for p in processes() if p.carries(home) and "process master" in p.command]

    def end(self) -> None:
        """Take everything down, whatever state it is in."""
        for machine in self.machines:
            machine.end()
        self.master.run("down", "--wait", "0s")
