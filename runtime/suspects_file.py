"""``run/suspects``: what may have crashed a node, one line for each suspect of each crash."""

import logging
import os
from pathlib import Path

import msgspec

from ..actors.suspects import Suspect

log = logging.getLogger(__name__)

#: Of one crash, the newest suspects first; the oldest of a long window are the least likely.
BYTES_MAX = 8 * 1024 * 1024
_suspect = msgspec.json.Decoder(Suspect)


def append(path: Path, suspects: list[Suspect]) -> None:
    """Write down whom a crash may be due to; a disk that refuses only costs the quarantine."""
    lines, size = [], 0
    for suspect in reversed(suspects):
        line = msgspec.json.encode(suspect) + b"\n"
        size += len(line)
        if size > BYTES_MAX:
            break
        lines.append(line)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b"".join(lines))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.error("cannot write down what crashed this node path=%s error=%s", path, error)


def read(path: Path) -> list[Suspect]:
    """All suspects of former lives since the last `clear`; a torn line is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(_suspect.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return found


def keep(path: Path, suspects: list[Suspect]) -> None:
    """Replace the file by these; without any it goes."""
    if not suspects:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(b"".join(msgspec.json.encode(suspect) + b"\n" for suspect in suspects))
    fresh.replace(path)
