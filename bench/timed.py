"""A master or worker that knows where its processor time goes, for `bench breakdown`.

``python -m stenella.bench.timed`` and the words of `runtime.process`. The program is the product's;
the functions at its stages' borders are wrapped. On SIGUSR1 it writes ``run/spent.PID`` into the
home: a JSON object, stage → µs of processor time since the start.

Stages of the loop's thread are measured by that thread's clock (a system call, 0.3 µs or more), so
they are per burst, frame and turn; what a turn thought is divided among its actors as the turn's
own measure of each message says.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from ..actors import mailbox
from ..actors.turn import Turn
from ..home.layout import open_home
from ..protocol.codec import CommandDecoder
from ..runtime import link, node, process
from ..runtime.file_work import FileWork
from ..storage.journal import Journal
from ..storage.worker_journal import WorkerJournal


class Stopwatch:
    """Which stage one thread is in, and what it spent in each."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = {}
        self._stage, self._since_ns = "loop", time.thread_time_ns()

    def switch(self, stage: str) -> str:
        """Be in ``stage`` from now on; the one before."""
        now_ns = time.thread_time_ns()
        former = self._stage
        self.spent_ns[former] = self.spent_ns.get(former, 0) + now_ns - self._since_ns
        self._stage, self._since_ns = stage, now_ns
        return former

    def during(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, in ``stage``; it must not let other greenlets run."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            former = self.switch(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch(former)

        return timed


class Summed(deque[int]):
    """µs of an actor's messages, and their sum."""

    total = 0

    def append(self, value: int) -> None:
        """One more message."""
        self.total += value
        super().append(value)


class Spent:
    """What is measured in this process."""

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self.turns: list[Turn] = []
        self.thread_ns = dict.fromkeys(("commit", "files"), 0)  # of what other threads do
        self._lock = threading.Lock()

    def install(self) -> None:
        """Wrap the borders of the stages."""
        for pump in (link.RouterLink, link.DealerLink):
            self._wrap(pump, "_receive_burst", "link")
            self._wrap(pump, "_send_burst", "link")
        self._wrap(link.DealerLink, "_read_events", "link")
        self._wrap(node.Node, "take_frame", "intake")
        self._wrap(node, "decode_header", "decode")
        self._wrap(CommandDecoder, "decode", "decode")
        self._wrap(node.Node, "_act", "act")
        self._wrap(node, "encode_frames", "encode")
        self._wrap(Turn, "think", "think")
        self._wrap(Turn, "form", "form")
        gc.callbacks.append(self._collect_garbage)
        for journal in (Journal, WorkerJournal):
            _replace(journal, "commit", self._in_thread("commit", journal.commit))
        self._measure_files()
        turns, init = self.turns, Turn.__init__

        @wraps(init)
        def known(turn: Turn, *args: Any, **kwargs: Any) -> None:
            init(turn, *args, **kwargs)
            turns.append(turn)
            for box in turn.mailboxes.values():
                box.busy_us = Summed(maxlen=mailbox.BUSY_SAMPLES)

        _replace(Turn, "__init__", known)

    def _wrap(self, owner: Any, name: str, stage: str) -> None:
        _replace(owner, name, self.watch.during(stage, getattr(owner, name)))

    def _collect_garbage(self, phase: str, _info: dict[str, int]) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before_gc = self.watch.switch("garbage" if phase == "start" else self._before_gc)

    _before_gc = "loop"

    def _in_thread(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def measured(*args: Any) -> Any:
            began_ns = time.thread_time_ns()
            try:
                return function(*args)
            finally:
                with self._lock:
                    self.thread_ns[what] += time.thread_time_ns() - began_ns

        return measured

    def _measure_files(self) -> None:
        post = FileWork.post

        @wraps(post)
        def measured(files: FileWork, work: Callable[..., Any], *args: Any) -> None:
            post(files, self._in_thread("files", work), *args)

        _replace(FileWork, "post", measured)

    def document(self) -> dict[str, float]:
        """µs by stage; ``actor …`` are shares of ``think``."""
        found = {stage: ns / 1e3 for stage, ns in self.watch.spent_ns.items()}
        found |= {what: ns / 1e3 for what, ns in self.thread_ns.items()}
        for turn in self.turns:
            for name, box in turn.mailboxes.items():
                assert isinstance(box.busy_us, Summed), name
                found[f"actor {name}"] = box.busy_us.total
        main = threading.main_thread().ident
        assert main is not None
        found["main"] = time.clock_gettime_ns(time.pthread_getcpuclockid(main)) / 1e3
        found["all"] = time.process_time_ns() / 1e3
        return found

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.document()))
        fresh.rename(path)


def _replace(owner: Any, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def main(words: list[str]) -> int:
    """Be what ``words`` say, and tell on SIGUSR1; the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # also of the threads to come
    path = open_home().run / f"spent.{os.getpid()}"
    spent = Spent()

    def answer() -> None:
        while True:
            signal.sigwait({signal.SIGUSR1})
            spent.write(path)

    threading.Thread(target=answer, daemon=True).start()
    spent.install()
    return process.main(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
