"""What the warden does with logs: it bounds one by a hole in its middle, and sees if any is empty.

While its task writes, what lies between a log's head and tail is given back to the file system: the
file stays as long as it was and takes no more disk than its limit. Readers, and the cut at the end:
`home/logs.py`.
"""

import ctypes
import os
import stat

BLOCK_BYTES = 4096
KEEP_SIZE, PUNCH_HOLE = 1, 2  # fallocate(2)

_fallocate = ctypes.CDLL(None).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def are_empty(paths: list[str] | None) -> bool:
    """Whether none of these files has anything in it; False where that cannot be told.

    Another version's worker may have named something else than files.
    """
    if paths is None:
        return False
    for path in paths:
        try:
            found = os.lstat(path)
            if found.st_size or found.st_nlink > 1 or not stat.S_ISREG(found.st_mode):
                return False
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError):
            return False
    return True


def cap(path: str, limit: int) -> bool:
    """Make a hole if the log takes more disk than ``limit``. False: it could not be made.

    The head is the first half of ``limit``, as `home/logs.py` has it.
    """
    try:
        found = os.stat(path)
        if found.st_blocks * 512 <= limit + BLOCK_BYTES:
            return True
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        begin = limit // 2 // BLOCK_BYTES * BLOCK_BYTES
        end = (found.st_size - (limit - begin)) // BLOCK_BYTES * BLOCK_BYTES
        return end <= begin or _fallocate(fd, PUNCH_HOLE | KEEP_SIZE, begin, end - begin) == 0
    finally:
        os.close(fd)
