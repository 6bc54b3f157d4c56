"""Scripts that the system could not start: cause and mend are told before it refuses (B34)."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stenella.protocol.launch import CannotPrepare
from stenella.tasks.first_line import interpreter_of, require_executable
from stenella.tasks.shell import Shell

from .attempts import ENVIRON, request

PATH = ENVIRON["PATH"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("#!/no/such/interpreter -x\n", "'/no/such/interpreter', which does not exist .* install"),
        ("#! /no/such\n", "'/no/such', which does not exist"),
        ("#!python3\n", "a whole path: #!/usr/bin/env python3"),
        ("#!/etc/passwd\n", "'/etc/passwd', which may not be executed .* chmod"),
        ("#!/tmp\n", "'/tmp', which may not be executed"),
        ("#!/usr/bin/env pyhton3\nprint()", "env for 'pyhton3', which is not in the PATH"),
        ("#!/usr/bin/env -S pyhton3 -u\n", "env for 'pyhton3'"),
        ("#!/usr/bin/env -S A=1 pyhton3 -u\n", "env for 'pyhton3'"),
        ("#!/usr/bin/env python3 -u\n", "write #!/usr/bin/env -S python3 -u"),
        ("#!/bin/sh\r\necho\r\n", "as Windows writes them: store it with Unix line ends"),
        ("#!/usr/bin/env sh\r\n", "Unix line ends"),
        ("cd /tmp\r\nls\r\n", "Unix line ends"),
        ("\ufeff#!/bin/sh\necho\n", "byte order mark"),
        ("\ufeffecho\n", "byte order mark"),
    ],
)
def test_b34_what_the_system_would_refuse_names_cause_and_mend(
    tmp_path: Path, script: str, says: str
) -> None:
    with pytest.raises(CannotPrepare, match=says):
        Shell(ENVIRON).prepare(request(script), tmp_path / "work")


@pytest.mark.parametrize(
    ("script", "interpreter"),
    [
        ("echo 1", None),
        ("#!\necho 1", None),
        ("# a comment\n", None),
        ("printf 'a\r\n'\r\necho mixed\n", None),
        ("echo a\r", "refused"),
        ("#!/bin/sh", "/bin/sh"),
        ("#!/bin/sh -e\n", "/bin/sh"),
        ("#!\t/bin/sh\n", "/bin/sh"),
        ("#!/usr/bin/env sh\n", "/usr/bin/env"),
        ("#!/usr/bin/env -S sh -e\n", "/usr/bin/env"),
        ("#!/usr/bin/env -i /bin/sh\n", "/usr/bin/env"),
    ],
)
def test_what_the_system_takes_is_taken(script: str, interpreter: str | None) -> None:
    if interpreter == "refused":
        with pytest.raises(CannotPrepare):
            interpreter_of(script, "/", PATH)
    else:
        assert interpreter_of(script, "/", PATH) == interpreter


def test_a_relative_interpreter_is_looked_for_where_the_script_runs(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("/bin/sh")

    assert interpreter_of("#!./run\n", str(tmp_path), PATH) == "./run"


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A folder on a mount without exec, where this user may make one."""
    place = tmp_path / "mounted"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,size=64k", "none", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_b34_a_mount_with_noexec_is_named(noexec: Path) -> None:
    with pytest.raises(CannotPrepare, match="mounted with noexec"):
        Shell(ENVIRON).prepare(request("#!/bin/sh\n"), noexec / "work")


def test_b34_a_file_that_may_be_executed_is_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.touch(mode=0o700)

    require_executable(file)
