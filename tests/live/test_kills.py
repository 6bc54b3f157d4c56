"""Stop and kill on a real cluster: nothing is left, nothing is tried again, crashes in between."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

#: Ignores TERM, and leaves behind a daemon in a session of its own that does so, too.
STUBBORN = """
trap '' TERM
(setsid bash -c 'trap "" TERM; echo $$ > {daemon}; while :; do sleep 1; done' &)
echo $$ > {main}
while :; do sleep 1; done
"""


def stubborn(home: LiveHome, name: str = "deaf", **fields: Any) -> dict[str, Any]:
    script = STUBBORN.format(main=home.folder / f"{name}.main", daemon=home.folder / f"{name}.dmn")
    return {"name": name, "script": script, "retry": {"times": 3, "interval": "1s"}, **fields}


def pids(home: LiveHome, name: str = "deaf") -> list[int]:
    """Once both processes are there."""
    paths = [home.folder / f"{name}.main", home.folder / f"{name}.dmn"]
    until(lambda: all(path.exists() and path.read_text() for path in paths), f"{name} runs")
    return [int(path.read_text()) for path in paths]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def tasks(document: Any) -> dict[str, Any]:
    return {task["name"]: task for task in document["tasks"]}


def submit(home: LiveHome, *all_tasks: dict[str, Any]) -> str:
    file = home.definition("stubborn", list(all_tasks))
    return str(home.json("submit", file)["workflow_instance_id"])


def test_b31_a_killed_task_leaves_nothing_and_other_branches_go_on(cluster: LiveHome) -> None:
    below = {"name": "below", "script": "true", "depends_on": ["deaf"]}
    later = {"name": "later", "script": "true", "depends_on": ["other"]}
    other = {"name": "other", "script": "true"}
    number = submit(cluster, stubborn(cluster), below, other, later)
    left = pids(cluster)

    answer = cluster.json("kill", f"{number}/deaf")
    document = cluster.json("wait", number, code=1)

    assert (answer["task"], answer["state"]) == ("deaf", "RUNNING_EXECUTION")
    assert [pid for pid in left if not is_gone(pid)] == []
    ended = tasks(document)
    assert (ended["deaf"]["state"], ended["deaf"]["reason"]) == ("KILL", "killed")
    assert (ended["deaf"]["attempt"], ended["deaf"]["exit_code"]) == (1, 137)
    assert (ended["below"]["state"], ended["below"]["reason"]) == ("SKIPPED", "upstream_killed")
    assert (ended["other"]["state"], ended["later"]["state"]) == ("SUCCESS", "SUCCESS")
    refused = cluster.json("kill", f"{number}/deaf", code=6)
    assert "KILL" in refused["error"]["message"]
    unknown = cluster.json("kill", f"{number}/daef", code=3)
    assert "daef" in unknown["error"]["message"]


def test_a_stop_goes_on_after_a_crash_of_master_and_workers_and_may_be_repeated(
    cluster: LiveHome,
) -> None:
    waiting = {"name": "waiting", "script": "true", "depends_on": ["deaf"]}
    number = submit(cluster, stubborn(cluster), waiting)
    left = pids(cluster)
    everyone = [*cluster.pids("masters"), *cluster.pids("workers")]

    cluster.run("stop", number)
    for pid in everyone:
        cluster.kill(pid)
    again = cluster.start("stop", number)
    document = cluster.json("wait", number, code=1)

    told, _ = again.communicate(timeout=60)
    assert again.returncode in (0, 6), told  # 6: it has ended meanwhile
    assert document["state"] == "STOP"
    states = {name: (task["state"], task["reason"]) for name, task in tasks(document).items()}
    assert states == {"deaf": ("KILL", "stopped"), "waiting": ("SKIPPED", "stopped")}
    assert [pid for pid in left if not is_gone(pid)] == []
    assert "already ended with STOP" in cluster.json("stop", number, code=6)["error"]["message"]


def test_b37_two_that_kill_at_once_are_served_one_after_the_other(cluster: LiveHome) -> None:
    number = submit(cluster, stubborn(cluster))
    pids(cluster)
    both = [cluster.start("kill", f"{number}/deaf", "--json") for _ in range(2)]

    told = [process.communicate(timeout=60)[0] for process in both]
    cluster.json("wait", number, code=1)

    codes = [process.returncode for process in both]
    assert 0 in codes, told
    assert set(codes) <= {0, 6}, told
    [task] = cluster.json("show", number)["tasks"]
    history = cluster.json("debug", "trace", f"{number}/deaf")
    assert task["state"] == "KILL"
    assert [event["event"] for event in history].count("KILL") == 1


def test_b33_what_a_killed_worker_left_running_is_adopted_and_can_be_killed(
    cluster: LiveHome,
) -> None:
    number = submit(cluster, stubborn(cluster))
    left = pids(cluster)
    for pid in cluster.pids("workers"):
        cluster.kill(pid)

    cluster.run("kill", f"{number}/deaf")
    [task] = cluster.json("wait", number, code=1)["tasks"]

    assert (task["state"], task["attempt"]) == ("KILL", 1)
    assert [pid for pid in left if not is_gone(pid)] == []


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A group whose frozen processes KILL does not end, as those that wait for a dead disk."""
    group = Path(f"/sys/fs/cgroup/freezer/stenella-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("this user may not make a group of the old freezer here")
    yield group
    (group / "freezer.state").write_text("THAWED")
    until(lambda: not (group / "cgroup.procs").read_text(), "what was frozen is gone")
    group.rmdir()


def test_b31_what_kill_does_not_end_is_shown_until_it_does(
    cluster: LiveHome, freezer: Path
) -> None:
    number = submit(cluster, stubborn(cluster))
    main, _ = pids(cluster)
    (freezer / "cgroup.procs").write_text(str(main))
    (freezer / "freezer.state").write_text("FROZEN")
    until(lambda: (freezer / "freezer.state").read_text() == "FROZEN\n", "it is frozen")

    cluster.run("kill", f"{number}/deaf")
    until(
        lambda: cluster.json("show", number)["tasks"][0]["reason"] == "kill_failed",
        "the failed kill is shown",
    )
    [stuck] = cluster.json("show", number)["tasks"]
    history = cluster.json("debug", "trace", f"{number}/deaf")
    (freezer / "freezer.state").write_text("THAWED")
    [ended] = cluster.json("wait", number, code=1)["tasks"]

    assert stuck["state"] == "RUNNING_EXECUTION"
    assert f"process {main} on worker-" in stuck["message"]
    assert (history[-1]["event"], str(main) in history[-1]["detail"]) == ("KILL_FAILED", True)
    assert (ended["state"], ended["reason"]) == ("KILL", "killed")
    assert is_gone(main)


#: Name → script, and what is to become of it: exit code, reason, words of its message.
BAD = {
    "segfault": ("kill -SEGV $$", (139, "exit_nonzero", "SIGSEGV")),
    "killed-by-somebody": ("kill -KILL $$", (137, "exit_nonzero", "did not send")),
    "closes-stdout": ("exec >&- 2>&- <&-; exit 3", (3, "exit_nonzero", "exit code 3")),
    "b35-waits-for-stdin": ("read -r line || exit 5", (5, "exit_nonzero", "exit code 5")),
    "b35-wants-a-terminal": ("exec < /dev/tty", (1, "exit_nonzero", "exit code 1")),
    "b34-no-such-program": ("no-such-program", (127, "exit_nonzero", "was not found")),
    "b34-no-exec-bit": ("echo true > t; ./t", (126, "exit_nonzero", "chmod +x")),
    "b34-no-interpreter": ("#!/no/such\nx", (None, "preflight", "'/no/such', which does not")),
    "b34-crlf": ("#!/bin/sh\r\ntrue\r\n", (None, "preflight", "Unix line ends")),
    "b34-bom": ("\ufeff#!/bin/sh\ntrue", (None, "preflight", "byte order mark")),
}


def test_bad_tasks_end_with_the_cause_and_the_worker_lives(cluster: LiveHome) -> None:
    workers = cluster.pids("workers")
    listed = [{"name": name, "script": script} for name, (script, _) in BAD.items()]

    document = cluster.json("run", cluster.definition("bad", listed), code=1)

    for name, task in tasks(document).items():
        _, (exit_code, reason, words) = BAD[name]
        told = task["exit_code"], task["state"], task["reason"]
        assert told == (exit_code, "FAILURE", reason), task
        assert words in task["message"], task
    assert cluster.pids("workers") == workers


def test_b30_a_fork_bomb_is_ended_and_the_worker_goes_on(home: LiveHome) -> None:
    home.environment["STENELLA_WORKER__PROCESSES_MAX"] = "200"
    home.run("up", "--slots", "2", "--detach")
    bomb = {"name": "bomb", "script": "for n in $(seq 10000); do sleep 1000 & done; wait"}
    calm = {"name": "calm", "script": "sleep 2"}

    document = home.json("run", home.definition("bomb", [bomb, calm]), code=1)

    ended = tasks(document)
    assert (ended["bomb"]["state"], ended["bomb"]["reason"]) == ("FAILURE", "limit")
    assert "worker.processes_max" in ended["bomb"]["message"]
    assert ended["calm"]["state"] == "SUCCESS"
