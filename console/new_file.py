"""Files that a command writes for a person: never over one that is there."""

import os
from pathlib import Path

from ..protocol.errors import NotAllowed, NotFound, RefusedInState, Usage

MODE = 0o644


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises what stands in the way, with the mend."""
    try:
        data = text.encode()
    except UnicodeEncodeError:  # it names itself, and an argument may be any bytes
        raise Usage(f"{path} would hold what is no UTF-8: give it another name") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        raise RefusedInState(f"{path} is there already; name another file") from None
    except FileNotFoundError:
        raise NotFound(f"there is no folder {path.parent}: mkdir -p {path.parent}") from None
    except OSError as error:
        raise NotAllowed(f"{path} cannot be written: {error.strerror}") from error
    try:
        with open(descriptor, "wb") as opened:
            opened.write(data)
    except OSError as error:
        path.unlink()
        raise RefusedInState(f"{path} cannot be written: {error.strerror}") from error
