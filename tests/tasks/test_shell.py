"""The shell type, its scripts run for real."""

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from stenella.protocol.launch import CannotPrepare
from stenella.tasks.shell import Shell

from .attempts import ENVIRON, attempt, launched, request

pytestmark = pytest.mark.live


@pytest.fixture
def shell() -> Shell:
    return Shell(ENVIRON)


def test_a_script_without_shebang_is_run_by_bash(shell: Shell, tmp_path: Path) -> None:
    code, log, _ = attempt(shell, request('words=(a b); echo "${words[1]}"'), tmp_path)

    assert (code, log) == (0, "b\n")


@pytest.mark.parametrize(
    "begins", [{"script": ":"}, {"script": "#!/bin/sh"}, {"command": ["true"]}]
)
def test_it_reads_nothing_but_the_log_and_the_output_file(
    shell: Shell, tmp_path: Path, begins: dict[str, Any]
) -> None:
    launch = launched(shell, request(**{"script": None} | begins), tmp_path)

    assert launch.traces == [launch.env["STENELLA_OUTPUT"]]


def test_a_shebang_counts(shell: Shell, tmp_path: Path) -> None:
    script = f"#!{sys.executable}\nprint(6 * 7)\n"

    assert attempt(shell, request(script), tmp_path)[:2] == (0, "42\n")


def test_a_shebang_by_env_finds_its_interpreter_on_the_path(shell: Shell, tmp_path: Path) -> None:
    assert attempt(shell, request("#!/usr/bin/env sh\necho $0"), tmp_path)[0] == 0


def test_the_script_is_stored_byte_by_byte(shell: Shell, tmp_path: Path) -> None:
    script = "echo 'grüße'\r\n\techo 2  \n"

    launched(shell, request(script), tmp_path / "work")

    assert (tmp_path / "work/script").read_bytes() == script.encode()


def test_folder_and_script_are_the_owner_s_alone(shell: Shell, tmp_path: Path) -> None:
    launched(shell, request(), tmp_path / "a/work")

    modes = [(tmp_path / "a/work" / name).stat().st_mode for name in ("", "script")]
    assert [stat.S_IMODE(mode) for mode in modes] == [0o700, 0o700]


def test_preparing_again_comes_to_the_same(shell: Shell, tmp_path: Path) -> None:
    first = launched(shell, request("echo one"), tmp_path / "work")
    (tmp_path / "work/script").write_text("half a scr")

    assert launched(shell, request("echo one"), tmp_path / "work") == first
    assert (tmp_path / "work/script").read_text() == "echo one"


def test_it_runs_in_its_own_folder(shell: Shell, tmp_path: Path) -> None:
    assert attempt(shell, request("pwd -P"), tmp_path)[1] == f"{tmp_path.resolve()}/work\n"


def test_a_file_s_task_runs_in_its_own_folder_and_knows_where_it_was_submitted(
    shell: Shell, tmp_path: Path
) -> None:
    asked = request('pwd -P; echo "$STENELLA_SUBMIT_DIR"', submit_dir="/usr")

    assert attempt(shell, asked, tmp_path)[1] == f"{tmp_path.resolve()}/work\n/usr\n"


def test_a_working_dir_wins_and_a_relative_one_starts_at_the_submission(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()

    absolute = request("pwd", working_dir=str(tmp_path / "data"), submit_dir="/")
    relative = request("pwd", working_dir="data", submit_dir=str(tmp_path))

    assert attempt(shell, absolute, tmp_path)[1] == f"{tmp_path}/data\n"
    assert attempt(shell, relative, tmp_path)[1] == f"{tmp_path}/data\n"


def test_parameters_reach_the_script_as_values_never_as_code(shell: Shell, tmp_path: Path) -> None:
    value = "$(echo run) `echo run` '; echo run \" ${HOME} \n*"
    asked = request('printf %s "$danger"', params={"danger": value})

    assert attempt(shell, asked, tmp_path)[1] == value


def test_a_failing_script_gives_its_code_and_its_log_and_no_outputs(
    shell: Shell, tmp_path: Path
) -> None:
    script = 'echo "rows=3" >> "$STENELLA_OUTPUT"; echo bad input >&2; exit 9'

    code, _, traces = attempt(shell, request(script, outputs={}, required=["rows"]), tmp_path)

    assert (code, traces.tail, traces.outputs, traces.problem) == (9, "bad input", {}, "")


def test_outputs_by_file_and_by_set_value_are_collected(shell: Shell, tmp_path: Path) -> None:
    script = """
        echo "rows=3=three" >> "$STENELLA_OUTPUT"
        echo '{"table": {"a": [1, 2.5, null]}}' >> "$STENELLA_OUTPUT"
        echo "done #{setValue(day=monday)} and \\${setValue(hour=5)}"
    """
    asked = request(script, outputs={"left": 1}, required=["rows", "table", "day", "hour"])

    _, _, traces = attempt(shell, asked, tmp_path)

    assert traces.problem == ""
    assert traces.outputs == {
        "left": 1,
        "rows": "3=three",
        "table": {"a": [1, 2.5, None]},
        "day": "monday",
        "hour": "5",
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"working_dir": "/no/such/folder"}, "working folder /no/such/folder does not exist"),
        ({"submit_dir": "/no", "working_dir": "x"}, "working folder /no/x does not exist"),
        ({"working_dir": "data"}, "data does not exist"),
        ({"script": None}, "extract has neither script nor command"),
    ],
)
def test_what_cannot_be_started_is_told_before(
    shell: Shell, tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(CannotPrepare, match=says):
        shell.prepare(request(**changes), tmp_path / "work")


def test_a_folder_that_cannot_be_made_is_told(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")

    with pytest.raises(CannotPrepare, match="work/script cannot be written: File exists"):
        shell.prepare(request(), tmp_path / "work")


def test_b20_a_command_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    words = ["printf", "%s|", "a b", "$HOME", "$(id)", "; ls", "'\"", "*", "", "-n", "é\n"]

    code, log, _ = attempt(Shell(ENVIRON), request(None, command=words), tmp_path)

    assert (code, log) == (0, "".join(f"{word}|" for word in words[2:]))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["no-such-program"], "there is no program 'no-such-program' in the worker's PATH"),
        (["/etc/passwd"], "/etc/passwd is no program: chmod"),
        (["./none"], "/none does not exist on this worker"),
        (["/tmp"], "/tmp is no program"),
    ],
)
def test_b34_a_command_that_cannot_be_started_is_told_before(
    command: list[str], why: str, tmp_path: Path
) -> None:
    with pytest.raises(CannotPrepare, match=why):
        Shell(ENVIRON).prepare(request(None, command=command), tmp_path)
