"""Definitions and instances that do not fit one frame, on a real cluster."""

import pytest

from stenella.protocol.codec import FRAME_BYTES_MAX

from .home import LiveHome

pytestmark = [pytest.mark.live, pytest.mark.slow]

SCRIPT = "true\n#" + "x" * 900_000
COUNT = 10  # scripts that together are larger than a frame


def test_a_definition_that_is_larger_than_a_frame_is_run_and_read_back(cluster: LiveHome) -> None:
    assert COUNT * len(SCRIPT) > FRAME_BYTES_MAX
    tasks = [{"name": f"t{number}", "script": SCRIPT} for number in range(COUNT)]

    done = cluster.json("run", cluster.definition("large", tasks))

    assert (done["state"], len(done["tasks"])) == ("SUCCESS", COUNT)
    stages = cluster.json("plan", "large")["stages"]
    assert [len(stage["tasks"]) for stage in stages] == [COUNT]
    again = cluster.json("submit", "large")
    assert cluster.json("wait", str(again["workflow_instance_id"]))["state"] == "SUCCESS"


def test_an_instance_of_many_tasks_is_shown_whole(cluster: LiveHome) -> None:
    tasks = [{"name": f"t{number}", "type": "noop"} for number in range(5_000)]

    done = cluster.json("run", cluster.definition("many", tasks))

    assert [task["name"] for task in done["tasks"]] == [task["name"] for task in tasks]
    assert {task["state"] for task in done["tasks"]} == {"SUCCESS"}
