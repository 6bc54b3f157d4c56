"""Durations as people write them."""

import pytest

from stenella.workflow.durations import parse_duration, written


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("200ms", 200),
        ("0.2s", 200),
        ("0s", 0),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1d2h3m4s5ms", 93_784_005),
    ],
)
def test_a_duration_is_read_as_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "10 s", "-5m", "5M", "1m1h", "5m5m", "1h30", "s", "1e3s", "0.1ms", "٣s", "9" * 99],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "200ms", "5m", "1h30m", "2d", "1d2h3m4s5ms"])
def test_milliseconds_are_written_as_a_person_would(text: str) -> None:
    assert written(parse_duration(text)) == text
