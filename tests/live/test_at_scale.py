"""Many tasks survive the loss of a node, and soon: the figures at full size are `at_scale.py`'s."""

import pytest

from .at_scale import adoption, master_restart
from .home import LiveHome

pytestmark = [pytest.mark.live, pytest.mark.slow]

#: Seconds, far above what it takes: on an idle machine both are below one.
SOON_S = 20.0


def test_a_restarted_worker_knows_all_that_runs_and_all_that_has_ended(home: LiveHome) -> None:
    found = adoption(home, 150)

    assert (found["adopted"], found["lost"], found["twice"]) == (300, 0, 0)
    assert found["adopted_s"] < SOON_S
    assert found["killed_s"] < SOON_S


def test_a_restarted_master_goes_on_with_all_that_lives(home: LiveHome) -> None:
    found = master_restart(home, 1_000)

    assert found["live"] > 900
    assert found["lost"] == 0
    assert found["goes_on_s"] < SOON_S
