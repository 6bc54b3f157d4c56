"""A worker's end of the line to a real warden, and what tests ask of the processes it runs."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
import psutil

from stenella.runtime.warden_link import WardenLink

DEADLINE_S = 20.0  # the machine may be busy; what is waited for takes milliseconds
Fields = dict[str, Any]


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        gevent.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Worker:
    """One life of a worker, as its warden sees it."""

    def __init__(self, folder: Path, life: int = 1) -> None:
        self.folder = folder
        self.told: list[Fields] = []
        self.link = WardenLink(folder, f"boot-{life}", life, "w1", "j", self.told.append)
        self.greenlet = gevent.spawn(self.link.run)

    def post(self, do: str, **fields: object) -> None:
        self.link.post({"do": do, **fields})

    def start(self, dispatch_id: int, *argv: str, **fields: object) -> None:
        self.post("start", **(start(self.folder, dispatch_id, *argv) | fields))

    def heard(self, say: str, dispatch_id: int | None = None) -> list[Fields]:
        return [m for m in self.told if m["say"] == say and m.get("dispatch_id") == dispatch_id]

    def wait(self, say: str, dispatch_id: int | None = None) -> Fields:
        wait_until(lambda: self.heard(say, dispatch_id))
        return self.heard(say, dispatch_id)[0]

    def end(self) -> None:
        self.link.close()
        self.greenlet.join(timeout=DEADLINE_S)
        assert self.greenlet.successful()

    def die(self) -> None:
        """As by SIGKILL: the connection ends where it is, nothing is said."""
        self.greenlet.kill()


def start(folder: Path, dispatch_id: int, *argv: str) -> Fields:
    return {
        "dispatch_id": dispatch_id,
        "task_instance_id": dispatch_id,
        "workflow_instance_id": 1,
        "attempt": 1,
        "marker": marker(folder, dispatch_id),
        "owner": 1,
        "keep": False,
        "argv": list(argv),
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": str(folder),
        "log": str(folder / f"{dispatch_id}.log"),
        "limit_ms": 0,
        "grace_ms": 5_000,
        "processes_max": 0,
    }


def marker(folder: Path, dispatch_id: int) -> str:
    """Unlike that of any other test run on this machine."""
    return f"{folder}.{os.getpid()}.{dispatch_id}.1"


def phase_of(worker: Worker, dispatch_id: int) -> str | None:
    """The latest that was told of an attempt, by itself or among all records."""
    phases = [
        fact.get("say", fact.get("phase"))
        for message in worker.told
        for fact in message.get("records", [message])
        if fact.get("dispatch_id") == dispatch_id
    ]
    return phases[-1] if phases else None


def warden_pid(folder: Path) -> int:
    return int((folder / "warden.lock").read_text())


def script(folder: Path, text: str, first_line: str = "#!/bin/sh") -> str:
    path = folder / "a-script"
    path.write_text(f"{first_line}\n{text}\n")
    path.chmod(0o700)
    return str(path)


def carrying(mark: str) -> list[int]:
    """Living processes of an attempt."""
    text, found = f"STENELLA_ATTEMPT={mark}\0".encode(), []
    for process in psutil.process_iter():
        with suppress(OSError):
            if text in Path(f"/proc/{process.pid}/environ").read_bytes():
                found.append(process.pid)
    return found


def pid_in(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@contextmanager
def served(folder: Path) -> Iterator[Path]:
    """A worker's folder; at the end its warden leaves, without having crashed."""
    yield folder
    worker = Worker(folder, life=99)
    for facts in worker.wait("records")["records"]:
        worker.post("kill", dispatch_id=facts["dispatch_id"], intent="shutdown", grace_ms=0)
    pid = warden_pid(folder)
    worker.post("leave")
    worker.end()
    wait_until(lambda: gone(pid))
    assert (folder / "warden.err").read_text() == ""


@contextmanager
def at_work(folder: Path) -> Iterator[Worker]:
    """A worker whose warden has answered; it dies at the end."""
    worker = Worker(folder)
    worker.wait("records")
    yield worker
    worker.die()
