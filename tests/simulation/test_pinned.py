"""What the simulation has found: put back it is found again; the product bears the same seed."""

import pytest

from .bugs import Bug
from .options import draw
from .regressions import FOUND
from .test_planted import first_seed_that_catches
from .world import play


@pytest.mark.slow
@pytest.mark.parametrize("bug", FOUND, ids=lambda bug: bug.name)
def test_a_bug_that_was_found_is_found_again_and_stays_mended(bug: Bug) -> None:
    seed = first_seed_that_catches(bug)

    play(draw(seed, **bug.weather))
