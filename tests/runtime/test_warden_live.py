"""The warden with real processes: what it starts and waits for."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .warden_worker import (
    Fields,
    Worker,
    at_work,
    marker,
    script,
    served,
    start,
    wait_until,
)

pytestmark = pytest.mark.live


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with served(tmp_path) as folder:
        yield folder


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    with at_work(folder) as worker:
        yield worker


def test_a_process_begins_and_ends_with_its_code(worker: Worker, folder: Path) -> None:
    before = time.time_ns() // 1_000_000
    worker.start(1, "/bin/sh", "-c", "exit 3")

    ended, begun = worker.wait("ended", 1), worker.wait("begun", 1)

    assert (ended["code"], ended["signal"], ended["problem"]) == (3, None, None)
    assert ended["end_time"] == begun["start_time"] + ended["duration_ms"]
    assert before <= begun["start_time"] <= time.time_ns() // 1_000_000
    assert worker.told.index(begun) < worker.told.index(ended)
    lines = (folder / "warden.log").read_text().splitlines()
    assert [json.loads(line)["phase"] for line in lines] == ["starting", "begun", "ended"]


@pytest.mark.parametrize(
    ("traces", "wrote", "silent"),
    [
        (["out"], ":", True),
        ([], ":", True),
        (["out"], ": > out", True),
        (["out"], "echo word", False),
        (["out"], "echo a=1 > out", False),
        (["out"], "sh -c 'trap \"\" HUP; sleep 0.2; echo late' & exec sleep 0.4", False),
        (["out"], "mkfifo out", False),
        (["out"], "ln -s /dev/null out", False),
        (["out"], "mkdir folder; ln -s folder out", False),
        (["out"], ": > x; ln x out", False),
        (["a-script/out"], ":", False),
        (["a\0b"], ":", False),
        (None, ":", False),
    ],
)
def test_it_was_silent_if_all_its_traces_are_empty(
    worker: Worker, folder: Path, traces: list[str] | None, wrote: str, silent: bool
) -> None:
    paths = None if traces is None else [str(folder / name) for name in traces]
    worker.start(1, script(folder, wrote), traces=paths)

    assert worker.wait("ended", 1)["silent"] is silent


def test_a_process_that_a_signal_ended_tells_the_signal(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", "kill -KILL $$")

    ended = worker.wait("ended", 1)

    assert (ended["code"], ended["signal"], ended["intent"]) == (None, 9, None)


def test_b35_its_surroundings_are_exactly_as_asked(worker: Worker, folder: Path) -> None:
    (folder / "work").mkdir()
    (folder / "1.log").write_text("of a former database\n")
    probe = """
import os, signal, sys
print(sorted(open("/proc/self/environ", "rb").read().split(bytes(1))[:-1]), flush=True)
print(os.getcwd(), os.getpid() == os.getsid(0) == os.getpgid(0), file=sys.stderr, flush=True)
print(sorted(os.listdir("/proc/self/fd"))[:-1], os.readlink("/proc/self/fd/0"), sys.stdin.read())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["SigBlk"], 16))
"""
    env = {"A": "b c", "B": "ß\n"}
    command = (sys.executable, "-I", "-c", probe)
    worker.start(1, *command, env=env, cwd=str(folder / "work"))

    assert worker.wait("ended", 1)["code"] == 0

    everything = [b"A=b c", "B=ß\n".encode(), f"STENELLA_ATTEMPT={marker(folder, 1)}".encode()]
    environment, surroundings, files, blocked = (folder / "1.log").read_text().splitlines()
    assert environment == str(everything)
    assert surroundings == f"{folder}/work True"
    assert files == "['0', '1', '2'] /dev/null "
    assert blocked == "0"


def test_signals_are_as_in_a_fresh_process(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/grep", "SigIgn", "/proc/self/status")

    worker.wait("ended", 1)

    of_glibc = 0b11 << 31  # its posix_spawn ignores its own two
    assert int((folder / "1.log").read_text().split()[1], 16) & ~of_glibc == 0


def test_a_program_without_slash_is_looked_for_in_its_own_path(
    worker: Worker, folder: Path
) -> None:
    script(folder, "exit 5")
    worker.start(1, "a-script", env={"PATH": f"/nowhere:{folder}"})
    worker.start(2, "a-script")

    assert worker.wait("ended", 1)["code"] == 5
    message = worker.wait("ended", 2)["problem"]["message"]
    assert "no program 'a-script' in PATH /usr/bin:/bin" in message


def test_when_a_process_began_is_what_the_system_says(worker: Worker, folder: Path) -> None:
    script(folder, 'read -r stat < /proc/self/stat; echo "$stat"')
    for number in range(1, 31):
        worker.start(number, str(folder / "a-script"))

    for number in range(1, 31):
        told = worker.wait("begun", number)
        worker.wait("ended", number)
        stat = (folder / f"{number}.log").read_text()
        assert told["start_ticks"] == int(stat[stat.rindex(")") + 2 :].split()[19])


def test_a_start_that_is_repeated_runs_once(worker: Worker, folder: Path) -> None:
    once = ("/bin/sh", "-c", "echo once >> count; sleep 0.1")
    for _ in range(3):
        worker.start(1, *once)
    worker.wait("ended", 1)
    worker.start(1, *once)

    wait_until(lambda: len(worker.heard("ended", 1)) == 2)

    assert (folder / "count").read_text() == "once\n"


@pytest.mark.parametrize(
    ("first_line", "mode", "words"),
    [
        ("#!/no/such/interpreter -x", 0o700, "asks for the interpreter '/no/such/interpreter'"),
        ("#!/bin/sh\r", 0o700, "asks for the interpreter '/bin/sh\\r'"),
        ("#!/bin/sh", 0o600, "may not be executed"),
        ("echo", 0o700, "names no interpreter"),
    ],
)
def test_a_script_that_cannot_be_executed_is_explained(
    worker: Worker, folder: Path, first_line: str, mode: int, words: str
) -> None:
    path = script(folder, "echo", first_line)
    Path(path).chmod(mode)
    worker.start(1, path)

    ended = worker.wait("ended", 1)

    assert (ended["code"], ended["signal"]) == (None, None)
    assert ended["problem"]["reason"] == "spawn"
    assert words in ended["problem"]["message"]
    assert path in ended["problem"]["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"argv": ["/no/such/program"]}, "/no/such/program: No such file"),
        ({"argv": ["/bin/true", "x" * 3_000_000]}, "too large"),
        ({"argv": ["/bin/true", "\0"]}, "null"),
        ({"argv": []}, "cannot be started"),
        ({"env": {"A": 1}}, "cannot be started"),
        ({"cwd": "/no/such/folder"}, "cannot enter the working folder /no/such/folder"),
        ({"log": "/no/such/folder/log"}, "cannot open the log /no/such/folder/log"),
    ],
)
def test_a_start_that_fails_is_explained(worker: Worker, fields: Fields, words: str) -> None:
    worker.start(1, "/bin/true", **fields)

    assert words in worker.wait("ended", 1)["problem"]["message"]


@pytest.mark.slow
def test_many_starts_at_once_all_end_once(worker: Worker) -> None:
    for dispatch_id in range(300):
        worker.start(dispatch_id, "/bin/true")

    wait_until(lambda: sum(m["say"] == "ended" for m in worker.told) >= 300)

    ended = [m["dispatch_id"] for m in worker.told if m["say"] == "ended"]
    assert sorted(ended) == list(range(300))
    assert {m["code"] for m in worker.told if m["say"] == "ended"} == {0}


def test_b8_the_log_of_a_task_that_writes_without_end_stays_bounded_without_a_worker(
    folder: Path,
) -> None:
    limit = 1 << 20
    with at_work(folder) as worker:
        worker.start(1, "/bin/sh", "-c", "while :; do head -c 200000 /dev/zero; done")
        worker.post("start", **(start(folder, 2, "/usr/bin/yes") | {"log_bytes_max": limit}))
        worker.wait("begun", 2)
        worker.post("kill", dispatch_id=1, intent="person", grace_ms=0)
        worker.wait("ended", 1)
    log = folder / "2.log"

    wait_until(lambda: log.stat().st_size > 100 * limit)
    wait_until(lambda: log.stat().st_blocks * 512 < log.stat().st_size // 10)

    with log.open("rb") as file:
        assert file.read(limit // 2) == b"y\n" * (limit // 4)
