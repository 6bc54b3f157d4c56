"""A worker's file threads: they prepare, collect and remove attempts' files, many jobs a crossing.

Crossing to a native thread and back costs some 70 µs, as much as the work itself; so whatever has
come up while a thread was busy goes over together. A job may hang for good (a folder on a file
system that does not answer): it keeps its thread, and nothing else waits for it long.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from gevent import sleep
from gevent.lock import Semaphore
from gevent.queue import SimpleQueue
from gevent.threadpool import ThreadPool

from .node import outcome

log = logging.getLogger(__name__)

#: At most so many cross together: some 10 ms of work, so that answers do not wait longer.
JOBS_MAX = 64
#: A job that takes longer gets another thread beside it, for the others; as a rule one takes less
#: than a millisecond.
HANG_S = 1.0
#: Of such threads; each has an attempt of its own, which holds a slot as long as nobody kills it.
HUNG_MAX = 16


class Job(NamedTuple):
    """``answer`` is told the subject and what ``work`` returned, or the error that it raised."""

    work: Callable[[Any], Any]
    subject: Any
    answer: Callable[[Any, Any], None] | None


class Crossing:
    """Jobs that went over together. Their thread takes them, the hub's may take the rest back."""

    def __init__(self, jobs: deque[Job]) -> None:
        self.jobs = jobs
        self.at: tuple[Job | None, float] = (None, 0.0)  # what was begun last, and when
        self.done: deque[tuple[Job, Any]] = deque()
        self.hangs = False

    def work(self) -> None:
        """On the thread."""
        with suppress(IndexError):
            while True:
                job = self.jobs.popleft()
                self.at = job, time.monotonic()
                self.done.append((job, _do(job)))

    def answer(self) -> None:
        """Tell what has come out so far."""
        while self.done:
            job, value = self.done.popleft()
            if job.answer is not None:
                job.answer(job.subject, value)


class FileWork:
    """The queue to a thread; nothing is done before all `pumps` run."""

    def __init__(self, gather_s: float = 0.0) -> None:
        self.pumps = [self._run] * (1 + HUNG_MAX)
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._turns = Semaphore(1)  # one pump serves, the others wait for a hang
        self._crossings: list[Crossing] = []
        self._gather_s = gather_s  # how long jobs may wait for others, to cross together

    def post(
        self,
        work: Callable[[Any], Any],
        subject: Any,
        answer: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Queue one job; never blocks."""
        self._jobs.put(Job(work, subject, answer))

    def look(self) -> list[Any]:
        """Now and then: let nothing wait for a job that hangs. The subjects of those found anew."""
        found = []
        for crossing in self._crossings:
            job, begun_s = crossing.at
            if job is None or crossing.hangs or time.monotonic() - begun_s < HANG_S:
                continue
            crossing.hangs = True
            found.append(job.subject)
            with suppress(IndexError):
                while True:
                    self._jobs.put(crossing.jobs.pop())
            crossing.answer()
            self._turns.release()
        return found

    def _run(self) -> None:
        """Serve until killed."""
        pool = None
        while True:
            self._turns.acquire()
            if pool is None:
                pool = ThreadPool(1)
            while not self._cross(pool).hangs:
                pass

    def _cross(self, pool: ThreadPool) -> Crossing:
        jobs = deque([self._jobs.get()])
        if self._gather_s and self._jobs.qsize() < JOBS_MAX:
            sleep(self._gather_s)
        while len(jobs) < JOBS_MAX and not self._jobs.empty():
            jobs.append(self._jobs.get())
        crossing = Crossing(jobs)
        self._crossings.append(crossing)
        pool.apply(crossing.work)
        self._crossings.remove(crossing)
        crossing.answer()
        return crossing


def _do(job: Job) -> Any:
    """What it returned, or raised: other people's task types must not end a node."""
    try:
        value, error = outcome(job.work, (job.subject,))
    except SystemExit as end:  # a task type that takes itself for a program
        value, error = None, RuntimeError(f"it would have ended the worker: exit {end.code!r}")
    if error is not None:
        log.warning("%s: %.1000r", getattr(job.work, "__qualname__", job.work), error)
    return value if error is None else error
