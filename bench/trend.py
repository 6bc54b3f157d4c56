"""Of a series: its percentiles, and whether it rises: a straight line, and how well it is known."""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Neighbouring samples are alike (a heap, a busy minute), which a line through all of them takes
#: for knowledge; means of so many stretches hardly are.
STRETCHES = 12
#: Standard errors that a slope may be away from none by chance, where ten series are looked at.
ERRORS_MAX = 3.0


@dataclass(frozen=True)
class Trend:
    """A mean, and the slope per hour with its standard error."""

    mean: float
    per_h: float
    error: float

    def is_flat(self, least: float) -> bool:
        """Not distinguishable from none, or less than ``least`` per hour."""
        return self.per_h <= max(least, ERRORS_MAX * self.error)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least value that so many percent of the sorted ones do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Least squares through the means of `STRETCHES` stretches; at least three samples."""
    count = len(times_s)
    assert count == len(values), (count, len(values))
    stretches = max(3, min(STRETCHES, count // 2))
    assert count >= stretches, count
    edges = [count * n // stretches for n in range(stretches + 1)]
    spans = list(itertools.pairwise(edges))
    hours = [statistics.fmean(times_s[a:b]) / 3_600 for a, b in spans]
    means = [statistics.fmean(values[a:b]) for a, b in spans]
    slope, start = statistics.linear_regression(hours, means)
    rest = sum((y - start - slope * x) ** 2 for x, y in zip(hours, means, strict=True))
    spread = sum((x - statistics.fmean(hours)) ** 2 for x in hours)
    error = math.sqrt(rest / (stretches - 2) / spread)
    return Trend(statistics.fmean(values), slope, error)
