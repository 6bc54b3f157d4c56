"""A line through a series: its slope is found, and chance is not taken for one."""

from random import Random

import pytest

from stenella.bench.trend import trend

HOUR_S = [n * 10.0 for n in range(360)]


def noisy(per_h: float, seed: int = 7) -> list[float]:
    random = Random(seed)
    return [40.0 + per_h * at / 3_600 + random.gauss(0.0, 0.5) for at in HOUR_S]


def test_a_series_that_stands_still_has_no_slope() -> None:
    found = trend(HOUR_S, [20.5] * 360)

    assert (found.mean, found.per_h, found.error) == (20.5, 0.0, 0.0)
    assert found.is_flat(0.0)


def test_a_slope_is_found_in_noise() -> None:
    found = trend(HOUR_S, noisy(2.0))

    assert found.per_h == pytest.approx(2.0, abs=3 * found.error)
    assert not found.is_flat(0.05)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_slope(seed: int) -> None:
    assert trend(HOUR_S, noisy(0.0, seed)).is_flat(0.05)


def test_what_falls_is_no_harm() -> None:
    assert trend(HOUR_S, noisy(-5.0)).is_flat(0.05)


def test_a_few_samples_are_enough() -> None:
    assert trend([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]).per_h == pytest.approx(3_600.0)
