"""Something that crashes whoever receives it, in worlds under faults; `poison.py` says what."""

import pytest

from .options import draw
from .poison import KINDS
from .world import play

#: Of each kind; more with ``--seeds``, of which every tenth is taken.
SEEDS = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--seeds") // 10
        metafunc.parametrize("number", range(max(SEEDS, wanted)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_crashes_a_node_is_put_aside_and_everything_else_goes_on(
    kind: str, number: int
) -> None:
    # Leases are played without: with care one message is taken at a time, and the world's long
    # commits then make a worker wait for its Welcome for longer than these short leases.
    play(draw(number, crasher=kind, leased=0.0))
