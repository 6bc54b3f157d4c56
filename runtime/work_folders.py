"""The attempts' working folders: made, given to a later attempt, removed.

To make and to remove folder and file are the dearest calls of a short task: measured 150 µs each to
make them where as many are removed (ext4 looks at each inode that became free lately), and up to
0.7 ms to remove a folder where free blocks are told to the disk at once (mount option discard). So
a folder that an attempt left as it got it goes to a later one, if the attempt was brief.

`make` and `clear` are for file threads, several of which may be in them at the same time.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from ..tasks.traces import OUTPUT_FILE

#: Some tenths of a second of the shortest tasks; each takes a block of the disk.
SPARE_MAX = 256
#: What is left of a file, for ext4's sake (as in `tasks.shell.write_script`).
LEFT_BYTES = 1
FOLDER_MODE = stat.S_IFDIR | 0o700
FILE_MODE = stat.S_IFREG | 0o700
#: The only extended attribute that one given on may have (an ACL is one): where the system labels
#: files, all have it.
LABEL = "security.selinux"
#: Begins the name of what is to be removed: numbers begin again with a new database.
FORMER = "former."

Files = tuple[str, ...]


class WorkFolders:
    """The folders below ``root``, one per attempt, by dispatch_id.

    A spare one is empty but for the files that its next attempt's preparation writes anew; their
    contents are gone. It is only given on if nothing else is in it and nothing about it changed.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._uid = os.geteuid()
        self._files: dict[int, Files] = {}  # of the attempts of this life, as `make` was told
        self._spare: dict[Files, list[str]] = {}  # by what is in them
        self._taken = False  # a spare one, since `idle` was asked last

    def knows(self, dispatch_id: int) -> bool:
        """Whether this life made its folder."""
        return dispatch_id in self._files

    def path(self, dispatch_id: int) -> str:
        """Where the attempt's folder is, or will be."""
        return f"{self.root}/{dispatch_id}"

    def make(self, dispatch_id: int, files: Files) -> None:
        """An attempt's folder, empty but perhaps for ``files``: what its preparation writes anew.

        If it is there it stays as it is: preparing is repeatable.
        """
        self._files[dispatch_id] = files
        path, spare = self.path(dispatch_id), self._spare.get(files)
        while spare:
            try:
                os.rename(spare.pop(), path)
            except (FileNotFoundError, IndexError):
                continue  # somebody else has removed it, or taken it
            except OSError:
                break  # ours is there, or the disk refuses
            self._taken = True
            return
        os.makedirs(path, mode=0o700, exist_ok=True)

    def clear(self, dispatch_id: int, *, brief: bool) -> None:
        """The attempt is over for good: keep its folder for another, or remove it.

        Only that of a ``brief`` one is kept: what a longer one had others start may be in it.
        """
        path, files = self.path(dispatch_id), self._files.pop(dispatch_id, None)
        if not brief or files is None or not self._keep(path, files):
            remove(path)

    def _keep(self, path: str, files: Files) -> bool:
        spare = self._spare.setdefault(files, [])
        if len(spare) >= SPARE_MAX or not self._restore(path, files):
            return False
        spare.append(path)
        return True

    def _restore(self, path: str, files: Files) -> bool:
        """Whether it is again as an attempt may get it."""
        try:
            if not self._is_ours(path, FOLDER_MODE):
                return False
            left = os.listdir(path)
            if OUTPUT_FILE in left:
                os.unlink(f"{path}/{OUTPUT_FILE}")
                left.remove(OUTPUT_FILE)
            if sorted(left) != sorted(files):
                return False
            for name in files:
                if not self._is_ours(f"{path}/{name}", FILE_MODE):
                    return False
                os.truncate(f"{path}/{name}", LEFT_BYTES)
        except OSError:
            return False
        return True

    def _is_ours(self, path: str, mode: int) -> bool:
        """Not a link, of no other name, and neither owner nor rights are changed."""
        found = os.lstat(path)
        links = found.st_nlink == 1 or mode == FOLDER_MODE
        if found.st_mode != mode or found.st_uid != self._uid or not links:
            return False
        return os.listxattr(path, follow_symlinks=False) in ([], [LABEL])

    def idle(self) -> list[str]:
        """Spare folders, now to be removed, if nobody wanted one since this was last asked."""
        taken, self._taken = self._taken, False
        return [] if taken else self.spares()

    def spares(self) -> list[str]:
        """All spare folders, now to be removed."""
        paths = []
        for spare in list(self._spare.values()):
            with suppress(IndexError):  # `make` may take the last one meanwhile
                while True:
                    paths.append(spare.pop())
        return paths

    def strange(self, known: Collection[int]) -> list[str]:
        """What a former life left and nobody knows, to be removed; asked before any is made.

        It gets out of the way at once: with a new database numbers begin again, and what is
        removed slowly must not be another attempt's by then.
        """
        names = {str(dispatch_id) for dispatch_id in known}
        aside = f"{self.root}/{FORMER}{secrets.token_hex(4)}."
        paths = []
        for name in os.listdir(self.root):
            path = f"{self.root}/{name}"
            if name in names:
                continue
            if not name.startswith(FORMER):
                with suppress(OSError):
                    os.rename(path, aside + name)
                    path = aside + name
            paths.append(path)
        return paths


def remove(path: str) -> None:
    """A folder and all in it, as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)
