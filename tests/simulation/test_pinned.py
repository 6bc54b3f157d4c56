"""Bugs that the simulation has found, each with the weather in which it showed."""

from typing import Any

import pytest

from .options import WEATHER, Options, draw
from .world import play

FINE = Options(seed=0)
CALM = {name: getattr(FINE, name) for name in (*WEATHER, "stops")}
RETRIES = {"failing": 1.0, "noops": 0.0, "tasks_max": 3}

PINNED = {
    "a retry's wait was forgotten when the dispatcher's timer fired for something else": (
        range(4),
        CALM | RETRIES,
    ),
    "a heartbeat's answer called a dispatch settled that was just being placed": ((51,), {}),
    "a new life numbered a callback before it had read those of the former": ((17,), {}),
    "a kill of an adopted attempt that had ended was answered never_began": ((134,), {}),
    "timers held back at the bound of thinking ahead kept the node spinning": ((26, 36, 7), {}),
    "an instance ended before it began, by a wall clock that was set back": ((16, 96, 97), {}),
    "a page of a log was never asked for again after its answer was lost": ((6, 31, 58), {}),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "weather"),
    [(seed, weather) for seeds, weather in PINNED.values() for seed in seeds],
)
def test_what_was_found_once_stays_mended(seed: int, weather: dict[str, Any]) -> None:
    play(draw(seed, **weather))
