"""The warden with real processes: what outlives its worker, and what outlives it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import psutil
import pytest

from .warden_worker import (
    DEADLINE_S,
    Worker,
    at_work,
    gone,
    phase_of,
    pid_in,
    served,
    start,
    wait_until,
    warden_pid,
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


def test_a_forget_waits_for_company_or_for_a_nudge(worker: Worker, folder: Path) -> None:
    worker.start(1, "/bin/true")
    worker.wait("ended", 1)
    log = folder / "warden.log"

    worker.post("forget", dispatch_id=1)
    gevent.sleep(0.2)
    assert '"phase": "forget"' not in log.read_text()
    worker.link.nudge()
    wait_until(lambda: '"phase": "forget"' in log.read_text())


def test_what_is_meant_for_a_former_warden_is_lost_to_the_next_one(
    worker: Worker, folder: Path
) -> None:
    greeted = worker.wait("records")
    here = greeted["pid"], greeted["start_ticks"]
    order = {"do": "start", **start(folder, 1, "/bin/true")}

    worker.link.post(order, only=(here[0], here[1] - 1))
    worker.link.post(order | {"dispatch_id": 2}, only=here)

    worker.wait("ended", 2)
    assert not worker.heard("begun", 1)
    assert worker.link.dropped_count == 1
    worker.end()

    second = Worker(folder, life=2)
    assert [r["dispatch_id"] for r in second.wait("records")["records"]] == [2]
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
        "WardenLink(Path(sys.argv[1]), 'b', 1, 'w1', 'j', lambda m: None).run()\n"
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
def test_a_disk_that_refuses_holds_back_starts_and_facts_but_not_a_kill(
    worker: Worker, folder: Path
) -> None:
    worker.start(1, "/bin/sleep", "1000")
    pid = worker.wait("begun", 1)["pid"]
    warden = psutil.Process(warden_pid(folder))
    warden.rlimit(psutil.RLIMIT_FSIZE, ((folder / "warden.log").stat().st_size + 10, -1))
    worker.start(2, "/bin/sh", "-c", "touch began")
    worker.post("kill", dispatch_id=1, intent="person", grace_ms=60_000)
    wait_until(lambda: gone(pid))
    assert phase_of(worker, 1) == "begun"
    assert not (folder / "began").exists()

    warden.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))

    assert worker.wait("ended", 1)["intent"] == "person"
    assert worker.wait("ended", 2)["code"] == 0


def test_a_folder_with_a_long_name_is_served(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    worker = Worker(folder)
    worker.wait("records")
    worker.start(1, "/bin/true")

    assert worker.wait("ended", 1)["code"] == 0

    worker.post("leave")
    worker.end()
