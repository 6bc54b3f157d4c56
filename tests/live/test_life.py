"""The life of a cluster: started, grown, killed in parts, taken up again."""

import os
import signal
import time
from pathlib import Path

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

WAIT_FOR_GATE = 'while [ ! -e "{gate}" ]; do sleep 0.02; done'


def submit_gated(cluster: LiveHome) -> tuple[str, Path]:
    """A task that runs until the gate is touched; the instance's id and the gate."""
    gate = cluster.folder / "gate"
    tasks = cluster.noting(1, WAIT_FOR_GATE.format(gate=gate))
    number = cluster.json("submit", cluster.definition("gated", tasks))["workflow_instance_id"]
    until(lambda: cluster.ledger_lines(), "it runs")
    return str(number), gate


def holder(cluster: LiveHome, lock: str) -> int:
    return int((cluster.root / lock).read_text())


def test_up_again_says_what_is_there_and_adds_workers(cluster: LiveHome) -> None:
    before = cluster.pids("workers")

    cluster.run("up", "--workers", "3", "--slots", "4", "--detach")

    assert len(cluster.pids("workers")) == 3
    assert set(before) < set(cluster.pids("workers"))


def test_a_restarted_master_keeps_its_ports(cluster: LiveHome) -> None:
    [before] = cluster.json("status")["masters"]

    cluster.kill(before["pid"])
    until(lambda: _pid_of_the_master(cluster) not in (None, before["pid"]), "it is back")

    assert cluster.json("status")["masters"][0]["endpoint"] == before["endpoint"]


def test_workers_leave_with_their_killed_supervisor_and_the_task_goes_on(
    cluster: LiveHome,
) -> None:
    number, gate = submit_gated(cluster)

    cluster.kill(holder(cluster, "run/supervisor.lock"))
    until(lambda: len(cluster.leftovers()) <= 4, "only wardens and the task are left")
    assert any("warden_main" in command for command in cluster.leftovers())
    cluster.run("up", "--workers", "2", "--slots", "4", "--detach")
    gate.touch()

    assert cluster.json("wait", number)["tasks"][0]["attempt"] == 1
    assert cluster.ledger_lines() == ["t0000"]


def test_a_worker_told_to_end_leaves_its_task_to_its_next_life(cluster: LiveHome) -> None:
    number, gate = submit_gated(cluster)

    for pid in cluster.pids("workers"):
        os.kill(pid, signal.SIGTERM)
    gate.touch()

    assert cluster.json("wait", number)["tasks"][0]["attempt"] == 1
    assert cluster.ledger_lines() == ["t0000"]


def test_a_killed_warden_costs_the_attempt_and_no_two_run_at_once(cluster: LiveHome) -> None:
    running, gate = cluster.folder / "running", cluster.folder / "gate"
    script = f'exec 9> "{running}.lock"\nflock -n 9 || exit 9\ntouch "{running}"\n'
    tasks = cluster.noting(1, script + WAIT_FOR_GATE.format(gate=gate))
    number = cluster.json("submit", cluster.definition("lost", tasks))["workflow_instance_id"]
    until(running.exists, "it runs")
    [task] = until(
        lambda: [t for t in cluster.json("show", str(number))["tasks"] if t["pid"]], "pid"
    )

    cluster.kill(holder(cluster, f"workers/{task['worker'].split('-')[1]}/warden.lock"))
    until(lambda: not Path(f"/proc/{task['pid']}").exists(), "the orphan was swept")
    gate.touch()
    done = cluster.json("wait", str(number))

    assert [row["attempt"] for row in done["tasks"]] == [2]
    trace = cluster.json("debug", "trace", f"{number}/t0000")
    assert [row["event"] for row in trace if row["event"] in ("LOST", "SUBMIT", "RESULT")] == [
        "SUBMIT",
        "LOST",
        "SUBMIT",
        "RESULT",
    ]


def test_up_makes_an_embedded_cluster_stay(home: LiveHome) -> None:
    home.run("run", home.definition("one", home.noting(1)))

    home.run("up", "--detach")
    time.sleep(3.0)  # longer than an embedded cluster lingers

    assert len(home.pids("workers")) == 1


def test_a_workflow_left_by_a_killed_embedded_cluster_ends_with_the_next(home: LiveHome) -> None:
    gate = home.folder / "gate"
    gated = home.definition("gated", home.noting(1, WAIT_FOR_GATE.format(gate=gate)))
    first = home.start("run", gated)
    until(lambda: home.ledger_lines(), "it runs")
    first.kill()
    first.communicate()
    for lock in ("run/supervisor.lock", "run/master.lock"):
        home.kill(holder(home, lock))
    until(lambda: len(home.leftovers()) <= 3, "only the warden and the task are left")

    gate.touch()
    home.run("run", home.definition("other", home.noting(1)))

    assert home.json("wait", "1")["state"] == "SUCCESS"
    assert home.ledger_lines() == ["t0000", "t0000"]


def _pid_of_the_master(cluster: LiveHome) -> int | None:
    text = (cluster.root / "run" / "master.lock").read_text()
    return int(text) if text.strip() else None
