"""What this machine can do by itself, measured in the same run as a benchmark's figure.

A figure alone says more about the machine than about the scheduler; beside these it is a ratio.
"""

import os
import statistics
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import zmq

#: What a shell task's process is: the figure of such tasks is held against the same.
SHELL = "/bin/bash"
SCRIPT = "true"
SPAWNS = 100  # some 100 ms
SYNCS = 100  # some 10 ms on an SSD, a second on a disk that turns
SYNC_BYTES = 4096  # one page, as a small commit writes
TRIPS = 500  # some 50 ms
BODY = b"x" * 200  # as a request for a noop
TRIP_S_MAX = 5.0


def limits(folder: Path) -> dict[str, float]:
    """``spawns_per_s`` of a shell on a script, one after the other, ``spawns_at_once_per_s``, as
    many at once as there are cores; ``fdatasync_us`` in ``folder``, ``round_trip_us`` on loopback.

    The rates are means, the others medians of their repetitions.
    """
    with tempfile.TemporaryDirectory(dir=folder) as own:
        script = Path(own) / "true.sh"
        script.write_text(SCRIPT)
        argv = (SHELL, str(script))
        return {
            "spawns_per_s": round(spawns_per_s(argv, 1), 1),
            "spawns_at_once_per_s": round(spawns_per_s(argv, os.cpu_count() or 1), 1),
            "fdatasync_us": round(fdatasync_us(folder), 1),
            "round_trip_us": round(round_trip_us(), 1),
        }


def best(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Of two measurements, before and after a benchmark, what the machine was able to do."""
    return {
        name: (min if name.endswith("_us") else max)(value, other[name])
        for name, value in one.items()
    }


def spawns_per_s(argv: tuple[str, ...], at_once: int) -> float:
    """posix_spawn and wait; so many of them live at the same time."""
    began = time.perf_counter()
    living: deque[int] = deque()
    for _ in range(SPAWNS):
        if len(living) == at_once:
            os.waitpid(living.popleft(), 0)
        living.append(os.posix_spawn(argv[0], argv, os.environ, setsid=True))
    for pid in living:
        os.waitpid(pid, 0)
    return SPAWNS / (time.perf_counter() - began)


def fdatasync_us(folder: Path) -> float:
    """One page written at a file's end and synced."""
    samples = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(b"x" * SYNC_BYTES)
            file.flush()
            os.fdatasync(file.fileno())
            samples.append(time.perf_counter() - began)
    return statistics.median(samples) * 1e6


def round_trip_us() -> float:
    """One frame from a DEALER to a ROUTER in another thread and back, without encryption."""
    with zmq.Context() as context:
        router = context.socket(zmq.ROUTER)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        echo = threading.Thread(target=_echo, args=(router,))
        echo.start()
        dealer = context.socket(zmq.DEALER)
        dealer.set(zmq.RCVTIMEO, int(TRIP_S_MAX * 1_000))
        dealer.connect(f"tcp://127.0.0.1:{port}")
        samples = []
        for _ in range(TRIPS):
            began = time.perf_counter()
            dealer.send(BODY)
            dealer.recv()
            samples.append(time.perf_counter() - began)
        dealer.send(b"")
        echo.join()
        dealer.close(linger=0)
    return statistics.median(samples) * 1e6


def _echo(router: "zmq.Socket[bytes]") -> None:
    """Until an empty frame comes."""
    with router:
        while True:
            frames = router.recv_multipart()
            if not frames[-1]:
                return
            router.send_multipart(frames)
