"""Where things are in a home, and the check that nobody else can reach them."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..protocol.errors import NotAllowed
from .files import PRIVATE_FOLDER_MODE

DEFAULT_HOME = "~/.stenella"
#: Any of these bits lets somebody else in.
OTHERS_MODE = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class WorkerHome:
    """The part of a home that belongs to one worker; its process holds `lock` while it lives."""

    number: int  # from 1
    folder: Path

    @property
    def name(self) -> str:
        """The worker's name in its key, its frames and the database."""
        return f"worker-{self.number}"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    @property
    def warden_log(self) -> Path:
        return self.folder / "warden.log"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def suspects(self) -> Path:
        """What may have crashed it."""
        return self.folder / "suspects"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def create(self) -> None:
        """Make the worker's folders, mode 0700; harmless when they are there."""
        for folder in (self.folder, self.work, self.logs):
            folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Home:
    """The places of one cluster's files below `root`, an absolute path."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "stenella.db"

    @property
    def conf(self) -> Path:
        return self.root / "conf.toml"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def supervisor_lock(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def master_lock(self) -> Path:
        return self.run / "master.lock"

    @property
    def endpoints_file(self) -> Path:
        return self.run / "endpoints.json"

    @property
    def ports_file(self) -> Path:
        """The ports taken last, kept when the endpoints are gone."""
        return self.run / "ports.json"

    @property
    def desired_file(self) -> Path:
        return self.run / "desired.json"

    @property
    def suspects(self) -> Path:
        """What may have crashed the master."""
        return self.run / "suspects"

    @property
    def workers(self) -> Path:
        return self.root / "workers"

    def worker(self, number: int) -> WorkerHome:
        """The folder of worker ``number``, from 1."""
        assert number >= 1, number
        return WorkerHome(number, self.workers / str(number))


def open_home(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Home:
    """The home at ``path``, else $STENELLA_HOME, else ~/.stenella; made with mode 0700 if absent.

    Raises `NotAllowed` if it cannot be made, is not writable, or others have access to it.
    """
    home = Home(home_path(path, environ))
    try:
        for folder in (home.root, home.keys, home.run, home.workers):
            folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
            require_private(folder)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                raise NotAllowed(
                    f"the home {folder} is not writable: chmod 700 {folder} as its owner, "
                    "or set STENELLA_HOME to a folder of your own"
                )
    except OSError as error:
        raise NotAllowed(
            f"the home {home.root} cannot be used: {error.strerror}: "
            "set STENELLA_HOME to a folder that you may write"
        ) from error
    return home


def find_home(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Home | None:
    """Like `open_home` for readers: makes nothing, None if there is none.

    Raises `NotAllowed` if it is no folder, or if others have access to it or we have none.
    """
    home = Home(home_path(path, environ))
    try:
        if not home.root.exists():
            return None
        if not home.root.is_dir():
            raise NotAllowed(
                f"the home {home.root} is no folder: set STENELLA_HOME to a folder of your own"
            )
        require_private(home.root)
    except OSError as error:
        raise NotAllowed(
            f"the home {home.root} cannot be read: {error.strerror}: "
            "set STENELLA_HOME to a folder of your own"
        ) from error
    return home


def require_private(path: Path) -> None:
    """Raises `NotAllowed` if group or others may do anything with ``path``."""
    found = path.stat().st_mode
    if found & OTHERS_MODE:
        mode = "700" if stat.S_ISDIR(found) else "600"
        raise NotAllowed(
            f"{path} is open to other users (mode {stat.S_IMODE(found):o}): chmod {mode} {path}"
        )


def home_path(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a home is or would be: ``path``, else $STENELLA_HOME, else ~/.stenella; absolute."""
    chosen = path or Path(environ.get("STENELLA_HOME") or DEFAULT_HOME)
    try:
        return chosen.expanduser().absolute()
    except RuntimeError as error:
        raise NotAllowed(
            f"no home folder for {chosen}: set STENELLA_HOME to a folder that you may write"
        ) from error
