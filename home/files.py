"""Small files that are either there whole or not there, whatever dies in between."""

import os
from pathlib import Path

#: Owner only: whoever reads a key or an endpoint of a home can run programs as its owner.
PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, mode 0600, synced; a reader sees the old file or the new one."""
    temporary = _write_beside(path, data)
    os.replace(temporary, path)
    _sync_folder(path.parent)


def create(path: Path, data: bytes) -> bool:
    """Put ``data`` at ``path`` unless a file is there; of several at once exactly one gets True."""
    temporary = _write_beside(path, data)
    try:
        os.link(temporary, path)  # unlike a rename it never replaces what another process made
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _sync_folder(path.parent)
    return True


def _write_beside(path: Path, data: bytes) -> Path:
    """A synced temporary file in the same folder, mode 0600.

    Not by tempfile: with what that imports it would be a tenth of what `stenella ls` takes.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, PRIVATE_FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
