"""`bench` on a real cluster, small: what it prints, and that nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stenella.bench import breakdown, processes
from stenella.bench.breakdown import TimedCluster
from stenella.bench.cluster import Cluster
from stenella.bench.workers import WORKERS_BENCH, load_of
from stenella.protocol.errors import RefusedInState

from ..docs.document import ROOT
from .home import LIMIT_S, LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

#: What would keep a cluster from coming up, and its clients from finding it.
ELSEWHERE = {
    "STENELLA_KEY": "/no/such/key",
    "STENELLA_MASTER": "tcp://192.0.2.1:1",
    "STENELLA_TASK__NO_SUCH_SETTING": "1",
}


def test_a_benchmark_prints_figure_spread_and_the_machines_limits(
    home: LiveHome, tmp_path: Path
) -> None:
    home.environment["TMPDIR"] = str(tmp_path)

    document = home.json("bench", "fanout", "--tasks", "40", "--runs", "2", "--workers", "1")

    assert document["min"] <= document["figure"] <= document["max"]
    assert len(document["runs"]) == 2
    allowed = 1e6 / document["limits"]["round_trip_us"]
    assert document["ratio"] == pytest.approx(document["figure"] / allowed, rel=0.01)
    assert {"stenella", "python", "sqlite", "zmq"} <= set(document["versions"])
    assert list(tmp_path.glob("stenella-bench-*")) == []
    assert home.leftovers() == []
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    assert home.json("bench", "compare", str(path), str(path))[0]["ratio"] == 1.0


@pytest.fixture
def temporary(home: LiveHome, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the homes of benchmarks are, also those that a test starts in this process."""
    home.root.mkdir(parents=True)
    home.environment["TMPDIR"] = str(home.root)
    monkeypatch.setattr("tempfile.tempdir", str(home.root))
    return home.root


def left_behind(home: LiveHome) -> list[str]:
    """Of benchmarks: their homes, and processes in them."""
    return [*map(str, home.root.glob("stenella-bench-*")), *home.leftovers()]


def begun(home: LiveHome, **options: Any) -> "subprocess.Popen[str]":
    """A benchmark that goes on for long, once its cluster is up."""
    bench = home.start("bench", "chain", "--tasks", "100000", "--workers", "1", **options)
    until(lambda: list(home.root.glob("stenella-bench-*/run/endpoints.json")), "its cluster is up")
    return bench


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
def test_a_benchmark_that_is_told_to_end_takes_its_cluster_down(
    home: LiveHome, temporary: Path, number: signal.Signals
) -> None:
    bench = begun(home)

    bench.send_signal(number)
    said, _ = bench.communicate(timeout=LIMIT_S)

    assert bench.returncode == 130, said
    assert left_behind(home) == []


def test_a_benchmark_under_nohup_goes_on_without_its_terminal(
    home: LiveHome, temporary: Path
) -> None:
    bench = begun(home, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))

    bench.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert bench.poll() is None

    bench.terminate()
    said, _ = bench.communicate(timeout=LIMIT_S)
    assert bench.returncode == 130, said
    assert left_behind(home) == []


def test_nothing_that_the_caller_has_set_reaches_a_benchmark(
    home: LiveHome, temporary: Path
) -> None:
    home.environment |= ELSEWHERE

    home.run("bench", "fanout", "--tasks", "20", "--runs", "1")

    assert left_behind(home) == []


def test_the_example_that_kills_its_nodes_has_a_cluster_of_its_own(home: LiveHome) -> None:
    program = [sys.executable, str(ROOT / "examples" / "pull-the-plug.py")]
    environment = home.environment | ELSEWHERE

    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=LIMIT_S)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "every command ran exactly once" in done.stdout


def test_an_interrupt_while_its_cluster_is_down_stays_one(home: LiveHome, temporary: Path) -> None:
    def interrupted() -> None:
        with Cluster(1, 1) as cluster:
            cluster.run("down", "--wait", "0s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert left_behind(home) == []


def test_a_timed_process_that_does_not_start_is_told_with_its_reason(
    home: LiveHome, temporary: Path
) -> None:
    cluster = TimedCluster(1, 1)
    (cluster.home / "conf.toml").write_text("[workr]\n")

    with pytest.raises(RefusedInState, match=r"(?s)has ended with 2; its log ends with.*workr"):
        cluster.__enter__()

    until(lambda: left_behind(home) == [], "nothing is left")


def test_a_timed_process_that_dies_is_not_waited_for(home: LiveHome, temporary: Path) -> None:
    with TimedCluster(1, 1) as cluster:
        home.kill(cluster.client.status()["workers"][0]["pid"])

        with pytest.raises(RefusedInState, match=r"worker-1 .* has ended with -9"):
            cluster.spent()
        home.kill(processes.of_home(cluster.home)["warden-1"])  # which waits for the next one


def test_a_timed_process_that_does_not_answer_is_not_waited_for_long(
    home: LiveHome, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TimedCluster(1, 1) as cluster:
        worker = cluster.client.status()["workers"][0]["pid"]
        os.kill(worker, signal.SIGSTOP)
        monkeypatch.setattr(breakdown, "ANSWER_S_MAX", 0.5)
        try:
            with pytest.raises(RefusedInState, match="has not told what worker-1 spent"):
                cluster.spent()
        finally:
            os.kill(worker, signal.SIGCONT)


def test_a_load_program_that_has_died_is_told(home: LiveHome, temporary: Path) -> None:
    with load_of(WORKERS_BENCH.chosen({"links": 1, "workers": 1})) as load:
        load.program.kill()
        load.program.wait()

        with pytest.raises(RefusedInState, match="load program has ended"):
            load.say("join")

    assert left_behind(home) == []


def test_a_rate_beside_nothing_that_waits_is_none(home: LiveHome, temporary: Path) -> None:
    said = home.json("bench", "queue", "--workflows", "1", "--tasks", "1", "--first", "500", code=6)

    assert "nothing waits any more" in said["error"]["message"]
    assert left_behind(home) == []
