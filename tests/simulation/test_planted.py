"""Each planted bug is caught within so many seeds."""

from collections.abc import Iterator

import pytest

from .bugs import Bug
from .options import draw
from .planted import PLANTED
from .world import play

SEEDS_MAX = 300


def seeds_for(bug: Bug) -> Iterator[int]:
    """The one that caught it before, then all others."""
    yield bug.seed
    yield from (seed for seed in range(SEEDS_MAX) if seed != bug.seed)


def first_seed_that_catches(bug: Bug) -> int:
    """Fails where no seed does."""
    for seed in seeds_for(bug):
        try:
            play(draw(seed, **bug.weather), bug.parts)
        except AssertionError:
            return seed
    pytest.fail(f"not caught within {SEEDS_MAX} seeds: {bug.name}, which breaks {bug.breaks}")


@pytest.mark.slow
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    first_seed_that_catches(bug)
