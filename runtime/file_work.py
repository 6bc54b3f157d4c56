"""A worker's file threads: they prepare, collect and remove attempts' files, many jobs a crossing.

Crossing to a native thread and back costs some 70 µs, as much as the work itself; so whatever has
come up while a thread was busy goes over together.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from gevent import sleep
from gevent.queue import SimpleQueue
from gevent.threadpool import ThreadPool

from .node import outcome

log = logging.getLogger(__name__)

#: The work is system calls; a task type that is slow holds up half of it.
THREADS = 2
#: At most so many cross together: some 10 ms of work, so that answers do not wait longer.
JOBS_MAX = 64


class Job(NamedTuple):
    """``answer`` is told the subject and what ``work`` returned, or the error that it raised."""

    work: Callable[[Any], Any]
    subject: Any
    answer: Callable[[Any, Any], None] | None


class FileWork:
    """The queue to the threads; nothing is done before `run` is, which is run once per thread."""

    def __init__(self, threads: int = THREADS, gather_s: float = 0.0) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._pool = ThreadPool(threads)
        self._gather_s = gather_s  # how long jobs may wait for others, to cross together

    def post(
        self,
        work: Callable[[Any], Any],
        subject: Any,
        answer: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Queue one job; never blocks."""
        self._jobs.put(Job(work, subject, answer))

    def run(self) -> None:
        """Serve until killed."""
        while True:
            jobs = [self._jobs.get()]
            if self._gather_s and self._jobs.qsize() < JOBS_MAX:
                sleep(self._gather_s)
            while len(jobs) < JOBS_MAX and not self._jobs.empty():
                jobs.append(self._jobs.get())
            results = self._pool.apply(_do_all, (jobs,))
            for job, done in zip(jobs, results, strict=True):
                if job.answer is not None:
                    job.answer(job.subject, done)


def _do_all(jobs: list[Job]) -> list[Any]:
    """What each returned, or raised: other people's task types must not end a node."""
    return [_do(job) for job in jobs]


def _do(job: Job) -> Any:
    value, error = outcome(job.work, (job.subject,))
    if error is not None:
        log.warning("%s: %r", getattr(job.work, "__qualname__", job.work), error)
    return value if error is None else error
