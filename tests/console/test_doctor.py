"""`stenella doctor`: what is wrong is told with its mend, what is well in one line."""

import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from stenella.console.checks import CHECKS, Patient
from stenella.console.doctor import examine, lines
from stenella.home.endpoints import MasterEndpoints, write
from stenella.home.layout import Home, open_home
from stenella.storage.journal import Journal


@pytest.fixture
def home(tmp_path: Path) -> Home:
    opened = open_home(tmp_path / "home")
    journal = Journal.open(opened.database)
    journal.start("b", 1, 1, "c")
    journal.close()
    return opened


def wrong(patient: Patient) -> dict[str, list[dict[str, Any]]]:
    """What is not well, by check; each has a mend."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in examine(patient):
        if row["state"] != "ok":
            assert row["mend"]
            found.setdefault(row["check"], []).append(row)
    return found


def status(**fields: Any) -> dict[str, Any]:
    return {"problem": None, "time": time.time(), "masters": [], "workers": []} | fields


def test_a_home_without_a_cluster_is_well(home: Home) -> None:
    rows = examine(Patient(home, held=False))

    problems = [row for row in rows if row["state"] == "problem"]
    assert problems == []
    assert {row["check"] for row in rows} == set(CHECKS)


def test_b40_a_key_or_home_that_others_can_read_is_told_with_its_mend(home: Home) -> None:
    key = home.keys / "client"
    key.write_text("{}")
    key.chmod(0o644)
    home.run.chmod(0o755)

    found = wrong(Patient(home, held=False))

    assert found["keys"][0]["mend"] == f"chmod 600 {key}"
    assert found["home"][0]["mend"] == f"chmod 700 {home.run}"


def test_b28_a_database_that_is_damaged_or_in_another_mode_is_told(home: Home) -> None:
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("PRAGMA journal_mode = delete")

    assert "not wal" in wrong(Patient(home, held=False))["database"][0]["message"]

    home.database.write_bytes(b"no database at all" * 100)
    assert "damaged" in wrong(Patient(home, held=False))["database"][0]["message"]


def test_what_the_cluster_says_of_itself_is_judged(home: Home) -> None:
    workers = [
        {"id": "worker-1", "state": "late", "version": None, "heard": -99.0},
        {"id": "worker-2", "state": "alive", "version": "0.0.9"},
    ]
    stalled = "the master could not write to its disk for 3.0 s (the disk is full)"
    masters = [{"id": 1, "pid": 1, "version": "0.0.8"}]
    said = status(masters=masters, workers=workers, problem=stalled, time=1.0)
    patient = Patient(home, held=True, status=said)
    patient.mailboxes = [{"node": "master", "actor": "wire", "rejected": {"garbage": 7}}]

    found = wrong(patient)

    assert [row["state"] for row in found["workers"]] == ["notice", "problem", "notice"]
    assert "late, last heard 1 min 40 s ago" in found["workers"][1]["message"]
    assert found["storage"][0]["message"] == stalled
    assert "garbage 7" in found["wire"][0]["message"]
    assert found["clock"][0]["state"] == "notice"  # B29: nothing measured depends on it


def test_b41_a_cloned_worker_is_a_problem(home: Home) -> None:
    claims = "another process claims to be far and is refused: host h, pid 7"
    workers = [{"id": "far", "state": "alive", "version": None, "message": claims}]

    [row] = wrong(Patient(home, held=True, status=status(workers=workers)))["workers"]

    assert (row["state"], row["message"]) == ("problem", f"worker far: {claims}")
    assert "key of its own" in row["mend"]


def test_a_cluster_that_holds_the_home_and_does_not_answer_is_a_problem(home: Home) -> None:
    found = wrong(Patient(home, held=True, unreachable="no answer"))

    assert "no answer" in found["cluster"][0]["message"]


def test_letters_journals_and_suspects_are_seen(home: Home) -> None:
    letter = {"quarantined": True, "workflow_instance_id": 7, "reason": "its rows crashed"}
    other = {"quarantined": False, "workflow_instance_id": None, "reason": "unknown"}
    home.suspects.write_text("")
    aside = home.worker(1)
    aside.create()
    (aside.folder / "journal.db.aside-1").write_text("")
    aside.suspects.write_text("")

    found = wrong(Patient(home, held=False, letters=[letter, other]))

    assert [row["state"] for row in found["letters"]] == ["problem", *["notice"] * 3]
    assert "crashed worker 1 lately" in found["letters"][3]["message"]
    assert "aside-1" in found["journals"][0]["message"]
    assert any(
        "problem: letters" in line
        for line in lines(examine(Patient(home, False, letters=[letter])))
    )


def test_what_nobody_acts_on_is_told_in_the_words_of_explain(home: Home) -> None:
    cause = {
        "task": "load",
        "task_instance_id": 7,
        "state": "DISPATCH",
        "owner": None,
        "sentence": "worker-1 was given it and has not said that it runs",
    }
    instance = cause | {"task": None, "task_instance_id": -3, "sentence": ""}

    rows = wrong(Patient(home, held=True, status=status(), stuck=[cause, instance]))["stuck"]

    assert [row["state"] for row in rows] == ["problem", "problem"]
    assert "task load (7) is DISPATCH and nobody acts next: worker-1 was" in rows[0]["message"]
    assert rows[1]["message"].startswith("a workflow instance (3) is")


def test_a_port_that_another_program_has_is_told_while_the_cluster_is_down(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.conf.write_text(f'[master]\nclient_endpoint = "tcp://127.0.0.1:{port}"\n')
        [row] = wrong(Patient(home, held=False))["ports"]

    assert f"master.client_endpoint = tcp://127.0.0.1:{port} is taken" in row["message"]
    assert "ports" not in wrong(Patient(home, held=False))


def test_a_master_whose_port_nobody_answers_is_told(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"tcp://127.0.0.1:{gone.getsockname()[1]}"
        known = MasterEndpoints(1, 1, address, address, "", "c")
        write(home, known)
        assert "ports" not in wrong(Patient(home, held=True, status=status()))

    rows = wrong(Patient(home, held=True, status=status()))["ports"]

    assert [address in row["message"] for row in rows] == [True, True]


@pytest.mark.slow
def test_a_node_whose_program_was_replaced_is_told(home: Home, tmp_path: Path) -> None:
    program = tmp_path / "sleeper"
    shutil.copy("/bin/cat", program)
    node = subprocess.Popen([program], stdin=subprocess.PIPE)
    try:
        program.unlink()
        workers = [{"id": "worker-1", "state": "alive", "pid": node.pid, "host": gethostname()}]
        [row] = wrong(Patient(home, held=True, status=status(workers=workers)))["programs"]
    finally:
        node.communicate(b"")

    assert "(deleted)" in row["message"]


def test_a_path_without_a_shell_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home.run))

    [row] = wrong(Patient(home, held=False))["system"]

    assert "no sh" in row["message"]


@pytest.mark.slow
def test_a_task_that_nobody_guards_is_found(home: Home) -> None:
    place = home.worker(1)
    place.create()
    environment = {"STENELLA_ATTEMPT": "c.worker-1.1.1", "HERE": str(place.work)}
    task = subprocess.Popen(
        [sys.executable, "-c", "input()"], env=environment, stdin=subprocess.PIPE
    )
    try:
        [row] = wrong(Patient(home, held=False))["tasks"]
    finally:
        task.communicate(b"\n")

    assert str(task.pid) in row["message"]
