"""A home in a temporary folder and the real command line on it, as a person would use it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stenella.client.connection import Connection
from stenella.home import endpoints, keys
from stenella.home.layout import open_home
from stenella.protocol.codec import FRAME_BYTES_MAX

#: Longer than anything here takes on a busy machine; a test that needs it has failed.
LIMIT_S = 90.0


class LiveHome:
    """Runs `stenella …` with $STENELLA_HOME set; knows what was written to the ledger."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "home"
        self.ledger = folder / "ledger"
        self.folder = folder
        self.environment = os.environ | {
            "STENELLA_HOME": str(self.root),
            "STENELLA_CLUSTER__HEARTBEAT_S": "0.5",
            "STENELLA_TASK__KILL_GRACE_S": "1",
        }

    def run(self, *arguments: str, code: int = 0, timeout_s: float = LIMIT_S) -> str:
        """Standard output of a command that must end with ``code``."""
        done = subprocess.run(
            [sys.executable, "-m", "stenella", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}{self.logs()}"
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document that a command prints."""
        return json.loads(self.run(*arguments, "--json", code=code))

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """A command that goes on by itself; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "stenella", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def definition(self, name: str, tasks: list[dict[str, Any]], **fields: Any) -> str:
        """Writes a definition file; its path."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"name": name, "tasks": tasks, **fields}))
        return str(path)

    def ledger_lines(self) -> list[str]:
        """What tasks wrote, one line for each time a command really ran."""
        return sorted(self.ledger.read_text().split()) if self.ledger.exists() else []

    def noting(self, count: int, script: str = "") -> list[dict[str, Any]]:
        """Independent shell tasks that write their name into the ledger, then do ``script``."""
        return [
            {"name": f"t{n:04}", "script": f'echo "$STENELLA_TASK" >> "{self.ledger}"\n{script}'}
            for n in range(count)
        ]

    def pids(self, what: str) -> list[int]:
        """Process ids of the ``masters`` or ``workers`` that the cluster knows of."""
        return [row["pid"] for row in self.json("status")[what]]

    def kill(self, pid: int) -> None:
        """SIGKILL to a process of this home."""
        assert str(self.root).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        os.kill(pid, signal.SIGKILL)

    def connection(self) -> Connection:
        """With the right key, to the master that is up: for frames that no client would send."""
        home = open_home(self.root)
        master, pair = endpoints.read(home), keys.client_keys(home)
        assert master is not None
        return Connection(
            master.client,
            server_key=master.server_key.encode(),
            public_key=pair.public,
            secret_key=pair.secret,
            frame_bytes_max=FRAME_BYTES_MAX,
        )

    def leave(self) -> None:
        """Take down what is up and wait until nothing is left; one may be leaving by itself."""
        if (self.root / "run" / "endpoints.json").exists():
            until(self._is_told_to_leave, "the master has time to be told")
        until(lambda: not self.leftovers(), f"everything has left: {self.leftovers()}", 40.0)

    def _is_told_to_leave(self) -> bool:
        """Not so while a test's load keeps the master at its bound."""
        down = self.start("down", "--wait", "0s")
        said, _ = down.communicate(timeout=LIMIT_S)
        if "try again" in said:
            return False
        assert down.returncode in (0, 5), said
        return True

    def logs(self) -> str:
        """The ends of the nodes' logs, for a failure's text."""
        paths = [*self.root.glob("run/*.log"), *self.root.glob("workers/*/worker.log")]
        return "".join(f"\n--- {path}\n{path.read_text()[-2_000:]}" for path in sorted(paths))

    def leftovers(self) -> list[str]:
        """Command lines of processes that still carry this home in their environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.root).encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


def until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """Look again until ``condition`` holds; its value."""
    end_s = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end_s, f"not within {limit_s} s: {what}"
        time.sleep(0.02)
    return value
