"""Who may run a task as whom, and that the account can reach what is its own and nothing else."""

import os
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stenella.protocol.launch import CannotPrepare
from stenella.tasks import run_as
from stenella.tasks.shell import Shell

from .attempts import ENVIRON, launched, request

pytestmark = pytest.mark.live
of_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
ME = pwd.getpwuid(os.geteuid()).pw_name


def test_an_account_that_is_not_allowed_is_refused_naming_the_setting() -> None:
    with pytest.raises(CannotPrepare, match=r"worker\.run_as_allowed names no account"):
        run_as.account("nobody", ())
    with pytest.raises(CannotPrepare, match=r"worker\.run_as_allowed names bob, eve"):
        run_as.account("nobody", ("bob", "eve"))


def test_an_account_that_does_not_exist_is_not_made() -> None:
    with pytest.raises(CannotPrepare, match="there is no account bob-who-is-not"):
        run_as.account("bob-who-is-not", ("bob-who-is-not",))


def test_the_workers_own_account_needs_nothing() -> None:
    assert run_as.account(ME, (ME,)) is None


def test_a_worker_that_is_not_root_cannot_become_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)

    with pytest.raises(CannotPrepare, match=r"only a worker that runs as root can .* as nobody"):
        run_as.account("nobody", ("nobody",))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An attempt's folder below one that others may pass through; pytest's own are closed."""
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o711)
    monkeypatch.setattr(run_as, "FOLDERS", tmp_path / "as")
    return tmp_path / "as" / "c.w.5"


def run(folder: Path, log: Path, script: str, **fields: Any) -> str:
    """Performed as a worker and its warden do."""
    asked = request(script, **fields)
    account = run_as.account("nobody", ("nobody",))
    assert account is not None
    run_as.make_folder(folder)
    launch = launched(Shell(ENVIRON), asked, folder)
    run_as.hand_over(folder, log, account)
    launch = run_as.as_account(launch, account, asked)
    assert launch.traces is None  # they would be in a folder of that account's
    with log.open("ab") as out:
        done = subprocess.run(
            launch.argv, env=launch.env, cwd=launch.cwd, stdout=out, stderr=out, check=False
        )
    assert done.returncode == 0, log.read_text()
    return log.read_text()


@of_root
def test_the_task_is_that_account_with_its_groups_and_home(folder: Path, tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    script = "echo $(id -u) $(id -g) $(id -G) $USER $HOME; grep CapEff /proc/self/status; pwd"

    said = run(folder, tmp_path / "log", script).split()

    groups = " ".join(map(str, os.getgrouplist("nobody", nobody.pw_gid)))
    who = f"{nobody.pw_uid} {nobody.pw_gid} {groups} nobody {nobody.pw_dir}"
    assert " ".join(said) == f"{who} CapEff: 0000000000000000 {folder}"


@of_root
def test_it_may_write_its_folder_outputs_and_log_and_not_the_home(
    folder: Path, tmp_path: Path
) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    script = (
        "touch made; echo a=1 >> $STENELLA_OUTPUT; echo seen >> /dev/stdout\n"
        f"ls {closed} 2>&1 || true; kill -0 {os.getpid()} 2>&1 || true"
    )

    said = run(folder, tmp_path / "log", script)

    assert said.startswith("seen\n")
    assert said.lower().count("permission denied") == 1
    assert said.lower().count("not permitted") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["made", "output", "script"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o711


@of_root
def test_a_home_that_env_gives_wins(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "log", "echo $HOME", env={"HOME": "/there"}) == "/there\n"


@of_root
def test_a_folder_that_somebody_else_made_is_not_trusted(folder: Path) -> None:
    folder.parent.mkdir()
    folder.parent.chmod(0o777)

    with pytest.raises(CannotPrepare, match="is not this worker's alone"):
        run_as.make_folder(folder)
