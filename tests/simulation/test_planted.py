"""Each planted bug is caught within fifty seeds."""

import pytest

from .options import draw
from .planted import PLANTED, Bug
from .planted_kills import PLANTED_KILLS
from .world import play

SEEDS_MAX = 50


def first_seed_that_catches(bug: Bug) -> int:
    """Fails where no seed does."""
    for seed in range(SEEDS_MAX):
        try:
            play(draw(seed, **bug.weather), bug.parts)
        except AssertionError:
            return seed
    pytest.fail(f"not caught within {SEEDS_MAX} seeds: {bug.name}, which breaks {bug.breaks}")


@pytest.mark.slow
@pytest.mark.parametrize("bug", [*PLANTED, *PLANTED_KILLS], ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    first_seed_that_catches(bug)
