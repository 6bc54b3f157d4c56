"""Something that crashes whoever receives it, in worlds under faults; `poison.py` says what."""

import pytest

from .bugs import CALM
from .options import draw
from .poison import KINDS
from .world import play

#: Of each kind; more with ``--seeds``, of which every tenth is taken.
SEEDS = 5
#: Workers die and leave, some for good, while people mend things and let go on what was parked.
GONE = CALM | {
    "lose_ms": 8_000,
    "shutdowns": 10_000,
    "dismissed": 0.5,
    "cut_interval_ms": 6_000,
    "cut_ms_max": 25_000,
    "mended_ms": 20_000,
    "orders_ms": 2_000,
    "workers": 3,
    "lease_ms": 10_000,
    "noops": 0.0,
}


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_parked_goes_on_whoever_has_gone_meanwhile(kind: str, number: int) -> None:
    play(draw(number, **GONE, crasher=kind))
