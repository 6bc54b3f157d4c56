"""A benchmark's own cluster: what reaches it of the caller's, and how its times are read."""

import math
import statistics
from pathlib import Path

import pytest

from stenella.bench.cluster import elapsed_s, environment_of


def test_nothing_that_the_caller_has_set_reaches_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOME", "KEY", "MASTER", "TASK__KILL_GRACE_S", "NEWER"):
        monkeypatch.setenv(f"STENELLA_{name}", "somewhere")
    monkeypatch.setenv("LANG", "C")

    environment = environment_of(tmp_path)

    ours = {name: value for name, value in environment.items() if name.startswith("STENELLA_")}
    assert ours == {"STENELLA_HOME": str(tmp_path)}
    assert environment["LANG"] == "C"


def test_what_was_rounded_off_a_time_is_not_missing_on_average() -> None:
    began_s = [1_764_000_000 + n / 1e6 for n in range(1_000)]  # all places in a millisecond
    found = [
        elapsed_s(began, math.floor((began + 0.000_3) * 1_000) / 1_000) * 1_000 for began in began_s
    ]

    assert statistics.fmean(found) == pytest.approx(0.3, abs=0.01)
    assert statistics.median(found) == pytest.approx(0.3, abs=0.01)
