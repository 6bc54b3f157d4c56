"""Text for terminals: harmless, and no wider than they are."""

import pytest

from stenella.console.text import moment, printable, span, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rows=5 größer 鯨 🐬\tx\n", "rows=5 größer 鯨 🐬\tx\n"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("50 %\r100 %\r\ndone\n", "50 %\\r100 %\ndone\n"),
        ("\x9b2J", "\\x9b2J"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("a\u2028b\ud800", "a\\u2028b\\ud800"),
    ],
)
def test_control_codes_are_shown_and_not_sent(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_table_lines_up_and_takes_what_is_too_wide_from_the_widest_column() -> None:
    lines = table(("ID", "NAME", "STATE"), [(1, "x" * 90, "SUCCESS"), (12, None, "STOP")], 40)

    assert lines == [
        f"ID  {'NAME'.ljust(27)}  STATE",
        f"1   {'x' * 26}…  SUCCESS",
        f"12  {' ' * 27}  STOP",
    ]


def test_a_table_keeps_a_cell_on_one_line() -> None:
    assert table(("A",), [("two\nlines\x1b",)], 80) == ["A", "two lines\\x1b"]


def test_a_style_sees_padded_cells_and_not_the_head() -> None:
    lines = table(("A", "B"), [("x", "y")], 80, lambda column, text: f"<{text}>")

    assert lines == ["A  B", "<x>  <y>"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3_599.6, "1 h 00 min"),
        (7_500, "2 h 05 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float | None, shown: str) -> None:
    assert span(seconds) == shown


def test_an_unknown_time_is_empty() -> None:
    assert moment(None) == ""
    assert len(moment(1_764_000_000.25)) == len("2025-11-24 16:00:00")
