"""A steady load: workflows submitted at their times, whether or not earlier ones are through.

So a cluster that falls behind is seen to: whoever waits for the answer before he submits again
would slow down with it.
"""

import itertools
import statistics
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from ..client.client import Client
from ..protocol.errors import StenellaError
from .cluster import Cluster, elapsed_s
from .soak_rows import Rows

#: Submits that may be under way at once, if nobody says; each waits for its commit.
CLIENTS = 4
#: For the last workflows to end.
END_S_MAX = 60.0
LOOK_S = 0.02


class Submitted(NamedTuple):
    """One submit: when it was due (epoch ms), and how long after that it was answered."""

    workflow_instance_id: int
    due_ms: float
    answered_after_ms: float


class Pace:
    """``with Pace(home, definition, per_s) as pace``: so many a second until the end of the block.

    ``per_s`` None: one after the other, as fast as each client gets its answers; ``count``: no
    more than that; ``clients``: of so many submits at once. `taken` has what was answered,
    `refused` why others were not.
    """

    def __init__(
        self,
        home: Path,
        definition: dict[str, Any],
        per_s: float | None,
        count: int | None = None,
        clients: int = CLIENTS,
    ) -> None:
        self.taken: list[Submitted] = []  # in the order of their answers
        self.refused: list[str] = []
        self._home, self._definition, self._per_s = home, definition, per_s
        self._numbers = iter(itertools.count() if count is None else range(count))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._began_s, self._began_ms = 0.0, 0.0
        self._threads = [threading.Thread(target=self._submit) for _ in range(clients)]

    def __enter__(self) -> "Pace":
        self._began_s, self._began_ms = time.monotonic(), time.time() * 1_000
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self.join()

    def join(self) -> None:
        """Until ``count`` are submitted."""
        for thread in self._threads:
            thread.join()

    def _submit(self) -> None:
        with Client(self._home) as client:
            while not self._stopping.is_set():
                with self._lock:
                    number = next(self._numbers, None)
                if number is None:
                    return
                due_s = time.monotonic() - self._began_s
                if self._per_s is not None:
                    due_s = number / self._per_s
                    if self._stopping.wait(self._began_s + due_s - time.monotonic()):
                        return
                try:
                    instance = client.submit(self._definition)
                except StenellaError as error:
                    self.refused.append(error.message)
                    continue
                took_s = time.monotonic() - self._began_s - due_s
                due_ms = self._began_ms + due_s * 1_000
                self.taken.append(Submitted(instance.id, due_ms, took_s * 1_000))


def most_per_s(
    cluster: Cluster,
    definition: dict[str, Any],
    rows: Rows,
    for_s: float,
    workflows: int = 200,
    clients: int = CLIENTS,
) -> float:
    """Tasks a second at most: the median of rounds of ``workflows``, after a first to warm up."""
    rates: list[float] = []
    end_s = time.monotonic() + for_s
    while len(rates) < 2 or time.monotonic() < end_s:
        before = rows.newest_instance()
        with Pace(cluster.home, definition, None, workflows, clients) as pace:
            began_s = time.time()
            pace.join()
        until_idle(rows)
        took_s = elapsed_s(began_s, rows.last_end_ms(before) / 1_000)
        rates.append(workflows * len(definition["tasks"]) / took_s)
    return statistics.median(rates[1:])


def until_idle(rows: Rows) -> None:
    """Wait until no instance is live, a minute at most."""
    end_s = time.monotonic() + END_S_MAX
    while rows.live() and time.monotonic() < end_s:
        time.sleep(LOOK_S)
