"""What crosses between the hub and native threads."""

import subprocess
import sys
from pathlib import Path

import pytest

RAISES = """
import sys
from gevent.threadpool import ThreadPool
from stenella.runtime.node import in_pool

def fails():
    raise OSError(28, "No space left on device")

try:
    in_pool(ThreadPool(1), fails)
except OSError as error:
    sys.stdout.write(f"heard {error.errno}")
"""


@pytest.mark.slow
def test_an_error_on_a_native_thread_is_heard_also_when_nothing_can_be_written() -> None:
    """gevent prints such an error before it tells it; on a full disk the node hung for good."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", RAISES],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=20,
            check=True,
        )

    assert done.stdout == b"heard 28"
