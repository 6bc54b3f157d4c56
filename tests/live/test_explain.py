"""`explain` as a person uses it, while a cluster is up and when it is not."""

from typing import Any

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_what_runs_waits_and_has_ended_says_so(cluster: LiveHome) -> None:
    gate = cluster.folder / "gate"
    wait = f'until [ -e "{gate}" ]; do sleep 0.05; done'
    tasks: list[dict[str, Any]] = [
        {"name": "runs", "script": wait},
        {"name": "below", "script": "true", "depends_on": ["runs"]},
        {"name": "nowhere", "script": "true", "worker_group": "big"},
    ]
    number = cluster.json("submit", cluster.definition("w", tasks))["workflow_instance_id"]
    until(lambda: cluster.json("show", str(number))["tasks"][0]["pid"], "it runs")

    causes = {cause["task"]: cause for cause in cluster.json("explain", "last")["causes"]}
    [below] = cluster.json("explain", "last/below")["causes"]
    text = cluster.run("explain", "last/nowhere")

    assert set(causes) == {None, "runs", "nowhere"}
    assert causes["runs"]["owner"].startswith("worker worker-")
    assert causes["nowhere"]["cause"] == "no_worker"
    assert "no worker is in group big" in text
    assert below["sentence"] == "waits for runs (RUNNING_EXECUTION)"
    assert "big" in cluster.json("show", str(number))["tasks"][2]["message"]

    cluster.run("down", "--keep")
    [offline] = cluster.json("explain", "last/nowhere")["causes"]
    assert offline["next"] == "it goes on at the next `stenella up`"

    cluster.run("up", "--detach")
    gate.touch()
    cluster.run("kill", "last/nowhere")
    cluster.run("wait", "last", code=1)
    assert cluster.json("explain", "last")["causes"] == []
    assert "has ended with KILL" in cluster.run("explain", "last/nowhere")
    assert "has no task 'no'" in cluster.json("explain", "last/no", code=3)["error"]["message"]
