"""No file or process left just now: a task waits in its slot, costs no try, and goes on."""

import os
import resource

import psutil
import pytest

from stenella.home import locks

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_b27_a_warden_without_files_tries_again_until_there_are_some(home: LiveHome) -> None:
    home.run("up", "--workers", "1", "--slots", "1", "--detach")
    home.run("run", home.definition("before", home.noting(1)))
    pid = locks.holder(home.root / "workers" / "1" / "warden.lock")
    assert pid is not None
    warden = psutil.Process(pid)
    open_now = len(os.listdir(f"/proc/{pid}/fd"))
    _, hard = warden.rlimit(resource.RLIMIT_NOFILE)
    warden.rlimit(resource.RLIMIT_NOFILE, (open_now, hard))
    number = home.json("submit", home.definition("scarce", home.noting(1)))["workflow_instance_id"]

    until(
        lambda: (
            home.json("show", str(number))["tasks"][0]["state"] in ("DISPATCH", "RUNNING_EXECUTION")
        ),
        "the task is accepted",
    )
    used_s = warden.cpu_times().user
    home.run("wait", str(number), "--timeout", "2s", code=7)
    assert warden.cpu_times().user - used_s < 1.0  # it does not try in a hot loop
    warden.rlimit(resource.RLIMIT_NOFILE, (hard, hard))

    [task] = home.json("wait", str(number))["tasks"]
    assert (task["state"], task["attempt"]) == ("SUCCESS", 1)
    assert home.ledger_lines() == ["t0000", "t0000"]
