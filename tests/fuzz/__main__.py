"""``python -m tests.fuzz COUNT [SEED]``: feed a master so many frames; figures as one JSON line."""

import json
import logging
import os
import sys
import time

from .intake import feed


def rss_kb() -> int:
    """Resident memory now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main(count: int, seed: int) -> None:
    """Feed, measure, tell."""
    logging.disable()
    started_s = time.monotonic()
    rss: dict[int, int] = {}

    def each(done: int) -> None:
        if done * 10 % count == 0:
            rss[done] = rss_kb()

    intake = feed(count, seed, each)
    wire = intake.node.turn.wire
    figures = {
        "frames": count,
        "seed": seed,
        "seconds": round(time.monotonic() - started_s, 1),
        "frames_taken": wire.handled,
        "rejected": wire.rejected,
        "answers": intake.posted,
        "rss_kb": rss,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
