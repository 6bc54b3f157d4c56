"""The source line and the caret: below the right word, within the terminal, harmless."""

import pytest

from stenella.console.excerpt import excerpt, headline, problem_lines
from stenella.home.layout import Home
from stenella.protocol.errors import Problem, Usage

from .conftest import Call

TEXT = "name: w\ntasks:\n  - {name: a, scirpt: ls}\n"


def test_a_caret_line_stands_below_the_whole_word() -> None:
    assert excerpt(TEXT, 3, 15, 80) == [
        "      3 |   - {name: a, scirpt: ls}",
        "        |               ^^^^^^",
    ]


@pytest.mark.parametrize(
    ("line", "column", "word"),
    [
        ("a\tb: 1", 3, "b"),
        ("日本: x", 5, "x"),
        ("\x1b[31m: x", 8, "x"),
        ("e\u0301: x", 5, "x"),
        ('k: "two words" # c', 4, '"two words"'),
        ("p: ${a.b} c", 4, "${a.b}"),
    ],
)
def test_the_caret_is_where_a_terminal_shows_the_word(line: str, column: int, word: str) -> None:
    from stenella.console.excerpt import _columns

    shown, carets = excerpt(line, 1, column, 80)

    assert "\x1b" not in shown
    assert "\t" not in shown
    assert _columns(shown[: shown.rindex(word)]) == carets.index("^")
    assert carets.count("^") == _columns(word)


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("column", [1, 60, 200, 399])
def test_a_long_line_is_cut_round_the_caret(width: int, column: int) -> None:
    line = "".join(f"{number:03} " for number in range(100))

    shown, carets = excerpt(line, 1, column, width)

    assert max(len(shown), len(carets)) <= width
    assert carets.index("^") >= len("    1 | ")


def test_a_place_that_is_not_there_has_no_excerpt() -> None:
    assert excerpt(TEXT, 9, 1, 80) == []
    assert excerpt("\n\n", 1, 1, 80) == []


def test_a_problem_without_its_text_is_one_line() -> None:
    problem = Problem(rule="cycle", message="a circle", path="tasks[0]")

    assert problem_lines(problem, {}) == ["  tasks[0]: a circle [cycle]"]


def test_an_error_without_a_file_keeps_its_sentence() -> None:
    assert headline(Usage("say what", (Problem(rule="x", message="y"),))) == "say what"


def test_all_wrong_settings_are_told_at_once_with_their_lines(call: Call, home: Home) -> None:
    home.conf.write_text("[worker]\nslotz = 1\ndrain_s = -1\n\n[mastr]\n")

    outcome = call("master", "start")

    assert outcome.code == 2
    assert outcome.err.startswith(f"stenella: {home.conf} has 3 problems\n")
    assert "did you mean worker.slots?" in outcome.err
    assert "      2 | slotz = 1\n        | ^^^^^\n" in outcome.err
    assert "      3 | drain_s = -1\n        | ^^^^^^^\n" in outcome.err
    assert "      5 | [mastr]\n        |  ^^^^^\n" in outcome.err


def test_a_setting_file_that_is_no_toml_shows_where(call: Call, home: Home) -> None:
    home.conf.write_text("[worker]\nslots = = 1\n")

    assert "slots = = 1\n" in call("master", "start").err
