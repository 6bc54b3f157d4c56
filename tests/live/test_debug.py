"""What the actors do is told also while the disk stalls and while a node takes nothing any more."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from stenella.home import keys
from stenella.home.layout import open_home
from stenella.protocol.codec import encode_frames
from stenella.protocol.commands import Command, StatusRead

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

MAILBOX_MAX = 100  # the least that may be set
FLOOD = 400  # reads at a time, of more than 200 bytes each


@pytest.fixture
def narrow(home: LiveHome) -> LiveHome:
    """A cluster whose bounds are as near as they may be."""
    home.environment |= {
        "STENELLA_NODE__MAILBOX_MAX": str(MAILBOX_MAX),
        "STENELLA_NODE__AHEAD_BYTES": "65536",
    }
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    return home


@contextlib.contextmanager
def stalled(home: LiveHome) -> Iterator[None]:
    """Somebody else holds the database, so no commit comes through; one is under way."""
    with contextlib.closing(sqlite3.connect(home.root / "stenella.db")) as holder:
        holder.isolation_level = None
        holder.execute("BEGIN IMMEDIATE")
        waiting = home.start("submit", home.definition("waiting", home.noting(1)))
        try:
            until(lambda: row_of(home, "storage")["depth"] == 1, "a commit is under way")
            yield
        finally:
            holder.execute("ROLLBACK")
            waiting.communicate(timeout=60)


def row_of(home: LiveHome, actor: str) -> dict[str, Any]:
    rows = home.json("debug", "mailboxes")
    [row] = [row for row in rows if (row["node"], row["actor"]) == ("master", actor)]
    found: dict[str, Any] = row
    return found


def flood(home: LiveHome) -> None:
    name = keys.client_keys(open_home(home.root)).name
    with home.connection() as connection:
        for first in range(0, FLOOD, 100):
            reads: list[Command] = [
                StatusRead(request_id=f"flood-{first + n:0200}") for n in range(100)
            ]
            for frame in encode_frames("", name, "b", reads):
                connection.send(frame)


def full_mailbox(home: LiveHome) -> dict[str, Any] | None:
    """The gateway's row, once it is at all its bounds."""
    flood(home)
    row = row_of(home, "gateway")
    return row if row["depth"] >= MAILBOX_MAX and row["rejected"] else None


def test_debug_answers_while_the_disk_stalls_and_the_mailbox_is_full(narrow: LiveHome) -> None:
    done = narrow.json("run", narrow.definition("before", narrow.noting(1)))
    [task] = done["tasks"]

    with stalled(narrow):
        gateway = until(lambda: full_mailbox(narrow), "it takes nothing any more")
        storage = until(
            lambda: (row := row_of(narrow, "storage"))["stalled_ms"] and row, "the stall is seen"
        )
        peeked = narrow.json("debug", "peek", "master", "gateway")
        trace = narrow.json("debug", "trace", str(task["task_instance_id"]))
        letters = narrow.json("debug", "dead-letters")
        bundle = narrow.json("debug", "bundle", str(narrow.folder / "b.tar.gz"))
        shown = narrow.run("debug", "mailboxes")

    assert gateway["depth"] >= MAILBOX_MAX
    assert gateway["rejected"]["busy"] >= 1
    assert gateway["oldest_ms"] >= 0
    assert storage["oldest_ms"] >= storage["stalled_ms"] >= 1
    assert storage["ahead_bytes"] >= storage["ahead_bytes_max"]
    waiting = [row for row in peeked if row["state"] == "waiting"]
    assert waiting[0]["message"] == "StatusRead"
    assert waiting[0]["fields"]["request_id"].startswith("flood-")
    assert [row["event"] for row in trace] == ["SUBMIT", "DISPATCH", "RUNNING", "RESULT"]
    assert trace[3]["worker_time"] >= trace[2]["worker_time"] >= trace[0]["at"]
    assert letters == []
    assert {"name": "mailboxes.json"}.items() <= bundle["files"][4].items()
    with tarfile.open(narrow.folder / "b.tar.gz") as archive:
        file = archive.extractfile("stenella-bundle/mailboxes.json")
        assert file is not None
        rows = json.loads(file.read())
    assert ("master", "storage") in [(row["node"], row["actor"]) for row in rows]
    assert "could not write for" in shown


def said(home: LiveHome, actor: str) -> str:
    """What comes of a peek into the worker; on a busy machine it may be late just now."""
    output, _ = home.start("debug", "peek", "worker-1", actor, "--json").communicate(timeout=60)
    return output


def test_debug_answers_without_a_worker_that_stands_still(home: LiveHome) -> None:
    home.run("up", "--workers", "1", "--slots", "1", "--detach")
    until(lambda: '"node": "worker-1"' in said(home, "executor"), "the worker answers")
    until(lambda: "callback_sender" in said(home, "nobody"), "it names the actors it has")
    [pid] = home.pids("workers")
    worker = subprocess.Popen(["kill", "-STOP", str(pid)])
    assert worker.wait(10) == 0
    try:
        rows = home.json("debug", "mailboxes")
        refused = home.json("debug", "peek", "worker-1", "executor", code=6)
    finally:
        subprocess.run(["kill", "-CONT", str(pid)], check=True)

    assert {row["node"] for row in rows} == {"master"}
    assert "does not answer" in refused["error"]["message"]


def test_a_watch_prints_one_reading_after_another_until_it_is_interrupted(home: LiveHome) -> None:
    home.run("up", "--workers", "1", "--slots", "1", "--detach")
    watching = home.start("debug", "mailboxes", "--watch", "--json")
    assert watching.stdout is not None
    try:
        readings = [json.loads(watching.stdout.readline()) for _ in range(2)]
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)

    first, second = (
        sum(row["handled"] for row in rows if row["node"] == "master") for rows in readings
    )
    assert second > first
    assert watching.returncode == 130
