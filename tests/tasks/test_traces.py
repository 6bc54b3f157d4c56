"""Outputs and the log's end, read from real files with everything wrong in them."""

import os
from pathlib import Path
from typing import Any

import pytest

from stenella.protocol.launch import Collection
from stenella.tasks.traces import (
    BLOCK_BYTES,
    FILE_BYTES_MAX,
    LINE_BYTES_MAX,
    OUTPUTS_BYTES_MAX,
    TAIL_BYTES_MAX,
    UNDECLARED_MAX,
    VALUE_BYTES_MAX,
    collect,
    log_tail,
)


class Ended:
    """The folder and log of an ended process."""

    def __init__(self, place: Path) -> None:
        self.place, self.log, self.output = place, place / "log", place / "output"

    def collect(self, *required: str, exit_code: int = 0, **defaults: Any) -> Collection:
        return collect(self.place, self.log, exit_code, defaults, list(required))


@pytest.fixture
def ended(tmp_path: Path) -> Ended:
    found = Ended(tmp_path)
    found.log.touch()
    return found


# --- which value counts ---------------------------------------------------------------------------


def test_a_process_that_left_nothing_gives_the_defaults(ended: Ended) -> None:
    ended.log.unlink()

    assert ended.collect(a=1) == Collection({"a": 1}, "")


def test_the_first_equals_sign_splits_and_the_value_is_text(ended: Ended) -> None:
    ended.output.write_bytes(b"a=1=2\nb= x \r\n\n  \nc=")

    assert ended.collect("a", "b", "c").outputs == {"a": "1=2", "b": " x ", "c": ""}


def test_json_lines_keep_their_types(ended: Ended) -> None:
    ended.output.write_text('{"a": 1, "b": [true, null]}\n {"c": {"d": "ü"}}\n')

    assert ended.collect("a", "b", "c").outputs == {"a": 1, "b": [True, None], "c": {"d": "ü"}}


def test_the_later_value_wins_and_the_file_wins_over_the_log(ended: Ended) -> None:
    ended.log.write_text("${setValue(a=log)} ${setValue(b=1)} ${setValue(b=2)}\n")
    ended.output.write_text('a=first\n{"a": "second"}\n')

    assert ended.collect("a", "b").outputs == {"a": "second", "b": "2"}


def test_a_given_value_replaces_the_default(ended: Ended) -> None:
    ended.output.write_text("a=given")

    assert ended.collect(a="default").outputs == {"a": "given"}


def test_a_failed_process_exports_nothing_and_has_no_problem(ended: Ended) -> None:
    ended.output.write_text("a=1\nrubbish\n")

    assert ended.collect("a", exit_code=1) == Collection({}, "")


def test_collecting_again_gives_the_same_again(ended: Ended) -> None:
    ended.log.write_text("work ${setValue(a=1)} ${setValue(typo=1)}")

    first = ended.collect("a")

    assert ended.collect("a") == first
    assert ended.log.read_text().count("stenella:") == 1


# --- setValue in a log ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${setValue(a=1)}", "1"),
        ("#{setValue(a=1)}", "1"),
        ("2024 INFO ${setValue(a=f(x)=)} rest", "f(x)="),
        ("${setValue(${setValue(a=1)}", "1"),
        ("${setValue(b=1${setValue(a=2)}", None),
        ("${setValue(a=1", None),
        ("${setValue(a=1\n)}", None),
        ("setValue(a=1)}", None),
        ("${setValue( a=1)}", None),
    ],
)
def test_set_value_is_found_anywhere_on_a_line(ended: Ended, text: str, value: str | None) -> None:
    ended.log.write_text(text)

    assert ended.collect(a=None).outputs == {"a": value}


@pytest.mark.parametrize("shift", [0, 1, 5, 12, 16, 17, 18])
def test_set_value_is_found_across_the_border_of_two_blocks(ended: Ended, shift: int) -> None:
    filling = "x\n" * (BLOCK_BYTES // 2)
    ended.log.write_text(filling[shift:] + "${setValue(a=12)}\n" + filling)

    assert ended.collect("a").outputs == {"a": "12"}


def test_a_line_is_searched_up_to_its_limit(ended: Ended) -> None:
    said = "${setValue(a=1)}"
    ended.log.write_text(said.rjust(LINE_BYTES_MAX) + "\n" + said.rjust(LINE_BYTES_MAX + 1))
    ended.log.write_text(said.rjust(LINE_BYTES_MAX))
    fits = ended.collect(a=None).outputs
    ended.log.write_text(said.rjust(LINE_BYTES_MAX + 1))

    assert (fits, ended.collect(a=None).outputs) == ({"a": "1"}, {"a": None})


def test_a_line_longer_than_blocks_is_skipped_and_the_next_is_read(ended: Ended) -> None:
    ended.log.write_text("setValue(" + "x" * 3 * BLOCK_BYTES + "${setValue(a=1)}\n${setValue(a=2)}")

    assert ended.collect("a").outputs == {"a": "2"}


def test_a_log_made_to_be_slow_to_search_is_not(ended: Ended) -> None:
    ended.log.write_text(("#{setValue(a=" * 5_000 + "\n") * 16)

    assert ended.collect(a=None).outputs == {"a": None}


# --- undeclared names -----------------------------------------------------------------------------


def test_an_undeclared_name_is_dropped_and_told_at_the_log_s_end(ended: Ended) -> None:
    ended.log.write_text("no newline")
    ended.output.write_text("a=1\nrwos=2\n")

    traces = ended.collect("a")

    assert (traces.outputs, traces.problem) == ({"a": "1"}, "")
    assert traces.tail.split("\n") == [
        "no newline",
        "stenella: outputs that the task does not declare are dropped: rwos",
    ]


def test_a_flood_of_undeclared_names_stays_one_short_line(ended: Ended) -> None:
    ended.output.write_text("".join(f'{{"{"n" * 5_000}{n}\\n\\u001b": 1}}\n' for n in range(200)))

    ended.collect()

    told = ended.log.read_text()
    assert (told.count("\n"), told.count(","), len(told) < UNDECLARED_MAX * 100) == (1, 19, True)


# --- problems -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "output 'a' is declared, has no default, and was not given"),
        (b"a=1\nrubbish\n", "line 2 of $STENELLA_OUTPUT is neither name=value nor a JSON"),
        (b"2a=1\n", "(4 bytes, it begins with '2a=1')"),
        (b"a=\xff\xfe\n", "'a' a value that is not UTF-8 (2 bytes, it begins with '\\xff\\xfe')"),
        (b'{"a": "\xff"}\n', "is no valid JSON object"),
        (b'{"a": 1', "(7 bytes, it begins with '{\"a\": 1')"),
        (b'{"a": ' + b"[" * 100_000, "is no valid JSON object"),
        (b'{"a": NaN}', "is no valid JSON object"),
        (b'{"a": 1e999}', "is no valid JSON object"),
        (b'{"a": ' + b"9" * 300 + b"}", "output 'a' holds an integer of more than 63 bits"),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "output 'a' is nested more than 64 deep"),
        (b'{"a": [{"\\u0000": 1}]}', "output 'a' holds a NUL"),
        (b"a=\0", "output 'a' holds a NUL"),
        (b"\x7fELF" + b"\0\n" * 5_000, "; and 4996 more"),
    ],
)
def test_what_is_wrong_is_named(ended: Ended, body: bytes, says: str) -> None:
    ended.output.write_bytes(body)

    traces = ended.collect("a")

    assert says in traces.problem
    assert traces.outputs == {}
    assert len(traces.problem) < 2_000


def test_a_value_that_is_not_utf_8_in_the_log_is_a_problem(ended: Ended) -> None:
    ended.log.write_bytes(b"${setValue(a=\xe4)}")

    assert "setValue in the log gives 'a' a value that is not UTF-8" in ended.collect("a").problem


def test_a_value_of_the_limit_passes_and_one_byte_more_is_named_with_size_and_begin(
    ended: Ended,
) -> None:
    ended.output.write_text("a=" + "ü" * (VALUE_BYTES_MAX // 2))
    fits = ended.collect("a").problem
    ended.output.write_text("a=" + "ü" * (VALUE_BYTES_MAX // 2) + "x")
    over = ended.collect("a").problem

    assert fits == ""
    assert "output 'a' is 262145 bytes, the limit is 262144; it begins with '\\xc3\\xbc" in over


def test_all_outputs_together_have_a_limit(ended: Ended) -> None:
    names = ["a", "b", "c", "d"]
    full = "".join(f"{name}={'x' * VALUE_BYTES_MAX}\n" for name in names)
    ended.output.write_text(full)
    fits = ended.collect(*names).problem
    ended.output.write_text(full + "e=x")
    over = ended.collect(*names, "e").problem

    assert fits == ""
    assert over == f"the outputs are 1048577 bytes together, the limit is {OUTPUTS_BYTES_MAX}"


def test_a_huge_output_file_is_named_and_not_read(ended: Ended) -> None:
    with open(ended.output, "wb") as output:
        output.write(b"a=b")
        output.truncate(50 * FILE_BYTES_MAX)  # sparse

    problem = ended.collect(a=1).problem

    assert f"$STENELLA_OUTPUT is {50 * FILE_BYTES_MAX} bytes" in problem
    assert "it begins with 'a=b" in problem


def test_a_value_that_is_written_again_does_not_count_twice(ended: Ended) -> None:
    ended.output.write_text(f"a={'x' * (VALUE_BYTES_MAX + 1)}\n" * 2 + "a=small\n")

    assert ended.collect("a").outputs == {"a": "small"}


def test_a_pipe_a_link_or_a_folder_in_place_of_the_file_leads_nowhere(ended: Ended) -> None:
    problems = []
    os.mkfifo(ended.output)
    problems.append(ended.collect(a=1).problem)
    ended.output.unlink()
    ended.output.symlink_to("/etc/passwd")
    problems.append(ended.collect(a=1).problem)
    ended.output.unlink()
    ended.output.mkdir()
    problems.append(ended.collect(a=1).problem)
    ended.output.rmdir()
    (ended.output.parent / "of-somebody-else").write_text("a=stolen\n")
    os.link(ended.output.parent / "of-somebody-else", ended.output)
    problems.append(ended.collect(a=1).problem)

    assert {problems[0], *problems[2:]} == {"$STENELLA_OUTPUT is not a regular file any more"}
    assert problems[1].startswith("$STENELLA_OUTPUT cannot be read")


# --- the log's end --------------------------------------------------------------------------------


def test_the_tail_of_no_log_is_empty(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "none") == ""


def test_the_tail_has_the_last_twenty_lines(ended: Ended) -> None:
    ended.log.write_text("".join(f"line {n}\n" for n in range(30)))

    assert log_tail(ended.log).split("\n") == [f"line {n}" for n in range(10, 30)]


def test_the_tail_has_whole_lines_of_the_last_bytes(ended: Ended) -> None:
    ended.log.write_text("\n".join("ü" * 500 for _ in range(6)))

    assert log_tail(ended.log) == "\n".join(["ü" * 500] * 4)


def test_the_tail_of_one_endless_line_is_its_end(ended: Ended) -> None:
    ended.log.write_text("x" * 10_000 + "end\n")

    tail = log_tail(ended.log)

    assert (len(tail), tail[-4:]) == (TAIL_BYTES_MAX - 1, "xend")


def test_control_characters_and_broken_bytes_in_the_tail_are_visible(ended: Ended) -> None:
    ended.log.write_bytes(b"a\x1b[31m\tb\r\n50%\r100%\x00 \xc2\x9b \xff\n")

    assert log_tail(ended.log) == "a\\x1b[31m\tb\n50%\\x0d100%\\x00 \\x9b �"
