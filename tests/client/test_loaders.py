"""Definition files in YAML and JSON: what is taken, and where what is wrong stands."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from stenella.client.document import DEPTH_MAX, NODES_MAX
from stenella.client.json_file import NotPlain, read_json, read_plain_json
from stenella.client.loading import FILE_BYTES_MAX, installed_types, load, load_bytes
from stenella.client.script_file import ScriptOptions
from stenella.protocol.errors import DefinitionRefused, NotFound, Problem, Usage
from stenella.workflow.definition import Definition
from stenella.workflow.findings import Findings

TYPES = frozenset({"shell", "noop"})

EXAMPLE = """\
name: nightly-sales
params: {day: mon, limit: {type: integer, default: 100, min: 1}}
failure_strategy: end
tasks:
  - name: extract
    script: |
      echo "rows=1" >> "$STENELLA_OUTPUT"
    outputs: [rows]
    retry: {times: 3, interval: 10s, backoff: 2}
  - name: load
    type: noop
    depends_on: [extract]
    params: {rows: "${extract.rows}"}
    worker_group: big
"""


def loaded(text: str | bytes, name: str = "x.yaml") -> Definition:
    return load_bytes(text.encode() if isinstance(text, str) else text, name, known_types=TYPES)


def problems(text: str | bytes, name: str = "x.yaml") -> tuple[Problem, ...]:
    with pytest.raises(DefinitionRefused) as refusal:
        loaded(text, name)
    return refusal.value.problems


def places(text: str | bytes, name: str = "x.yaml") -> list[tuple[str, int | None, int | None]]:
    return [(problem.rule, problem.line, problem.column) for problem in problems(text, name)]


def test_a_file_becomes_its_definition(tmp_path: Path) -> None:
    path = tmp_path / "sales.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")

    definition = load(path)

    extract, load_ = definition.tasks
    assert (definition.name, definition.failure_strategy) == ("nightly-sales", "end")
    assert definition.params["limit"].default == 100
    assert extract.script == 'echo "rows=1" >> "$STENELLA_OUTPUT"\n'
    assert (extract.retry.times, extract.retry.interval_ms, extract.retry.backoff) == (3, 10_000, 2)
    assert load_.params == {"rows": "${extract.rows}"}


def test_the_same_workflow_in_json_is_the_same_definition() -> None:
    text = """\
    {"name": "nightly-sales",
     "params": {"day": "mon", "limit": {"type": "integer", "default": 100, "min": 1}},
     "failure_strategy": "end",
     "tasks": [
       {"name": "extract", "outputs": ["rows"],
        "script": "echo \\"rows=1\\" >> \\"$STENELLA_OUTPUT\\"\\n",
        "retry": {"times": 3, "interval": "10s", "backoff": 2}},
       {"name": "load", "type": "noop", "depends_on": ["extract"], "worker_group": "big",
        "params": {"rows": "${extract.rows}"}}]}"""

    assert loaded(text, "x.json") == loaded(EXAMPLE)


def test_five_errors_are_reported_at_once_with_their_places() -> None:
    text = """\
name: five
tasks:
  - name: a
    script: echo
    depends_on: [b]
    retry: {times: 3, interval: 10}
  - name: b
    type: shel
    script: echo
    depend_on: [a]
    depends_on: [a, c]
  - name: B
    script: echo
    script: again
"""

    assert [(p.rule, p.line, p.path, p.suggestion) for p in problems(text)] == [
        ("cycle", 5, "tasks[0].depends_on", None),
        ("bad_duration", 6, "tasks[0].retry.interval", "10s"),
        ("unknown_type", 8, "tasks[1].type", "shell"),
        ("unknown_field", 10, "tasks[1].depend_on", "depends_on"),
        ("unknown_name", 11, "tasks[1].depends_on[1]", None),
        ("duplicate_name", 12, "tasks[2].name", None),
        ("duplicate_key", 14, "tasks[2].script", None),
    ]


TASKS = "tasks: [{name: t, type: noop}]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("empty", None, None)]),
        ("# nothing\n", [("empty", None, None)]),
        ("---\n...\n", [("empty", 2, 1)]),
        ("name: w\n", [("missing_field", 1, 1)]),
        ("just text\n", [("wrong_type", 1, 1)]),
        ("name: w\ntasks: {}\n", [("wrong_type", 2, 1)]),
        ("name: w\nname: v\n" + TASKS, [("duplicate_key", 2, 1)]),
        ("name: w\n" + TASKS + "---\nname: v\n", [("several_documents", 3, 1)]),
        ("name: w\n\ttasks: []\n", [("syntax", 2, 1)]),
        ("name: [w\n" + TASKS, [("syntax", 2, 6)]),
        ("name: 'w\n", [("syntax", 2, 1)]),
        ("name: w\x07\n", [("syntax", 1, 8)]),
        (b"name: w\n# \xff\n", [("not_utf8", 2, 3)]),
        ("name: !!python/object:os.system w\n" + TASKS, [("yaml_tag", 1, 7)]),
        ("name: w\ntasks: !x [{name: t, type: noop}]\n", [("yaml_tag", 2, 8)]),
        ("name: w\ntasks: *t\n", [("syntax", 2, 8)]),
        ("name: w\ntasks: &t [*t]\n", [("syntax", 2, 12)]),
        ("name: w\n? [a]\n: b\n", [("syntax", 2, 3)]),
        ("name: w\nparams: {a: .nan}\n" + TASKS, [("out_of_range", 2, 13)]),
        ("name: w\nparams: {a: 1e999}\n" + TASKS, [("out_of_range", 2, 13)]),
        (f"name: w\nparams: {{a: {10**300}}}\n" + TASKS, [("out_of_range", 2, 13)]),
        (f"name: w\nparams: {{a: {2**63}}}\n" + TASKS, [("out_of_range", 2, 10)]),
        ("name: w\nparams: {a: 0x" + "f" * 30 + "}\n" + TASKS, [("out_of_range", 2, 13)]),
        ("name: 2024\n" + TASKS, [("wrong_type", 1, 1)]),
    ],
)
def test_bad_yaml_is_refused_where_it_is_bad(
    text: str | bytes, expected: list[tuple[str, int | None, int | None]]
) -> None:
    assert places(text) == expected


JSON_TASKS = '"tasks": [{"name": "t", "type": "noop"}]}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("empty", None, None)]),
        (" \n ", [("empty", None, None)]),
        ("null", [("empty", 1, 1)]),
        ("{}", [("empty", 1, 1)]),
        ("[1]", [("wrong_type", 1, 1)]),
        ('{"name": "w",\n "name": "v",' + JSON_TASKS, [("duplicate_key", 2, 2)]),
        ('{"name": "w",\n"tasks": [],}', [("syntax", 2, 13)]),
        ('{"name": "w",\n"tasks": [1,]}', [("syntax", 2, 13)]),
        ('{"name": "w"', [("syntax", 1, 13)]),
        ('{"name": "w', [("syntax", 1, 10)]),
        ('{"name" "w"}', [("syntax", 1, 9)]),
        ('{"name": w}', [("syntax", 1, 10)]),
        ("{'name': 1}", [("syntax", 1, 2)]),
        ('{"name": 01}', [("syntax", 1, 10)]),
        ('{"name": "a\nb"}', [("syntax", 1, 12)]),
        ('{"name": "\\x"}', [("syntax", 1, 11)]),
        ('{"name": "w" /* no */}', [("syntax", 1, 14)]),
        ('{"a": 1} {"b": 2}', [("syntax", 1, 10)]),
        ('{"name": "w", "params": {"a": NaN}, ' + JSON_TASKS, [("out_of_range", 1, 31)]),
        ('{"name": "w", "params": {"a": -Infinity}, ' + JSON_TASKS, [("out_of_range", 1, 31)]),
        (f'{{"name": "w", "params": {{"a": {10**300}}}, ' + JSON_TASKS, [("out_of_range", 1, 31)]),
        ('{"name": "w\\ud800", ' + JSON_TASKS, [("bad_name", 1, 2)]),
        ('{"name": "w",\n"tasks": [{"name": 5, "type": "noop"}]}', [("wrong_type", 2, 12)]),
    ],
)  # fmt: skip
def test_bad_json_is_refused_where_it_is_bad(
    text: str, expected: list[tuple[str, int | None, int | None]]
) -> None:
    assert places(text, "x.json") == expected


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("On", "On"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("0777", 777),
        ("0o17", 15),
        ("0xff", 255),
        ("-12", -12),
        ("1_000", "1_000"),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("True", True),
        ("'1'", "1"),
        ('"true"', "true"),
        ("<<", "<<"),
    ],
)
def test_yaml_scalars_are_those_of_version_1_2(written: str, value: object) -> None:
    definition = loaded(f"name: w\nparams: {{a: {written}}}\n{TASKS}")

    assert repr(definition.params["a"].default) == repr(value)


def test_anchors_and_aliases_are_taken() -> None:
    definition = loaded(
        "name: w\ntasks:\n"
        "  - {name: a, type: noop, retry: &r {times: &n 2}}\n"
        "  - {name: b, type: noop, retry: *r}\n"
        "  - {name: c, type: noop, retry: {times: *n}}\n"
    )

    assert [task.retry.times for task in definition.tasks] == [2, 2, 2]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert loaded("\ufeffname: w\n" + TASKS).name == "w"
    assert loaded('\ufeff{"name": "w", ' + JSON_TASKS, "x.json").name == "w"


BOMB = "a: &a0 [x, x]\n" + "".join(
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[" * 100_000, "x.yaml"),
        ("- " * 100_000, "x.yaml"),
        ("{a: " * 100_000, "x.yaml"),
        ("? " * 100_000, "x.yaml"),
        ("[" * 100_000, "x.json"),
        ('{"a":' * 100_000, "x.json"),
        (BOMB, "x.yaml"),
        ("name: 1" + "0" * 1_000_000, "x.yaml"),
        ('{"name": 1' + "0" * 1_000_000 + "}", "x.json"),
    ],
    ids=range(9),
)
def test_a_bomb_is_refused_at_once(text: str, name: str) -> None:
    began = time.process_time()

    assert problems(text, name)
    assert time.process_time() - began < 0.2


def test_the_deepest_nesting_that_is_read_is_one_below_refusal() -> None:
    assert places("[" * DEPTH_MAX + "]" * DEPTH_MAX, "x.json") == [("wrong_type", 1, 1)]
    assert [p.rule for p in problems("[" * (DEPTH_MAX + 1), "x.json")] == ["too_large"]


@pytest.mark.slow
def test_more_values_than_any_definition_has_are_refused() -> None:
    assert [p.rule for p in problems("[" + "1," * NODES_MAX + "1]", "x.json")] == ["too_large"]


def test_a_file_above_its_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))

    with pytest.raises(DefinitionRefused, match="larger"):
        load(path, known_types=TYPES)


def test_each_problem_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text("{}", encoding="utf-8")

    with pytest.raises(DefinitionRefused) as refusal:
        load(path, known_types=TYPES)

    assert [problem.file for problem in refusal.value.problems] == [str(path)]
    assert refusal.value.exit_code == 4


def test_a_missing_file_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"nowhere\.yaml"):
        load("nowhere.yaml")


@pytest.mark.parametrize("name", [".", "a\0b"])
def test_what_is_no_file_is_a_usage_error(name: str) -> None:
    with pytest.raises(Usage):
        load(name)


def test_options_of_scripts_are_refused_for_other_files() -> None:
    with pytest.raises(Usage, match="--retry"):
        load_bytes(EXAMPLE.encode(), "x.yaml", known_types=TYPES, options=ScriptOptions(retry="3"))


def test_params_of_the_command_line_are_left_to_the_start() -> None:
    options = ScriptOptions(param=("day=tue",))

    definition = load_bytes(EXAMPLE.encode(), "x.yaml", known_types=TYPES, options=options)

    assert definition == loaded(EXAMPLE)


@pytest.mark.parametrize("text", ["name: w\n" + TASKS, '{"name": "w", ' + JSON_TASKS])
def test_standard_input_is_told_apart_by_its_text(text: str) -> None:
    assert loaded(text, "-").name == "w"


def test_a_file_that_says_nothing_about_itself_is_refused() -> None:
    assert [p.rule for p in problems("name: w\n", "workflow.txt")] == ["unknown_format"]


@pytest.mark.live
@pytest.mark.slow
def test_standard_input_is_read_for_a_hyphen() -> None:
    code = "from stenella.client.loading import load; print(load('-').name)"

    run = subprocess.run(
        [sys.executable, "-c", code], input=EXAMPLE.encode(), capture_output=True, check=True
    )

    assert run.stdout.strip() == b"nightly-sales"


@pytest.mark.live
@pytest.mark.slow
def test_loading_needs_neither_gevent_nor_a_database() -> None:
    code = (
        "import sys, stenella.client.loading; print({'gevent', 'peewee', 'zmq'} & {*sys.modules})"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert run.stdout.strip() == b"set()"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('{"a": [1, -2.5e3, true, null, "ü\\n"], "b": {}}', True),
        ('{"a": 1, "a": 2}', False),
        ('{"a": [{"b": 1, "b": 1}]}', False),
        ('{"a": NaN}', False),
        ('{"a": -Infinity}', False),
        ('{"a": 1e999}', False),
        ('{"a": 1}, 2', False),
        ("", False),
        ("[" * 100_000, False),
        ('{"a": ' + "9" * 5_000 + "}", False),
        ("[" + ",".join("1" * (NODES_MAX + 1)) + "]", False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_read_without_places_is_what_is_read_with_them(text: str, plain: bool) -> None:
    if not plain:
        with pytest.raises(NotPlain):
            read_plain_json(text)
        return
    findings = Findings()
    assert read_plain_json(text) == read_json(text, findings)
    assert findings.count == 0


def test_the_installed_types_are_those_of_the_entry_points() -> None:
    assert installed_types() >= {"shell", "noop"}
