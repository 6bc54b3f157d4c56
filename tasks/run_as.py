"""Running a task as another account: who may be whom, and the folder that both can reach.

A worker of root starts it through ``setpriv`` (util-linux), which changes user, group and groups
and then becomes the task: no process more, about a millisecond. The home is closed to all others,
so the attempt's folder lies outside of it, and belongs to the account once it is filled.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from ..protocol.commands import TaskExecuteRequest
from ..protocol.launch import CannotPrepare, Launch
from .environment import PATH_DEFAULT

#: Others may pass through it to what is theirs, and see nothing. Not below /tmp, which is memory on
#: some systems.
FOLDERS = Path("/var/tmp/stenella-run-as")
PASSABLE_MODE = 0o711
SETPRIV = "setpriv"


def account(user: str, allowed: Collection[str]) -> pwd.struct_passwd | None:
    """Whom to become; None: it is this process's own account already.

    Raises `CannotPrepare` if the settings, the machine, or the rights of this process forbid it.
    """
    if user not in allowed:
        named = ", ".join(allowed) or "no account"
        raise CannotPrepare(
            f"this worker may not run tasks as {user}: its worker.run_as_allowed names {named}"
        )
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise CannotPrepare(
            f"there is no account {user} on this worker, and none is made"
        ) from None
    if found.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise CannotPrepare(
            f"only a worker that runs as root can run a task as {user};"
            f" this one runs as {own_name()}"
        )
    if shutil.which(SETPRIV, path=PATH_DEFAULT) is None:
        raise CannotPrepare(f"run_as needs the program {SETPRIV} of util-linux on this worker")
    return found


def own_name() -> str:
    """The account of this process."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def make_folder(folder: Path) -> None:
    """An empty folder for an attempt, still closed to its account. Raises `CannotPrepare`."""
    try:
        FOLDERS.mkdir(mode=PASSABLE_MODE)
        FOLDERS.chmod(PASSABLE_MODE)
    except FileExistsError:
        pass
    except OSError as error:
        raise CannotPrepare(f"{FOLDERS} cannot be made: {error.strerror}") from error
    found = FOLDERS.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not is_ours or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CannotPrepare(f"{FOLDERS} is not this worker's alone: remove it")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def hand_over(folder: Path, log: Path, to: pwd.struct_passwd) -> None:
    """Give the filled folder and the log to the account: the folder last, so that it comes late."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.chown(os.path.join(parent, name), to.pw_uid, to.pw_gid, follow_symlinks=False)
    os.chown(folder, to.pw_uid, to.pw_gid, follow_symlinks=False)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    opened = os.open(log, flags, 0o600)
    try:
        os.fchown(opened, to.pw_uid, to.pw_gid)  # or /dev/stdout would be closed to it
    finally:
        os.close(opened)


def as_account(launch: Launch, to: pwd.struct_passwd, request: TaskExecuteRequest) -> Launch:
    """The process as that account, with its HOME and USER unless the task has its own.

    Its traces are in a folder of that account's, where a warden, which must not wait, has no
    business: it might be a mount of theirs.
    """
    setpriv = str(shutil.which(SETPRIV, path=PATH_DEFAULT))
    change = [f"--reuid={to.pw_uid}", f"--regid={to.pw_gid}", "--init-groups", "--"]
    whose = {"HOME": to.pw_dir, "USER": to.pw_name, "LOGNAME": to.pw_name}
    own = {name: value for name, value in whose.items() if name not in request.env}
    return Launch([setpriv, *change, *launch.argv], launch.env | own, launch.cwd)
