"""Durations as people write them: ``200ms 0.2s 5m 1h30m 2d``; stored as whole milliseconds."""

import re
from datetime import UTC, datetime

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
#: At most 12 digits before and 6 after the point: longer ones mean no real time span.
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|[dhms])", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of ``text``; parts go from the larger unit to the smaller, each at most once.

    Raises ValueError, its text a sentence for people, on anything else: a bare number too.
    """
    if text.startswith("-"):
        raise ValueError("a duration is not negative")
    total, position, smallest = 0.0, 0, float("inf")
    while part := _PART.match(text, position):
        unit_ms = UNITS_MS[part[2]]
        if unit_ms >= smallest:
            break
        total += float(part[1]) * unit_ms
        position, smallest = part.end(), unit_ms
    if position == 0 or position != len(text):
        raise ValueError("a duration is a number and a unit, as in 200ms 0.2s 5m 1h30m 2d")
    if total != round(total):
        raise ValueError("a duration has no parts finer than a millisecond")
    return round(total)


def written(ms: int) -> str:
    """``ms`` as a person would write it: 1h30m."""
    text = ""
    for unit, unit_ms in UNITS_MS.items():
        count, ms = divmod(ms, unit_ms)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def utc(wall_ms: int) -> str:
    """A wall time as a person reads it, to the second: ``2026-02-28 09:05:00 UTC``."""
    return datetime.fromtimestamp(wall_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
