"""Workers on real processes: drained, resized, restarted, forgotten."""

import os
import signal
from typing import Any

import pytest

from .home import LiveHome, until
from .test_life import WAIT_FOR_GATE

pytestmark = [pytest.mark.live, pytest.mark.slow]


def worker(home: LiveHome, name: str = "worker-1") -> Any:
    [found] = [w for w in home.json("worker", "ls") if w["id"] == name]
    return found


def gated(home: LiveHome, count: int) -> tuple[str, Any]:
    """So many tasks that run until the gate is touched; the instance and the gate."""
    gate = home.folder / "gate"
    tasks = home.noting(count, WAIT_FOR_GATE.format(gate=gate))
    number = home.json("submit", home.definition("gated", tasks))["workflow_instance_id"]
    return str(number), gate


def one(home: LiveHome, slots: int = 1) -> None:
    home.run("up", "--workers", "1", "--slots", str(slots), "--detach")


def test_a_drained_worker_takes_nothing_until_it_is_resumed_over_restarts_too(
    home: LiveHome,
) -> None:
    one(home)
    drained = home.json("worker", "drain", "worker-1", "--wait")
    number = home.json("submit", home.definition("w", home.noting(1)))["workflow_instance_id"]

    [task] = home.json("show", str(number))["tasks"]
    assert (task["state"], task["reason"]) == ("SUBMITTED_SUCCESS", "draining")
    assert "the one worker in group default takes nothing: 1 draining" in task["message"]
    for pid in (*home.pids("masters"), *home.pids("workers")):
        os.kill(pid, signal.SIGTERM)
    again = until(lambda: _draining_anew(home, drained), "both are back, and it is still drained")
    home.run("worker", "resume", "worker-1")
    done = home.json("wait", str(number))

    assert drained["state"] == "draining"
    assert again["running"] == 0
    assert (done["state"], done["tasks"][0]["attempt"]) == ("SUCCESS", 1)


def _draining_anew(home: LiveHome, before: Any) -> Any:
    found = worker(home)
    return found if found["state"] == "draining" and found["pid"] != before.get("pid") else None


def test_slots_change_while_tasks_run(home: LiveHome) -> None:
    one(home)
    number, gate = gated(home, 3)
    until(lambda: len(home.ledger_lines()) == 1, "one runs")

    home.run("worker", "resize", "worker-1", "2")
    until(lambda: len(home.ledger_lines()) == 2, "two run")
    home.run("worker", "resize", "worker-1", "1")
    assert worker(home)["running"] == 2
    gate.touch()
    done = home.json("wait", number)

    assert [task["attempt"] for task in done["tasks"]] == [1, 1, 1]
    assert until(lambda: worker(home)["free"] == 1 and worker(home), "it is idle")["slots"] == 1


def test_a_restarted_worker_takes_its_task_up_again(home: LiveHome) -> None:
    one(home)
    number, gate = gated(home, 1)
    until(home.ledger_lines, "it runs")
    before = worker(home)

    home.run("worker", "restart", "worker-1")
    after = until(lambda: _newer(home, before), "its next life has registered")
    gate.touch()

    assert after["pid"] == before["pid"]  # the same process: whoever started it need not know
    assert home.json("wait", number)["tasks"][0]["attempt"] == 1
    assert home.ledger_lines() == ["t0000"]


def _newer(home: LiveHome, before: Any) -> Any:
    found = worker(home)
    return found if found["state"] == "alive" and found["since"] > before["since"] else None


def test_only_a_worker_that_is_gone_is_forgotten(home: LiveHome) -> None:
    one(home)
    alone = home.start("worker", "start", "--number", "2")
    until(lambda: len(home.json("worker", "ls")) == 2, "the second is there")

    refusal = home.json("worker", "rm", "worker-2", code=6)
    alone.terminate()
    alone.communicate()
    home.kill(int((home.root / "workers/2/warden.lock").read_text()))  # it would stay for 30 s
    until(lambda: worker(home, "worker-2")["state"] == "late", "it is not heard any more")
    home.run("worker", "rm", "worker-2")

    assert "end its process first" in refusal["error"]["message"]
    assert [w["id"] for w in home.json("worker", "ls")] == ["worker-1"]
    assert home.json("worker", "drain", "worker-2", code=3)["error"]["code"] == "not_found"


def test_a_task_that_fits_no_worker_waits_and_says_so(home: LiveHome) -> None:
    one(home)
    [task] = home.noting(1)
    definition = home.definition("big", [task | {"worker_group": "big"}])
    submitting = home.start("submit", definition)
    said = submitting.communicate()[0]
    number = "1"

    shown = home.run("show", number)
    alone = home.start("worker", "start", "--number", "2", "--group", "big")
    done = home.json("wait", number)
    home.run("down")
    alone.communicate()

    assert "warning: no worker is in group big" in said
    assert "t0000: waits: no worker is in group big" in shown
    assert (done["state"], done["tasks"][0]["worker"]) == ("SUCCESS", "worker-2")


def test_a_worker_short_of_disk_takes_nothing_and_says_so(home: LiveHome) -> None:
    home.environment["STENELLA_WORKER__DISK_FREE_MIN_BYTES"] = str(2**61)
    one(home)
    number = home.json("submit", home.definition("w", home.noting(1)))["workflow_instance_id"]

    [task] = until(
        lambda: [t for t in home.json("show", str(number))["tasks"] if t["reason"] == "no_disk"],
        "it waits for room",
    )
    trace = home.json("debug", "trace", f"{number}/t0000")

    assert "1 short of disk" in task["message"]
    assert "too little free disk" in worker(home)["message"]
    assert len(trace) <= 3  # placed once at most, before it was known
