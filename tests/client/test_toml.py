"""Definition files in TOML: the same fields, and places as far as a line says them."""

import time

import pytest

from stenella.client.document import DEPTH_MAX
from stenella.client.toml_file import TEXT_CHARS_MAX

from .test_loaders import EXAMPLE, loaded, places, problems

TOML = '''\
# the example of the YAML tests
name = "nightly-sales"
failure_strategy = "end"

[params]
day = "mon"
limit = {type = "integer", default = 100, min = 1}

[[tasks]]
name = "extract"
script = """
echo "rows=1" >> "$STENELLA_OUTPUT"
"""
outputs = ["rows"]

[tasks.retry]
times = 3
interval = "10s"
backoff = 2

[[tasks]]
name = "load"
type = "noop"
depends_on = [
  "extract",  # [not a table]
]
params.rows = "${extract.rows}"
worker_group = "big"
'''


def test_a_toml_file_is_the_same_definition_as_in_yaml() -> None:
    assert loaded(TOML, "x.toml") == loaded(EXAMPLE)
    assert loaded(TOML, "-") == loaded(EXAMPLE)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('interval = "10s"', "interval = 10", ("bad_duration", 18, 1)),
        ("times = 3", "times = 3\ntimer = 1", ("unknown_field", 18, 1)),
        (
            'params.rows = "${extract.rows}"',
            '  params.rows = "${extract.row}"',
            ("unknown_output", 27, 3),
        ),
        ('name = "load"', 'nam = "load"', ("unknown_field", 22, 1)),
        ('day = "mon"', "day = 2024-01-31", ("wrong_type", 6, 1)),
        ("min = 1}", "min = nan}", ("out_of_range", 7, 1)),
        ("default = 100", "default = 0x" + "f" * 10_000, ("out_of_range", 7, 1)),
        ('outputs = ["rows"]', 'outputs = ["rows"', ("syntax", 16, 1)),
        ('name = "load"', 'name = "load"\nname = "again"', ("syntax", 23, 15)),
        ('"extract",  # [', '"extrac",  # [', ("unknown_name", 24, 1)),
        ('worker_group = "big"\n', 'worker_group = "big', ("syntax", 28, 20)),
    ],
)
def test_what_is_wrong_stands_in_its_line(old: str, new: str, place: tuple[str, int, int]) -> None:
    assert place in places(TOML.replace(old, new), "x.toml")


def test_brackets_and_keys_in_strings_are_no_structure() -> None:
    text = TOML.replace('echo "rows=1"', '[[tasks]]\\nname = "no"\n[params]\nx = 1').replace(
        'worker_group = "big"', 'worker = "big"'
    )

    assert ("unknown_field", 30, 1) in places(text, "x.toml")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        ".".join("a" * 100_000) + " = 1",
        "[" + ".".join("a" * 100_000) + "]",
        "a = {" + ".".join("b" * 100_000) + " = 1}",
        "a = 1" + "0" * 1_000_000,
        'a = "' + '\\"' * 100_000,
        '"""' + "\\" * 100_001,
        "name = 'x'\n" + "a" * 1_000_000,
        "[a" + " " * 1_000_000 + ".b]",
        "a = " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1),
        "#" * (TEXT_CHARS_MAX + 1),
    ],
    ids=range(12),
)
def test_b22_a_bomb_in_toml_is_refused_at_once(text: str) -> None:
    began = time.process_time()

    assert problems(text, "x.toml")
    assert time.process_time() - began < 0.5
