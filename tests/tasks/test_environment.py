"""What a task's process sees: exactly this."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stenella.protocol.launch import CannotPrepare
from stenella.tasks.environment import (
    ENVIRONMENT_BYTES_MAX,
    PATH_DEFAULT,
    environment,
    inherited,
)
from stenella.tasks.shell import Shell
from stenella.workflow.definition import VARIABLE_BYTES_MAX

from .attempts import ENVIRON, attempt, request

FOLDER = Path("/work/5")


def test_only_allowed_variables_of_the_worker_are_inherited() -> None:
    given = {"PATH": "/bin", "TZ": "UTC", "LC_ALL": "C", "AWS_SECRET": "x", "LD_PRELOAD": "y"}

    assert inherited(given) == {"PATH": "/bin", "TZ": "UTC", "LC_ALL": "C"}


def test_a_worker_without_a_path_gives_a_usual_one() -> None:
    assert inherited({}) == {"PATH": PATH_DEFAULT}


def test_what_is_no_utf_8_is_not_inherited() -> None:
    assert inherited({"PATH": "/bin", "HOME": "/h\udcff", "USER": "jö"}) == {
        "PATH": "/bin",
        "USER": "jö",
    }


def test_stenella_s_own_variables_are_complete() -> None:
    env = environment(request(submit_dir="/home/me"), FOLDER, {})

    assert env == {
        "STENELLA_OUTPUT": "/work/5/output",
        "STENELLA_WORKFLOW": "nightly",
        "STENELLA_TASK": "extract",
        "STENELLA_WORKFLOW_INSTANCE_ID": "7",
        "STENELLA_TASK_INSTANCE_ID": "11",
        "STENELLA_ATTEMPT_NUMBER": "2",
        "STENELLA_BASE_TIME": "2024-03-31T10:20:00Z",
        "STENELLA_SUBMIT_DIR": "/home/me",
    }


def test_the_worker_yields_to_env_and_env_to_parameters() -> None:
    asked = request(env={"TZ": "env", "a": "env"}, params={"a": "param"})

    env = environment(asked, FOLDER, {"TZ": "worker", "HOME": "worker"})

    assert (env["HOME"], env["TZ"], env["a"]) == ("worker", "env", "param")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is ", "as it is "),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (2.5, "2.5"),
        (None, ""),
        ([1, "ü", None], '[1,"ü",null]'),
        ({"a": {"b": True}}, '{"a":{"b":true}}'),
    ],
)
def test_a_parameter_becomes_text(value: Any, text: str) -> None:
    assert environment(request(params={"p": value}), FOLDER, {})["p"] == text


def test_the_largest_variable_the_system_takes_fits() -> None:
    value = "x" * (VARIABLE_BYTES_MAX - len("p="))

    assert environment(request(params={"p": value}), FOLDER, {})["p"] == value


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"big": "x" * VARIABLE_BYTES_MAX}, "^big cannot be in the environment: it is too long"),
        ({f"p{n}": "x" * 130_000 for n in range(17)}, f"allows {ENVIRONMENT_BYTES_MAX}"),
        ({"nul": "a\0b"}, "nul cannot be in the environment: it contains a NUL"),
    ],
)
def test_what_no_process_can_be_given_is_told_by_name(params: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotPrepare, match=says):
        environment(request(params=params), FOLDER, {})


@pytest.mark.live
def test_a_process_sees_exactly_that(tmp_path: Path) -> None:
    script = f"#!{sys.executable}\nimport json, os\nprint(json.dumps(dict(os.environ)))\n"
    asked = request(script, env={"MODE": "fast"}, params={"limit": 3})

    _, log, _ = attempt(Shell(ENVIRON), asked, tmp_path)

    assert json.loads(log) == environment(asked, tmp_path / "work", ENVIRON)


@pytest.mark.live
def test_the_largest_environment_that_is_let_through_is_taken_by_the_system(
    tmp_path: Path,
) -> None:
    params = {f"p{n}": "x" * 130_000 for n in range(15)} | {"last": "x" * 120_000}

    code, log, _ = attempt(Shell(ENVIRON), request("printf %s $last", params=params), tmp_path)

    assert (code, len(log)) == (0, 120_000)
