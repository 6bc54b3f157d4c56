"""Homes of others at this cluster's doors: workers and clients with issued keys, and without."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stenella.home import endpoints
from stenella.home.layout import Home

from .home import LiveHome, until
from .test_life import WAIT_FOR_GATE

pytestmark = [pytest.mark.live, pytest.mark.slow]


class Elsewhere(LiveHome):
    """A home without a master, whose workers and clients go to another's."""

    def __init__(self, folder: Path, home: LiveHome) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.home = home
        self.started: list[subprocess.Popen[str]] = []
        found = endpoints.read(Home(home.root))
        assert found is not None
        self.master = found

    def key(self, role: str, name: str) -> str:
        """A key as `key new` writes it into a file."""
        path = self.folder / f"{name}.key"
        with path.open("w") as file:
            subprocess.run(
                [sys.executable, "-m", "stenella", "key", "new", role, "--name", name],
                env=self.home.environment,
                stdout=file,
                check=True,
            )
        return str(path)

    def worker(self, key: str, *more: str) -> "subprocess.Popen[str]":
        """A worker that joins."""
        self.started.append(self.start("worker", "start", "--key", key, *more))
        return self.started[-1]

    def with_key(self, key: str) -> None:
        """Be a client there from now on."""
        self.environment["STENELLA_KEY"] = key

    def said(self, *arguments: str) -> str:
        """What a command says, however it ends."""
        process = self.start(*arguments)
        return process.communicate()[0]

    def end(self) -> None:
        """Kill what was started, and the wardens."""
        for process in self.started:
            process.kill()
            if process.stdout is not None and not process.stdout.closed:
                process.communicate()
        for lock in self.root.glob("workers/*/warden.lock"):
            if (text := lock.read_text().strip()) and Path(f"/proc/{text}").exists():
                os.kill(int(text), signal.SIGKILL)


@pytest.fixture
def elsewhere(home: LiveHome, tmp_path: Path) -> Iterator[Elsewhere]:
    home.run("up", "--workers", "0", "--detach")
    made = Elsewhere(tmp_path / "elsewhere", home)
    yield made
    made.end()


def workers(home: LiveHome) -> dict[str, Any]:
    return {worker["id"]: worker for worker in home.json("worker", "ls")}


def joined(home: LiveHome, name: str) -> Any:
    return until(
        lambda: (w := workers(home).get(name)) and w["state"] == "alive" and w, f"{name} joins"
    )


def said_more(process: "subprocess.Popen[str]") -> str:
    """What it has written since it was last looked at."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    try:
        return os.read(process.stdout.fileno(), 65_536).decode()
    except BlockingIOError:
        return ""
    finally:
        os.set_blocking(process.stdout.fileno(), True)


def test_a_worker_of_a_second_home_joins_runs_a_task_and_comes_back_by_itself(
    home: LiveHome, elsewhere: Elsewhere
) -> None:
    master = ["--master", elsewhere.master.worker]
    first = elsewhere.worker(elsewhere.key("worker", "far"), *master, "--slots", "2")
    joined(home, "far")
    done = home.json("run", home.definition("one", home.noting(1, "echo here")))
    first.terminate()
    first.communicate()
    elsewhere.started.append(elsewhere.start("worker", "start"))  # it knows its key and master
    again = home.json("run", home.definition("two", home.noting(1)))

    assert done["tasks"][0]["worker"] == again["tasks"][0]["worker"] == "far"
    assert not (elsewhere.root / "stenella.db").exists()
    assert "here" in home.run("logs", "1/t0000")


def test_b41_a_copied_worker_folder_is_refused_and_shown(
    home: LiveHome, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    key = elsewhere.key("worker", "far")
    elsewhere.worker(key, "--slots", "1")
    joined(home, "far")
    gate = home.folder / "gate"
    tasks = home.noting(1, WAIT_FOR_GATE.format(gate=gate))
    number = str(home.json("submit", home.definition("w", tasks))["workflow_instance_id"])
    until(home.ledger_lines, "it runs")

    copy = Elsewhere(tmp_path / "copy", home)
    try:
        shutil.copytree(
            elsewhere.root,
            copy.root,
            ignore=lambda _folder, names: [n for n in names if n.endswith(".sock")],
        )
        clone = copy.worker(key)
        shown = until(lambda: workers(home)["far"]["message"], "the clone is refused")
        gate.touch()
        done = home.json("wait", number)
    finally:
        copy.end()

    assert f"pid {clone.pid}" in shown
    assert workers(home)["far"]["pid"] == elsewhere.started[0].pid
    assert (done["state"], done["tasks"][0]["attempt"]) == ("SUCCESS", 1)
    assert home.ledger_lines() == ["t0000"]


def test_a_worker_without_a_master_and_without_a_key_says_what_it_waits_for(
    elsewhere: Elsewhere,
) -> None:
    worker = elsewhere.start("worker", "start")
    elsewhere.started.append(worker)

    until(lambda: "one elsewhere is joined with --key" in said_more(worker), "it says so")


def test_a_log_is_read_from_elsewhere_and_its_end_when_its_worker_is_away(
    home: LiveHome, elsewhere: Elsewhere
) -> None:
    worker = elsewhere.worker(elsewhere.key("worker", "far"))
    joined(home, "far")
    failing = home.definition("failing", [{"name": "t", "script": "echo hello there; exit 3"}])
    number = str(home.json("submit", failing)["workflow_instance_id"])
    home.json("wait", number, code=1)
    there = Elsewhere(elsewhere.folder / "client", home)
    there.with_key(there.key("client", "ci"))

    logs = there.said("logs", f"{number}/t")
    end = there.said("wait", number)
    [log] = elsewhere.root.glob("workers/*/logs/*/*.log")
    log.rename(log.with_suffix(".kept"))
    removed = there.said("logs", f"{number}/t")
    log.with_suffix(".kept").rename(log)
    worker.terminate()
    worker.communicate()
    until(lambda: "out of reach" in there.said("logs", f"{number}/t"), "its worker is away", 6.0)
    away = there.said("wait", number)
    home.run("down")
    down = home.run("logs", f"{number}/t")

    assert logs == "hello there\n"
    assert "hello there" in removed
    assert "out of reach" in removed
    assert "│ hello there" in end
    assert "│ hello there" in away
    assert "out of reach" in down
    assert "hello there" in down


def test_a_revoked_key_cuts_its_worker_off_and_does_not_come_in_again(
    home: LiveHome, elsewhere: Elsewhere
) -> None:
    worker = elsewhere.worker(elsewhere.key("worker", "far"))
    joined(home, "far")

    home.run("key", "revoke", "far")
    until(lambda: workers(home)["far"]["state"] == "late", "it is cut off", 6.0)
    until(lambda: "this key was revoked" in said_more(worker), "it is told so")
    worker.terminate()
    worker.communicate()
    again = elsewhere.start("worker", "start")
    elsewhere.started.append(again)
    end = again.communicate(timeout=30)[0]

    assert "key refused by the master" in end
    assert again.returncode == 8
    assert [row["state"] for row in home.json("key", "ls") if row["name"] == "far"] == ["revoked"]


def test_b15_a_key_of_the_wrong_role_is_refused_with_a_sentence_within_three_seconds(
    home: LiveHome, elsewhere: Elsewhere
) -> None:
    observer, worker = elsewhere.key("observer", "eye"), elsewhere.key("worker", "far")
    refused = elsewhere.worker(observer).communicate(timeout=30)[0]

    elsewhere.with_key(worker)
    told = elsewhere.json("ls", code=8)["error"]["message"]
    forged = Path(worker).read_text().replace('"worker"', '"client"')
    Path(worker).write_text(forged.replace(elsewhere.master.worker, elsewhere.master.client))
    began_s = time.monotonic()
    error = elsewhere.json("ls", code=5)["error"]["message"]
    took_s = time.monotonic() - began_s

    assert "is the key of an observer, and a worker needs one of its own" in refused
    assert "is the key of a worker" in told
    assert "key refused by the master" in error  # whatever its file says
    assert took_s < 3.0 + 1.0  # and the start of the command on a busy machine


def test_an_observer_reads_and_changes_nothing(home: LiveHome, elsewhere: Elsewhere) -> None:
    elsewhere.with_key(elsewhere.key("observer", "eye"))

    assert elsewhere.json("ls") == []
    assert elsewhere.json("status")["workers"] == []
    refusals = [
        elsewhere.json("stop", "1", code=8),
        elsewhere.json("worker", "drain", "far", code=8),
        elsewhere.json("debug", "peek", "master", "gateway", code=8),
        elsewhere.json("debug", "trace", "1", code=8),
        elsewhere.json("debug", "dead-letters", code=8),
    ]
    assert {row["node"] for row in elsewhere.json("debug", "mailboxes")} == {"master"}

    assert all("an observer's key may read" in r["error"]["message"] for r in refusals)


def test_a_client_elsewhere_asks_for_all_until_its_key_is_revoked(
    home: LiveHome, elsewhere: Elsewhere
) -> None:
    elsewhere.with_key(elsewhere.key("client", "ci"))

    assert elsewhere.json("stop", "1", code=3)["error"]["code"] == "not_found"
    home.run("key", "revoke", "ci")
    until(lambda: "key refused by the master" in elsewhere.said("ls"), "it is good no more", 6.0)
    assert "`stenella key new client` there" in elsewhere.said("ls")
