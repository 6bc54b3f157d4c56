"""Real processes on loopback: every task's command runs exactly once, whoever is killed."""

from pathlib import Path

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib-report.yaml"


def test_the_example_runs_and_its_history_can_be_read(home: LiveHome) -> None:
    done = home.json("run", str(EXAMPLE))

    assert done["state"] == "SUCCESS"
    assert [row["workflow_instance_id"] for row in home.json("ls")] == [1]
    assert home.json("show", "1")["tasks"] == done["tasks"]
    assert "LARGEST MODULES" in home.run("logs", "last/report")


def test_an_embedded_cluster_leaves_and_its_history_stays(home: LiveHome) -> None:
    home.run("run", home.definition("one", home.noting(1)))

    until(lambda: not home.leftovers(), "the embedded cluster has left")

    assert home.json("show", "last")["state"] == "SUCCESS"
    assert home.json("wait", "1")["state"] == "SUCCESS"
    assert home.json("debug", "trace", "1/t0000")[-1]["to"] == "SUCCESS"
    assert home.run("logs", "1/t0000") == ""
    home.run("stop", "1", code=5)


def test_a_thousand_shell_tasks_on_two_workers_run_once_each(cluster: LiveHome) -> None:
    [master] = cluster.pids("masters")
    before_kb = _rss_kb(master)
    file = cluster.definition("thousand", cluster.noting(1_000))

    done = cluster.json("run", file)

    assert done["state"] == "SUCCESS"
    assert cluster.ledger_lines() == [f"t{n:04}" for n in range(1_000)]
    assert {task["worker"] for task in done["tasks"]} == {"worker-1", "worker-2"}
    assert _rss_kb(master) - before_kb <= 20 * 1024


@pytest.mark.parametrize("victims", ["masters", "workers", "both"])
def test_a_kill_in_mid_run_loses_nothing_and_runs_nothing_twice(
    cluster: LiveHome, victims: str
) -> None:
    pids = cluster.pids("masters") if victims != "workers" else []
    pids += cluster.pids("workers")[:1] if victims != "masters" else []
    file = cluster.definition("killed", cluster.noting(120, "sleep 0.05"))
    submitted = cluster.json("submit", file)

    until(lambda: len(cluster.ledger_lines()) >= 20, "it is under way")
    for pid in pids:
        cluster.kill(pid)
    done = cluster.json("wait", str(submitted["workflow_instance_id"]))

    assert done["state"] == "SUCCESS"
    assert cluster.ledger_lines() == [f"t{n:04}" for n in range(120)]
    assert {task["attempt"] for task in done["tasks"]} == {1}


def test_a_running_task_survives_the_kill_of_its_worker(cluster: LiveHome) -> None:
    gate = cluster.folder / "gate"
    script = f'echo one; while [ ! -e "{gate}" ]; do sleep 0.02; done; echo two\n'
    script += 'echo "ended=1" >> "$STENELLA_OUTPUT"'
    tasks = [task | {"outputs": ["ended"]} for task in cluster.noting(1, script)]
    number = cluster.json("submit", cluster.definition("long", tasks))["workflow_instance_id"]
    until(lambda: cluster.ledger_lines(), "it runs")

    for pid in cluster.pids("workers"):
        cluster.kill(pid)
    gate.touch()
    done = cluster.json("wait", str(number))

    assert done["state"] == "SUCCESS"
    assert cluster.ledger_lines() == ["t0000"]
    assert done["tasks"][0]["outputs"] == {"ended": "1"}
    assert cluster.run("logs", f"{number}/t0000") == "one\ntwo\n"


def test_a_stop_kills_what_runs_and_leaves_the_rest_undone(cluster: LiveHome) -> None:
    tasks = cluster.noting(1, "sleep 60")
    tasks.append({"name": "after", "script": "true", "depends_on": ["t0000"]})
    number = str(
        cluster.json("submit", cluster.definition("stopped", tasks))["workflow_instance_id"]
    )
    until(lambda: cluster.ledger_lines(), "it runs")

    cluster.run("stop", number)
    done = cluster.json("wait", number, code=1)

    assert done["state"] == "STOP"
    assert [task["state"] for task in done["tasks"]] == ["KILL", "SKIPPED"]
    cluster.run("stop", number, code=6)


def test_down_stops_what_runs_and_the_next_up_runs_it_again(cluster: LiveHome) -> None:
    gate = cluster.folder / "gate"
    script = f'[ -e "{gate}" ] || sleep 60'
    number = str(
        cluster.json("submit", cluster.definition("again", cluster.noting(1, script)))[
            "workflow_instance_id"
        ]
    )
    until(lambda: cluster.ledger_lines(), "it runs")

    cluster.run("down", "--wait", "0s")
    gate.touch()
    cluster.run("up", "--workers", "2", "--detach")
    done = cluster.json("wait", number)

    assert done["state"] == "SUCCESS"
    assert [task["attempt"] for task in done["tasks"]] == [2]


def test_down_keep_leaves_a_task_to_be_adopted(cluster: LiveHome) -> None:
    gate = cluster.folder / "gate"
    script = f'while [ ! -e "{gate}" ]; do sleep 0.02; done'
    number = str(
        cluster.json("submit", cluster.definition("kept", cluster.noting(1, script)))[
            "workflow_instance_id"
        ]
    )
    until(lambda: cluster.ledger_lines(), "it runs")

    told = cluster.start("down", "--keep").communicate()[0]
    assert told == "going down; what runs goes on\nthe cluster is down\n"
    gate.touch()
    cluster.run("up", "--workers", "2", "--detach")
    done = cluster.json("wait", number)

    assert done["state"] == "SUCCESS"
    assert [task["attempt"] for task in done["tasks"]] == [1]
    assert cluster.ledger_lines() == ["t0000"]


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
