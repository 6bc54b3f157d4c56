"""python -m tests.work            counts, and says what has become more or less
python -m tests.work --update   writes the baseline anew: commit it with the change it belongs to
"""

import sys

from . import baseline


def main(arguments: list[str]) -> int:
    """Exit code 1: something has grown."""
    counted = baseline.counted()
    if arguments == ["--update"]:
        baseline.write(counted)
        return 0
    assert not arguments, __doc__
    known = baseline.read()
    for line in baseline.changes(known, counted):
        sys.stdout.write(f"{line}\n")
    return int(bool(baseline.grown(known, counted)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
