"""`make chaos`: a real cluster under torment for as long as is asked, and the verdict."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from .run import chaos

TASKS_PER_MINUTE = 667  # 2,000 in three minutes


def main() -> int:
    """Print one JSON document; 1 where a promise was broken (the folder is kept then)."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--tasks", type=int, help="else 2,000 for each three minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    tasks = chosen.tasks or round(chosen.minutes * TASKS_PER_MINUTE)
    folder = Path(tempfile.mkdtemp(prefix="stenella-chaos-"))
    sys.stderr.write(f"seed {chosen.seed}, in {folder}\n")
    outcome = chaos(
        folder,
        seconds=60 * chosen.minutes,
        tasks=tasks,
        workers=chosen.workers,
        seed=chosen.seed,
    )
    document = {"seed": chosen.seed} | msgspec.to_builtins(outcome)
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    return 0


sys.exit(main())
