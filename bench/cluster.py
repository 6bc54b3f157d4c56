"""A cluster of its own for a benchmark: in a temporary home, with durable settings, gone after."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..client.client import Client
from ..protocol.errors import RefusedInState

START_S_MAX = 60.0
#: What a time of a document lacks on average: it is whole milliseconds, rounded down.
ROUNDED_OFF_S = 0.0005


def elapsed_s(began_s: float, time_s: float) -> float:
    """From a reading of the clock here to a time of a document, without what was rounded off."""
    return time_s + ROUNDED_OFF_S - began_s


def environment_of(home: Path) -> dict[str, str]:
    """For processes of a cluster of its own: no setting and no cluster that the caller has set."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("STENELLA_")}
    return others | {"STENELLA_HOME": str(home)}


class Cluster:
    """``with Cluster(workers, slots) as cluster``: up, and down at the end.

    The home is in ``folder`` (None: the system's place for temporary files), since a figure of a
    durable scheduler is one of its disk, too. Settings are the defaults, whatever the environment
    says: synchronous FULL.
    """

    def __init__(self, workers: int, slots: int, folder: Path | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="stenella-bench-", dir=folder))
        self.environment = environment_of(self.home)
        self._size = ("--workers", str(workers), "--slots", str(slots))
        self.client = Client(self.home)

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self._leave(after_error=True)  # as far as it has come up
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(after_error=error is not None)

    def up(self) -> None:
        """Again after a ``down``; ``status`` is as it is when it is ready."""
        self.status = json.loads(self.run("up", *self._size, "--detach", "--json"))

    def run(self, *arguments: str) -> str:
        """The output of one command of the command line; raises `RefusedInState` if it failed."""
        command = [sys.executable, "-P", "-m", "stenella", *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=START_S_MAX,
            check=False,
        )
        if done.returncode != 0:
            text = f"`stenella {arguments[0]}` of the benchmark's cluster failed: {done.stderr}"
            raise RefusedInState(text)
        return done.stdout

    def pids(self) -> list[int]:
        """Master and workers."""
        return [node["pid"] for nodes in self.status.values() for node in nodes]

    @property
    def master_pid(self) -> int:
        pid: int = self.status["masters"][0]["pid"]
        return pid

    def finish(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Submit and wait; the instance's document. Raises `WorkflowFailed`."""
        instance = self.client.submit(definition)
        instance.check()
        return self.client.show(instance.id)

    def _leave(self, after_error: bool) -> None:
        """That it cannot be taken down, as when it is down, is less than the error before."""
        self.client.close()
        try:
            self.run("down", "--wait", "0s")
        except RefusedInState:
            if not after_error:
                raise
        finally:
            shutil.rmtree(self.home, ignore_errors=True)
