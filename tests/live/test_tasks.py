"""What tasks may be, on a real cluster: Python, commands, dry runs, accounts, pre-flights."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stenella.home import endpoints
from stenella.home.layout import open_home

from .home import LiveHome, until
from .test_life import submit_gated

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_a_python_task_hands_on_to_a_command(cluster: LiveHome) -> None:
    python = {
        "name": "compute",
        "type": "python",
        "script": "import sys, os\nopen(os.environ['STENELLA_OUTPUT'], 'a').write(sys.executable)",
    }
    (cluster.folder / "job.py").write_text(
        "import os\nopen(os.environ['STENELLA_OUTPUT'], 'a').write('who=' + os.getcwd())\n"
    )
    python |= {"script": python["script"].replace("sys.executable", "'python=' + sys.executable")}
    tasks: list[dict[str, Any]] = [
        python | {"outputs": ["python"]},
        {"name": "file", "type": "python", "file": "job.py", "outputs": ["who"]},
        {
            "name": "tell",
            "command": ["printenv", "python"],
            "params": {"python": "${compute.python}"},
            "depends_on": ["compute", "file"],
        },
    ]

    done = cluster.json("run", cluster.definition("mixed", tasks))

    outputs = {task["name"]: task["outputs"] for task in done["tasks"]}
    assert done["state"] == "SUCCESS"
    assert outputs["compute"] == {"python": sys.executable}
    assert outputs["file"]["who"].startswith(str(cluster.root))
    assert cluster.run("logs", "last/tell") == f"{sys.executable}\n"


def test_a_command_runs_where_it_was_given(home: LiveHome) -> None:
    home.run("run", "--", "touch", "here it is")

    assert (home.folder / "here it is").exists()
    assert home.run("run", "--", "false", code=1)


def test_a_dry_run_shows_how_it_would_go_and_runs_nothing(cluster: LiveHome) -> None:
    tasks = cluster.noting(2)
    tasks[0]["outputs"] = ["rows"]
    tasks[1] |= {"depends_on": ["t0000"], "params": {"rows": "${t0000.rows}"}, "run_as": "nobody"}
    file = cluster.definition("dry", tasks)

    done = cluster.json("run", file, "--dry-run")

    assert (done["state"], done["dry_run"]) == ("SUCCESS", True)
    assert all(task["start_time"] == task["end_time"] for task in done["tasks"])
    assert [task["pid"] for task in done["tasks"]] == [None, None]
    assert cluster.ledger_lines() == []
    assert [e["event"] for e in cluster.json("debug", "trace", "last/t0000")] == [
        *("SUBMIT", "DISPATCH", "RESULT")
    ]
    assert "dry (dry run)" in cluster.run("ls")
    assert not list(cluster.root.glob("workers/*/work/*"))


SLOW = """
import pathlib, sys, time
from stenella.protocol.launch import CannotPrepare, Launch
from stenella.tasks import traces

class Slow:
    def prepare(self, request, folder):
        gate = pathlib.Path(request.params["gate"])
        while not gate.exists():
            time.sleep(0.02)
        if gate.read_text():
            raise CannotPrepare(gate.read_text())
        return Launch(["/bin/true"], {}, "/")

    def collect(self, folder, log, exit_code, declared, required):
        return traces.collect(folder, log, exit_code, declared, required)
"""


STRANGE = """
from stenella.protocol.launch import Collection, Launch

OUTPUTS = {"integer": 2**64, "deep": [[-(2**70)]], "large": "x" * 9_000_000, "raw": object()}

class Strange:
    def prepare(self, request, folder):
        return Launch([None if request.task == "launch" else "/bin/true"], {}, "/")

    def collect(self, folder, log, exit_code, declared, required):
        if required == ["exit"]:
            raise SystemExit(0)
        return Collection({name: OUTPUTS[name] for name in required}, None)
"""


def with_type(home: LiveHome, kind: str, source: str) -> LiveHome:
    """Its cluster, up with a task type of an installed package."""
    site = home.folder / "site"
    info = site / f"{kind}-1.dist-info"
    info.mkdir(parents=True)
    (site / f"{kind}_type.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}\nVersion: 1\n")
    entry = f"[stenella.tasks]\n{kind} = {kind}_type:{kind.title()}\n"
    (info / "entry_points.txt").write_text(entry)
    home.environment["PYTHONPATH"] = str(site)
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    return home


@pytest.fixture
def slow(home: LiveHome) -> LiveHome:
    """A cluster with a task type whose preparation waits for a file."""
    return with_type(home, "slow", SLOW)


def preparing(home: LiveHome, gate: Path) -> dict[str, Any]:
    """The one task of a new instance, in its preparation."""
    tasks = [{"name": "t", "type": "slow", "params": {"gate": str(gate)}}]
    home.run("submit", home.definition("slow", tasks))

    def task() -> Any:
        [task] = home.json("show", "last")["tasks"]
        return task if task["state"] == "RUNNING_EXECUTION" else None

    found: dict[str, Any] = until(task, "the task is RUNNING")
    return found


def test_what_is_in_preparation_is_running_without_a_process(slow: LiveHome) -> None:
    gate = slow.folder / "gate"

    task = preparing(slow, gate)
    number = slow.json("show", "last")["workflow_instance_id"]
    slow.run("run", "--", "true")  # on the same worker
    gate.write_text("")
    [done] = slow.json("wait", str(number))["tasks"]

    sentence = "is being prepared on worker-1"
    assert (task["pid"], task["reason"], task["message"]) == (None, "preparing", sentence)
    assert (done["state"], done["start_time"]) == ("SUCCESS", task["start_time"])
    assert done["pid"] is not None


def test_a_preflight_that_fails_late_is_a_failure_after_running(slow: LiveHome) -> None:
    gate = slow.folder / "gate"
    preparing(slow, gate)
    full = gate.with_name("full")  # at once: an empty gate is an open one
    full.write_text("the moon is too far away")
    full.rename(gate)

    [done] = slow.json("wait", "last", code=1)["tasks"]

    assert (done["state"], done["reason"]) == ("FAILURE", "preflight")
    assert done["message"] == "the moon is too far away"
    events = [e["event"] for e in slow.json("debug", "trace", "last/t")]
    assert events == ["SUBMIT", "DISPATCH", "RUNNING", "RESULT"]


def test_what_is_in_preparation_can_be_stopped(slow: LiveHome) -> None:
    gate = slow.folder / "gate"
    preparing(slow, gate)

    slow.run("stop", "last")
    [done] = slow.json("wait", "last", code=1)["tasks"]
    gate.write_text("")

    assert (done["state"], done["reason"]) == ("KILL", "stopped")


def test_b9_whatever_a_type_of_others_gives_costs_its_own_task_and_nothing_else(
    home: LiveHome,
) -> None:
    """One such value ended the worker in each of its lives, and then all that ran there."""
    with_type(home, "strange", STRANGE)
    number, gate = submit_gated(home)
    workers = home.pids("workers")
    names = ("integer", "deep", "large", "raw", "exit")
    tasks = [{"name": name, "type": "strange", "outputs": [name]} for name in names]
    tasks.append({"name": "launch", "type": "strange"})

    document = home.json("run", home.definition("strange", tasks), code=1)
    gate.touch()

    reasons = {task["name"]: task["reason"] for task in document["tasks"]}
    assert reasons == dict.fromkeys(names, "bad_output") | {"launch": "preflight"}
    assert home.json("wait", number)["tasks"][0]["attempt"] == 1
    assert home.pids("workers") == workers


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_a_task_runs_as_another_account_where_that_is_allowed(home: LiveHome) -> None:
    home.environment["STENELLA_WORKER__RUN_AS_ALLOWED"] = "nobody"
    script = 'id -un; echo "who=$(id -u)" >> "$STENELLA_OUTPUT"; sleep 300'
    tasks: list[dict[str, Any]] = [
        {"name": "ends", "script": script.removesuffix("; sleep 300"), "run_as": "nobody"},
        {"name": "goes-on", "script": script, "run_as": "nobody"},
        {"name": "forbidden", "script": script, "run_as": "daemon"},
    ]
    tasks[0]["outputs"] = ["who"]
    home.run("up", "--workers", "1", "--slots", "3", "--detach")
    home.run("submit", home.definition("accounts", tasks))

    def running() -> Any:
        by_name = {task["name"]: task for task in home.json("show", "last")["tasks"]}
        ended = [name for name, task in by_name.items() if task["end_time"] is not None]
        return by_name if len(ended) == 2 and by_name["goes-on"]["pid"] else None

    by_name = until(running, "two have ended, one runs")
    home.run("stop", "last")
    done = {task["name"]: task for task in home.json("wait", "last", code=1)["tasks"]}

    uid = subprocess.run(["id", "-u", "nobody"], capture_output=True, text=True, check=True)
    assert by_name["ends"]["outputs"] == {"who": uid.stdout.strip()}
    assert home.run("logs", "last/ends") == "nobody\n"
    assert by_name["forbidden"]["reason"] == "preflight"
    assert "worker.run_as_allowed" in by_name["forbidden"]["message"]
    assert done["goes-on"]["state"] == "KILL"
    master = endpoints.read(open_home(home.root))
    assert master is not None
    left = Path("/var/tmp/stenella-run-as")
    until(lambda: not list(left.glob(f"{master.cluster}.*")), "its folders are gone")
