"""Durations of command lines, in the unit that clocks have."""

from ..workflow.durations import parse_duration


def seconds(text: str) -> float:
    """Seconds of a duration as people write it: 200ms 0.2s 5m 1h30m 2d.

    Raises ValueError, its text a sentence for people.
    """
    return parse_duration(text) / 1000
