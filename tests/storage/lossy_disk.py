"""A disk that forgets: a VFS under SQLite that knows which bytes were synced.

SQLite's own file layer does the real work on real files; beside it each write is kept until the
sync that makes it durable. At the cut, in the midst of SQLite's work, the disk goes deaf; what
SQLite believes to do afterwards counts for nothing. `Disk.after_cut` writes what a real disk might
hold: everything synced, and of the rest some writes, in any selection, some of them torn. The
tests' own SQLite is apsw's, not the standard library's; the SQL, the transactions and the settings
are the product's.
"""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw

NAME = "lossy"
SECTOR = 512  # what a disk writes whole or not at all
#: Chance of an unsynced write to have reached the disk: none, some, all.
SURVIVAL = (0.0, 0.3, 0.7, 1.0)


class Contents:
    """One file: what is durable, and what was written since."""

    def __init__(self, durable: bytes) -> None:
        self.durable = bytearray(durable)
        self.pending: list[tuple[int, bytes | None]] = []  # offset, data; None: cut off there

    def sync(self) -> None:
        for write in self.pending:
            apply(self.durable, write)
        self.pending = []


def apply(image: bytearray, write: tuple[int, bytes | None]) -> None:
    """Perform one write, or a truncation."""
    offset, data = write
    if data is None:
        del image[offset:]
        return
    if len(image) < offset:
        image += bytes(offset - len(image))
    image[offset : offset + len(data)] = data


class Disk(apsw.VFS):
    """All files of one machine; ``cut_at``: the write or sync at which the power goes."""

    def __init__(self) -> None:
        self.files: dict[str, Contents] = {}
        self.operations = 0
        self.cut_at: int | None = None
        self.is_off = False
        super().__init__(NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> "File":  # noqa: N802 - apsw's name
        return File(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        if not self.is_off:
            self.files.pop(name, None)
        super().xDelete(name, sync_folder)

    def hears(self) -> bool:
        """Before each write and sync: whether the power is still there."""
        self.operations += 1
        if self.cut_at is not None and self.operations >= self.cut_at:
            self.is_off = True
        return not self.is_off

    def after_cut(self, folder: Path, seed: int) -> None:
        """Write into ``folder`` what the disk holds when the power is back."""
        chance = random.Random(seed)
        for name, contents in self.files.items():
            image, survival = bytearray(contents.durable), chance.choice(SURVIVAL)
            for write in contents.pending:
                if chance.random() < survival:
                    apply(image, self._torn(write, chance))
            (folder / Path(name).name).write_bytes(image)

    def after_kill(self, folder: Path) -> None:
        """The same for the death of the process: the system still writes what it was given."""
        for name, contents in self.files.items():
            contents.sync()
            (folder / Path(name).name).write_bytes(contents.durable)

    def _torn(
        self, write: tuple[int, bytes | None], chance: random.Random
    ) -> tuple[int, bytes | None]:
        offset, data = write
        if data is None or chance.random() > 0.2:
            return write
        return offset, data[: chance.randrange(len(data) // SECTOR + 1) * SECTOR]


class File(apsw.VFSFile):
    """A file of SQLite's; what is no database and no log is not watched."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self.disk = disk
        self.contents: Contents | None = None
        if path:
            found = Path(path)
            durable = found.read_bytes() if found.exists() else b""
            self.contents = disk.files.setdefault(path, Contents(durable))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.contents is not None and self.disk.hears():
            self.contents.pending.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if self.contents is not None and self.disk.hears():
            self.contents.pending.append((size, None))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self.contents is not None and self.disk.hears():
            self.contents.sync()  # the real file beneath is nobody's: no need to wait for it


class Cursor:
    """A result as sqlite3 has it."""

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self.rows, self.rowcount = rows, rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None


class Connection:
    """What the product's journals ask of sqlite3's connection, over apsw's."""

    def __init__(self, path: Path) -> None:
        self.apsw = apsw.Connection(str(path), vfs=NAME)

    @property
    def in_transaction(self) -> bool:
        return self.apsw.in_transaction

    def execute(self, sql: str, values: Iterable[Any] = ()) -> Cursor:
        before = self.apsw.total_changes()
        rows = list(self.apsw.execute(sql, tuple(values)))
        return Cursor(rows, self.apsw.total_changes() - before)

    def executemany(self, sql: str, many: Iterable[Iterable[Any]]) -> Cursor:
        before = self.apsw.total_changes()
        for _ in self.apsw.executemany(sql, [tuple(values) for values in many]):
            pass
        return Cursor([], self.apsw.total_changes() - before)

    def close(self) -> None:
        self.apsw.close(True)
