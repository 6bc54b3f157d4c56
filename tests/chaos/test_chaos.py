"""A short run of chaos; `make chaos MINUTES=3` is the long one."""

from pathlib import Path

import pytest

from .run import chaos


@pytest.mark.live
@pytest.mark.slow
def test_nothing_is_lost_and_nothing_runs_twice_in_chaos(tmp_path: Path) -> None:
    outcome = chaos(tmp_path, seconds=10, tasks=200, workers=3, seed=1)

    assert outcome.tasks == 200
    assert sum(outcome.deeds.values()) >= 5
