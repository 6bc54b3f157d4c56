"""Script files: their options, their text, and what is not taken for one."""

import msgspec
import pytest

from stenella.client.loading import load_bytes
from stenella.client.script_file import SCRIPT_OPTIONS, ScriptOptions, pairs
from stenella.protocol.errors import DefinitionRefused, Problem, Usage
from stenella.workflow.definition import Definition, Output, Parameter, Retry, Timeout

TYPES = frozenset({"shell", "noop"})
NONE = ScriptOptions()

SCRIPT = """\
#!/bin/bash
#STENELLA --name nightly --param day=mon -p 'note=two words' --env LANG=C
# a comment, and an empty line

#STENELLA --retry 3 --retry-interval=10s --retry-backoff 1.5
#STENELLA\t--worker-group big --output rows --output bytes
echo "$day"
#STENELLA --name too-late
"""


def loaded(text: str, name: str = "my job.sh", options: ScriptOptions = NONE) -> Definition:
    return load_bytes(
        text.encode(), name, known_types=TYPES, options=options, submit_dir="/home/me"
    )


def problems(text: str, name: str = "job.sh", options: ScriptOptions = NONE) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionRefused) as refusal:
        loaded(text, name, options)
    return refusal.value.problems


def test_the_lines_before_the_first_command_are_options() -> None:
    definition = loaded(SCRIPT)

    (task,) = definition.tasks
    assert definition.name == "nightly"
    assert definition.params == {
        "day": Parameter("string", "mon"),
        "note": Parameter("string", "two words"),
    }
    assert (task.name, task.type) == ("my-job", "shell")
    assert task.env == {"LANG": "C"}
    assert task.retry == Retry(3, 10_000, 1.5)
    assert task.worker_group == "big"
    assert task.outputs == (Output("rows"), Output("bytes"))


def test_time_limit_delay_and_priority_are_options_too() -> None:
    lines = "#STENELLA --timeout 5m --timeout-strategy=warn_fail --delay 30s --priority high\n"
    definition = loaded("#!/bin/sh\n" + lines, options=ScriptOptions(timeout="7m"))

    (task,) = definition.tasks
    assert task.timeout == Timeout(420_000, "warn_fail")
    assert task.delay_ms == 30_000
    assert (definition.priority, task.priority) == ("high", "medium")


def test_the_whole_text_is_the_script() -> None:
    assert loaded(SCRIPT).tasks[0].script == SCRIPT


def test_a_script_runs_in_the_folder_of_submission() -> None:
    assert loaded("#!/bin/sh\ntrue\n").tasks[0].working_dir == "/home/me"


@pytest.mark.parametrize(("chdir", "folder"), [("data", "/home/me/data"), ("/srv", "/srv")])
def test_chdir_counts_from_the_folder_of_submission(chdir: str, folder: str) -> None:
    text = f"#STENELLA --chdir {chdir}\ntrue\n"

    assert loaded(text).tasks[0].working_dir == folder


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/a/b/report.sh", "report"),
        ("my job (2).sh", "my-job-2"),
        ("çé.sh", "script"),
        ("-", "stdin"),
        ("x" * 200 + ".sh", "x" * 128),
    ],
)
def test_a_script_is_named_after_its_file(file: str, name: str) -> None:
    assert loaded("#!/bin/sh\ntrue\n", file).name == name


def test_a_mark_alone_makes_a_script() -> None:
    assert loaded("#STENELLA\ntrue\n", "job").tasks[0].type == "shell"


@pytest.mark.parametrize("text", ["true\n", "#STENELLAX --name x\ntrue\n", "true\n#STENELLA\n"])
def test_neither_shebang_nor_mark_is_no_script(text: str) -> None:
    assert [problem.rule for problem in problems(text)] == ["unknown_format"]


def test_the_command_line_wins() -> None:
    options = ScriptOptions(
        name="other", env=("LANG=de", "X=1"), retry="0", worker_group="small", output=("rows",)
    )

    definition = loaded(SCRIPT, options=options)

    (task,) = definition.tasks
    assert definition.name == "other"
    assert task.env == {"LANG": "de", "X": "1"}
    assert task.retry == Retry(0, 10_000, 1.5)
    assert task.worker_group == "small"
    assert task.outputs == (Output("rows"), Output("bytes"))


def test_a_param_of_the_command_line_declares_its_name_and_leaves_the_default() -> None:
    options = ScriptOptions(param=("day=tue", "new=1"))

    params = loaded(SCRIPT, options=options).params

    assert params["day"] == Parameter("string", "mon")
    assert params["new"] == Parameter("string", None)


@pytest.mark.parametrize(
    ("line", "rule", "column", "suggestion"),
    [
        ("#STENELLA --nmae x", "unknown_field", 11, "--name"),
        ("#STENELLA --run-as 0", "bad_name", 11, None),
        ("#STENELLA --timeout-strategy fail", "missing_field", 11, None),
        ("#STENELLA --timeout 5", "bad_duration", 11, "5s"),
        ("#STENELLA --priority soon", "wrong_type", 11, None),
        ("#STENELLA --retry", "missing_field", 11, None),
        ("#STENELLA --retry many", "wrong_type", 11, None),
        ("#STENELLA --retry 2000", "out_of_range", 11, None),
        ("#STENELLA  --retry-interval 10", "bad_duration", 12, "10s"),
        ("#STENELLA --retry-backoff x", "wrong_type", 11, None),
        ("#STENELLA --name 'a", "syntax", 1, None),
        ("#STENELLA --name 'a b'", "bad_name", 11, None),
        ("#STENELLA -p day", "wrong_type", 11, None),
        ("#STENELLA -p PATH=x", "reserved_name", 11, None),
        ("#STENELLA --output a-b", "bad_name", 11, None),
        ("#STENELLA stray", "unknown_field", 11, None),
    ],
)
def test_a_wrong_option_is_refused_in_its_line(
    line: str, rule: str, column: int, suggestion: str | None
) -> None:
    (problem,) = problems(f"#!/bin/sh\n{line}\ntrue\n")

    assert (problem.rule, problem.line, problem.column) == (rule, 2, column)
    assert problem.suggestion == suggestion


def test_a_wrong_option_of_the_command_line_has_no_line() -> None:
    options = ScriptOptions(retry="many")

    (problem,) = problems("#!/bin/sh\n#STENELLA --retry 3\ntrue\n", options=options)

    assert (problem.rule, problem.line) == ("wrong_type", None)


def test_all_wrong_options_are_reported_at_once() -> None:
    text = "#!/bin/sh\n#STENELLA --nmae x --retry 5000\n#STENELLA -p 1=2 --env K\ntrue\n"

    assert [(p.rule, p.line) for p in problems(text)] == [
        ("unknown_field", 2),
        ("out_of_range", 2),
        ("bad_name", 3),
        ("wrong_type", 3),
    ]


FLOW = "from stenella import Workflow\n"


@pytest.mark.parametrize("text", [FLOW, "import os\nimport stenella.client\n", "#!/x\n" + FLOW])
def test_a_flow_in_python_is_refused_clearly(text: str) -> None:
    (problem,) = problems(text, "flow.py")

    assert problem.rule == "unknown_format"
    assert "Python" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/env python3\nprint('import stenella')\n",
        "#!/usr/bin/env python2\nprint 'import stenella'\n",
        "#!/usr/bin/env python3\nimport re\nre.compile('\\d')\n",
    ],
)
def test_other_python_with_a_shebang_is_a_script(text: str) -> None:
    assert loaded(text, "job.py").tasks[0].script == text


def test_every_option_has_a_value_to_go_to() -> None:
    fields = msgspec.structs.fields(ScriptOptions)

    assert {field.name for field in fields} == {option.field for option in SCRIPT_OPTIONS}


def test_pairs_split_at_the_first_equals_sign() -> None:
    assert pairs(["a=b=c", "d=", "a=2"]) == {"a": "2", "d": ""}


def test_a_pair_without_equals_sign_is_a_usage_error() -> None:
    with pytest.raises(Usage, match="NAME=VALUE"):
        pairs(["day"])
