"""A steady load: workflows submitted at their times, whether or not earlier ones are through.

So a cluster that falls behind is seen to: whoever waits for the answer before he submits again
would slow down with it.
"""

import itertools
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from ..client.client import Client
from ..protocol.errors import StenellaError

#: Submits that may be under way at once; each waits for its commit.
CLIENTS = 4


class Submitted(NamedTuple):
    """One submit: when it was due (epoch ms), and how long after that it was answered."""

    workflow_instance_id: int
    due_ms: float
    answered_after_ms: float


class Pace:
    """``with Pace(home, definition, per_s) as pace``: so many a second until the end of the block.

    ``per_s`` None: one after the other, as fast as each client gets its answers; ``count``: no
    more than that. `taken` has what was answered, `refused` why others were not.
    """

    def __init__(
        self,
        home: Path,
        definition: dict[str, Any],
        per_s: float | None,
        count: int | None = None,
    ) -> None:
        self.taken: list[Submitted] = []  # in the order of their answers
        self.refused: list[str] = []
        self._home, self._definition, self._per_s = home, definition, per_s
        self._numbers = iter(itertools.count() if count is None else range(count))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._began_s, self._began_ms = 0.0, 0.0
        self._threads = [threading.Thread(target=self._submit) for _ in range(CLIENTS)]

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
