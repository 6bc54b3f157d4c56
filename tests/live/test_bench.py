"""`bench` on a real cluster, small: what it prints, and that nothing stays behind."""

import json
from pathlib import Path

import pytest

from .home import LIMIT_S, LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]


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


def test_a_benchmark_that_is_told_to_end_takes_its_cluster_down(home: LiveHome) -> None:
    home.root.mkdir(parents=True)
    home.environment["TMPDIR"] = str(home.root)
    bench = home.start("bench", "chain", "--tasks", "100000", "--workers", "1")
    until(lambda: list(home.root.glob("stenella-bench-*/run/endpoints.json")), "its cluster is up")

    bench.terminate()
    said, _ = bench.communicate(timeout=LIMIT_S)

    assert bench.returncode == 130, said
    assert (list(home.root.glob("stenella-bench-*")), home.leftovers()) == ([], [])
