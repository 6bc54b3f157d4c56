"""The task type ``python``: which interpreter runs what, and what it can be told before."""

import os
import sys
from pathlib import Path

import pytest

from stenella.protocol.launch import CannotPrepare
from stenella.tasks.python import Python

from .attempts import ENVIRON, attempt, launched, request

pytestmark = pytest.mark.live


def test_a_script_runs_in_the_workers_own_interpreter_with_its_packages(tmp_path: Path) -> None:
    script = "import sys, msgspec, os\nprint(sys.executable, os.getcwd(), __name__)\n"

    code, log, _ = attempt(Python(ENVIRON), request(script, task_type="python"), tmp_path)

    assert (code, log) == (0, f"{sys.executable} {tmp_path / 'work'} __main__\n")


def test_it_reads_nothing_but_the_log_and_the_output_file(tmp_path: Path) -> None:
    launch = launched(Python(ENVIRON), request("", task_type="python"), tmp_path)

    assert launch.traces == [launch.env["STENELLA_OUTPUT"]]


def test_outputs_and_parameters_are_those_of_any_task(tmp_path: Path) -> None:
    script = (
        "import json, os\n"
        "with open(os.environ['STENELLA_OUTPUT'], 'a') as out:\n"
        "    out.write(json.dumps({'rows': int(os.environ['limit']) + 1}))\n"
    )
    asked = request(script, params={"limit": 41}, required=["rows"])

    _, _, collection = attempt(Python(ENVIRON), asked, tmp_path)

    assert collection.outputs == {"rows": 42}


def test_what_is_printed_is_in_the_log_at_once_unless_env_says_otherwise(tmp_path: Path) -> None:
    kind = Python(ENVIRON)

    env = launched(kind, request("pass"), tmp_path).env
    own = launched(kind, request("pass", env={"PYTHONUNBUFFERED": ""}), tmp_path).env

    assert (env["PYTHONUNBUFFERED"], own["PYTHONUNBUFFERED"]) == ("1", "")


def test_a_file_is_relative_to_the_folder_of_submission(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import beside\nprint(beside.WORD)\n")
    (tmp_path / "beside.py").write_text("WORD = 'found'\n")
    asked = request(None, file="job.py", submit_dir=str(tmp_path))

    code, log, _ = attempt(Python(ENVIRON), asked, tmp_path)

    assert (code, log) == (0, "found\n")


def test_another_interpreter_is_a_path_or_a_name_in_the_workers_path(tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "python9"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho fake $(basename $1)\n")
    fake.chmod(0o755)
    environ = ENVIRON | {"PATH": f"{fake.parent}:/usr/bin:/bin"}

    for python in (str(fake), "python9", "bin/python9"):
        asked = request("pass", python=python, submit_dir=str(tmp_path))
        code, log, _ = attempt(Python(environ), asked, tmp_path)
        assert (code, log) == (0, "fake script.py\n")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"python": "python9.99"}, "there is no program 'python9.99' in the worker's PATH"),
        ({"python": "/no/python"}, "/no/python does not exist on this worker"),
        ({"script": None, "file": "/no/job.py"}, "the file /no/job.py does not exist"),
        ({"script": None, "file": "job.py"}, "file: job.py is relative, and nobody said"),
        ({"script": None}, "has neither script nor file"),
        ({"working_dir": "/no/folder"}, "the working folder /no/folder does not exist"),
    ],
)
def test_what_cannot_be_started_is_told_before(
    fields: dict[str, str | None], why: str, tmp_path: Path
) -> None:
    with pytest.raises(CannotPrepare, match=why):
        Python(ENVIRON).prepare(request(**{"script": "pass"} | fields), tmp_path)


def test_preparing_again_comes_to_the_same_end(tmp_path: Path) -> None:
    kind, asked = Python(os.environ), request("print(1)")

    assert launched(kind, asked, tmp_path) == launched(kind, asked, tmp_path)
