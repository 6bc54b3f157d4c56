"""The known killers, and a crash at each single point of a small world."""

import pytest

from .killers import KILLERS, SMALL, SMALL_SEED
from .options import Options, draw
from .world import World, play

SEEDS = 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("killer", KILLERS)
def test_known_killers_kill_nothing(killer: str, seed: int) -> None:
    play(draw(seed, **KILLERS[killer]))


@pytest.mark.slow
def test_a_crash_at_any_point_of_a_small_world_loses_nothing() -> None:
    """F9, enumerated: before each frame, after each commit, before each order to the world."""
    calm = World(Options(seed=SMALL_SEED, **SMALL))
    calm.play()
    calm.close()

    for point in range(1, calm.gaps + 1):
        play(Options(seed=SMALL_SEED, crash_at=point, **SMALL))

    assert calm.gaps > 100
