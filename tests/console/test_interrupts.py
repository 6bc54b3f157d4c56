"""Ctrl-C, or the end of the cluster, while a command waits for a workflow: what goes on is told."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stenella.home import endpoints
from stenella.home.layout import Home

from .playing import Cluster, Playing

pytestmark = [pytest.mark.live, pytest.mark.slow]


def wait_for_watch(cluster: Cluster) -> None:
    deadline = time.monotonic() + 20
    while not cluster.watches and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cluster.watches


def test_an_interrupt_where_nobody_can_be_asked_stops_the_workflow(
    home: Home, play: Any, file: Path
) -> None:
    cluster = play("RUNNING_EXECUTION")
    command = [sys.executable, "-m", "stenella", "run", str(file), "-p", "day=1", "--json"]
    running = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_watch(cluster)

    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)

    assert running.returncode == 130
    assert cluster.stopped
    assert b'"state": "STOP"' in out
    assert b"Traceback" not in err


def test_an_interrupted_watch_leaves_the_workflow_alone(home: Home, play: Any) -> None:
    cluster = play("RUNNING_EXECUTION")
    watching = subprocess.Popen(
        [sys.executable, "-m", "stenella", "watch", "7"], stderr=subprocess.PIPE, text=True
    )
    wait_for_watch(cluster)

    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=20)

    assert watching.returncode == 130
    assert err.endswith("it goes on: stenella watch 7\n")
    assert not cluster.stopped


@pytest.mark.parametrize(
    "words",
    [["submit", "nightly.yaml", "-p", "day=1", "--wait"], ["wait", "7"], ["watch", "7"]],
    ids=" ".join,
)
def test_who_is_interrupted_is_told_that_it_goes_on_in_a_document_too(
    home: Home, play: Any, file: Path, words: list[str]
) -> None:
    cluster = play("RUNNING_EXECUTION")
    waiting = subprocess.Popen(
        [sys.executable, "-m", "stenella", *words, "--json"],
        cwd=file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for_watch(cluster)

    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=20)

    assert waiting.returncode == 130
    assert msgspec.json.decode(out.splitlines()[-1])["error"] == {
        "code": "interrupted",
        "message": "interrupted; it goes on: stenella watch 7",
        "problems": [],
    }
    assert err.startswith(b"submitted as workflow instance 7\n") == (words[0] == "submit")
    assert not cluster.stopped


def test_who_waits_for_a_cluster_that_is_taken_down_is_told_that_it_goes_on(
    home: Home, file: Path
) -> None:
    playing = Playing(home, "RUNNING_EXECUTION")
    try:
        waiting = subprocess.Popen(
            [sys.executable, "-m", "stenella", "submit", file, "-p", "day=1", "--wait", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_for_watch(playing.cluster)
        endpoints.remove(home)
    finally:
        playing.close()
    out, err = waiting.communicate(timeout=20)

    assert waiting.returncode == 5
    message = msgspec.json.decode(out)["error"]["message"]
    assert message.endswith("workflow instance 7 goes on then: stenella watch 7")
    assert err.startswith(b"submitted as workflow instance 7\n")


def read_terminal(descriptor: int, until: bytes) -> bytes:
    """What was written to a terminal, until ``until`` is in it or nobody writes any more."""
    seen = b""
    while until not in seen:
        try:
            piece = os.read(descriptor, 65_536)
        except OSError:  # EIO: the other end was closed
            break
        if not piece:
            break
        seen += piece
    return seen


@pytest.mark.parametrize(("answer", "stops"), [(b"d\n", False), (b"s\n", True)])
def test_in_a_terminal_one_sees_the_tasks_at_once_and_is_asked_at_an_interrupt(
    home: Home, play: Any, file: Path, answer: bytes, stops: bool
) -> None:
    cluster = play("RUNNING_EXECUTION")
    ours, theirs = pty.openpty()
    started = time.monotonic()
    command = [sys.executable, "-m", "stenella", "run", str(file), "-p", "day=1"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    first = read_terminal(ours, b"extract")
    painted_s = time.monotonic() - started
    running.send_signal(signal.SIGINT)
    question = read_terminal(ours, b"watching")
    os.write(ours, answer)
    read_terminal(ours, b"stenella wait 7" if not stops else b"stenella show 7")
    running.wait(20)
    os.close(ours)

    assert b"extract" in first
    assert painted_s < 2
    assert b"[s]top" in question
    assert running.returncode == 130
    assert cluster.stopped == stops


def test_a_run_that_is_let_go_on_says_so_in_a_document_too(
    home: Home, play: Any, file: Path
) -> None:
    cluster = play("RUNNING_EXECUTION")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "stenella", "run", str(file), "-p", "day=1", "--json"]
    running = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    wait_for_watch(cluster)

    running.send_signal(signal.SIGINT)
    read_terminal(ours, b"watching")
    os.write(ours, b"d\n")
    assert running.stdout is not None
    document = msgspec.json.decode(running.stdout.read())
    running.communicate(timeout=20)
    os.close(ours)

    assert running.returncode == 130
    assert document["error"]["message"] == "interrupted; it goes on: stenella wait 7"
    assert not cluster.stopped
