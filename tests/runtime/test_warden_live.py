"""The warden with real processes: what it starts, waits for, kills and survives."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest

from stenella.runtime.warden_link import WardenLink

pytestmark = pytest.mark.live

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
        self.link = WardenLink(folder, f"boot-{life}", life, "w1", self.told.append)
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
        "argv": list(argv),
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": str(folder),
        "log": str(folder / f"{dispatch_id}.log"),
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


def pid_in(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A worker's folder; at the end its warden leaves, without having crashed."""
    yield tmp_path
    worker = Worker(tmp_path, life=99)
    for facts in worker.wait("records")["records"]:
        worker.post("kill", dispatch_id=facts["dispatch_id"], intent="shutdown", grace_ms=0)
    pid = warden_pid(tmp_path)
    worker.post("leave")
    worker.end()
    wait_until(lambda: gone(pid))
    assert (tmp_path / "warden.err").read_text() == ""


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    worker = Worker(folder)
    worker.wait("records")
    yield worker
    worker.die()


# --- start and end -------------------------------------------------------------------------------


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


def test_a_process_that_a_signal_ended_tells_the_signal(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", "kill -KILL $$")

    ended = worker.wait("ended", 1)

    assert (ended["code"], ended["signal"], ended["intent"]) == (None, 9, None)


def test_its_surroundings_are_exactly_as_asked(worker: Worker, folder: Path) -> None:
    (folder / "work").mkdir()
    (folder / "1.log").write_text("kept\n")
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
    environment, surroundings, files, blocked = (folder / "1.log").read_text().splitlines()[1:]
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


# --- kill ----------------------------------------------------------------------------------------


def test_term_ends_a_process_and_its_group(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "sleep 1000 & echo $! > child; wait")
    child = pid_in(folder / "child")
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=60_000)

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGTERM, "person")
    assert gone(child)
    assert worker.heard("killing", 1)


def test_what_ignores_term_is_killed_after_the_grace(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "trap '' TERM; echo $$ > ready; while :; do sleep 1; done")
    pid_in(folder / "ready")
    worker.post("kill", dispatch_id=1, intent="timeout", grace_ms=50)

    ended = worker.wait("ended", 1)

    assert (ended["signal"], ended["intent"]) == (signal.SIGKILL, "timeout")


def test_what_ended_before_the_kill_keeps_its_code(worker: Worker) -> None:
    worker.start(1, "/bin/sh", "-c", "exit 4")
    worker.wait("ended", 1)
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=50)

    wait_until(lambda: len(worker.heard("ended", 1)) == 2)

    assert {(m["code"], m["intent"]) for m in worker.heard("ended", 1)} == {(4, None)}


@pytest.mark.parametrize("killed", [False, True])
def test_a_daemon_that_left_the_session_goes_before_the_end_is_told(
    worker: Worker, folder: Path, killed: bool
) -> None:
    worker.start(2, "/bin/sleep", "1000")  # so that the daemon could be another attempt's
    daemon = "(setsid sh -c 'trap \"\" TERM; echo $$ > daemon; sleep 1000' &)"
    stays = "; sleep 1000" if killed else "; while [ ! -s daemon ]; do sleep 0.01; done"
    worker.start(1, "/bin/sh", "-c", daemon + stays)
    pid = pid_in(folder / "daemon")
    if killed:
        worker.post("kill", dispatch_id=1, intent="person", grace_ms=60_000)

    worker.wait("ended", 1)

    assert gone(pid)
    assert not worker.heard("ended", 2)


def test_a_daemon_that_hid_its_origin_goes_when_nothing_else_runs(
    worker: Worker, folder: Path
) -> None:
    hide = "(setsid env -i sh -c 'echo $$ > daemon; /bin/sleep 1000' &)"
    worker.start(1, "/bin/sh", "-c", hide + "; while [ ! -s daemon ]; do sleep 0.01; done")

    worker.wait("ended", 1)

    assert gone(pid_in(folder / "daemon"))


def test_a_background_child_goes_before_the_end_is_told(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/sh", "-c", "trap '' TERM; sleep 1000 & echo $! > child")

    assert worker.wait("ended", 1)["code"] == 0

    assert gone(pid_in(folder / "child"))


def test_a_kill_of_what_never_came_refuses_it_later(worker: Worker, folder: Path) -> None:
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=50)
    worker.wait("unknown", 1)
    worker.start(1, "/bin/sh", "-c", "touch began")
    worker.wait("never_began", 1)
    worker.start(2, "/bin/true")
    worker.wait("ended", 2)

    assert not (folder / "began").exists()


# --- lives ---------------------------------------------------------------------------------------


def test_the_next_life_adopts_what_runs_and_hears_what_ended(folder: Path) -> None:
    first = Worker(folder)
    first.wait("records")
    first.start(1, "/bin/sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; exit 6")
    begun = first.wait("begun", 1)
    first.start(2, "/bin/sh", "-c", "exit 7")
    first.wait("ended", 2)
    pid = warden_pid(folder)
    first.die()

    second = Worker(folder, life=2)
    records = {r["dispatch_id"]: r for r in second.wait("records")["records"]}
    (folder / "go").touch()

    assert (records[1]["phase"], records[1]["pid"]) == ("begun", begun["pid"])
    assert (records[2]["phase"], records[2]["code"]) == ("ended", 7)
    assert second.wait("ended", 1)["code"] == 6
    assert warden_pid(folder) == pid
    second.die()


def test_what_is_forgotten_is_listed_no_more(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/true")
    worker.wait("ended", 1)
    worker.post("forget", dispatch_id=1)
    worker.end()

    second = Worker(folder, life=2)
    assert second.wait("records")["records"] == []
    second.die()


def test_starts_that_a_dead_life_had_sent_come_before_the_next_ones_answer(folder: Path) -> None:
    first = Worker(folder)
    first.wait("records")
    for dispatch_id in range(20):
        first.start(dispatch_id, "/bin/sleep", "1000")
    first.end()

    second = Worker(folder, life=2)

    assert len(second.wait("records")["records"]) == 20
    second.die()


def test_a_warden_outlives_its_worker_and_holds_none_of_its_files(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from stenella.runtime.warden_link import WardenLink\n"
        "WardenLink(Path(sys.argv[1]), 'b', 1, 'w1', lambda m: None).run()\n"
    )
    read, write = os.pipe()
    command = [sys.executable, "-c", program, str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[write]
    )
    os.close(write)
    wait_until(lambda: (folder / "warden.sock").exists())
    process.kill()
    process.wait()

    with open(read, "rb") as pipe:
        assert pipe.read() == b"", "nobody holds the other end"
    assert not gone(warden_pid(folder))


def test_a_killed_warden_is_replaced_and_what_it_ran_is_gone_and_lost(
    worker: Worker, folder: Path
) -> None:
    worker.start(1, "/bin/sh", "-c", "(setsid sleep 1000 & echo $! > daemon); sleep 1000")
    pid, daemon = worker.wait("begun", 1)["pid"], pid_in(folder / "daemon")
    worker.start(2, "/bin/true")
    worker.wait("ended", 2)
    os.kill(warden_pid(folder), signal.SIGKILL)

    wait_until(lambda: phase_of(worker, 1) == "lost")

    assert gone(pid)
    assert gone(daemon)
    assert [m["say"] for m in worker.told if m["say"] in ("warden_lost", "records")] == [
        "records",
        "warden_lost",
        "records",
    ]
    assert phase_of(worker, 2) == "ended"


def test_a_process_of_another_start_under_a_recorded_pid_is_spared(folder: Path) -> None:
    bystander = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    kernel_boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = start(folder, 1) | {"phase": "begun", "kernel_boot": kernel_boot}
    record |= {"pid": bystander.pid, "start_ticks": 1, "start_time": 1}
    (folder / "warden.log").write_text(json.dumps(record) + "\n")

    worker = Worker(folder)
    wait_until(lambda: "lost" in (folder / "warden.log").read_text())

    assert bystander.poll() is None
    worker.die()
    bystander.kill()
    bystander.wait()


def test_a_torn_line_of_the_log_is_left_out(folder: Path) -> None:
    whole = start(folder, 1) | {"phase": "lost"}
    (folder / "warden.log").write_text(json.dumps(whole) + '\n{"phase": "lost", "dispa')

    worker = Worker(folder)

    assert worker.wait("records")["records"] == [whole]
    worker.start(2, "/bin/true")
    worker.wait("ended", 2)
    worker.die()


def test_a_second_warden_in_a_folder_ends_at_once(worker: Worker, folder: Path) -> None:
    command = [sys.executable, "-I", "-m", "stenella.runtime.warden_main", str(folder)]

    assert subprocess.run(command, timeout=DEADLINE_S).returncode == 6

    worker.start(1, "/bin/true")
    worker.wait("ended", 1)


@pytest.mark.slow
def test_a_disk_that_refuses_holds_back_the_end_but_not_the_kill(
    worker: Worker, folder: Path
) -> None:
    worker.start(1, "/bin/sleep", "1000")
    pid = worker.wait("begun", 1)["pid"]
    warden = psutil.Process(warden_pid(folder))
    warden.rlimit(psutil.RLIMIT_FSIZE, ((folder / "warden.log").stat().st_size, -1))
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=60_000)
    wait_until(lambda: gone(pid))
    assert not worker.heard("ended", 1)

    warden.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))

    assert worker.wait("ended", 1)["intent"] == "person"


def test_a_folder_with_a_long_name_is_served(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    worker = Worker(folder)
    worker.wait("records")
    worker.start(1, "/bin/true")

    assert worker.wait("ended", 1)["code"] == 0

    worker.post("leave")
    worker.end()
