"""The processes of a home, without the command line: what `up` and its supervisor start.

``python -m stenella.runtime.process`` and one of::

    supervisor WORKERS [SLOTS]      keeps the home up
    embedded                        the same, with the workers it had last, until nobody uses it
    master [LINGER_S]               leaves with the supervisor, or when nobody used it for so long
    worker NUMBER [SLOTS]           leaves with the supervisor

They sleep most of their lives, so each loads what it is made of and nothing else: the command line
and what it would bring are 3 MB for each of them. The home is $STENELLA_HOME.
"""

import os
import sys

from ..home.layout import Home, open_home
from ..protocol.errors import StenellaError

#: What is started, with its words behind it; the supervisor and `up` do it.
#: -P: nothing in the folder we happen to be in may be taken for a library.
PROGRAM = (sys.executable, "-P", "-m", "stenella.runtime.process")
#: Without live instance and client: long enough for `run; show; logs`.
EMBEDDED_LINGER_S = 2.0


def main(words: list[str]) -> int:
    """Be what ``words`` say; the exit code. What a person can mend is one line, said last."""
    try:
        home = open_home()
        match words:
            case ["supervisor", workers, *slots]:
                return _supervise(home, int(workers), *map(int, slots))
            case ["embedded"]:
                return _embed(home)
            case ["master", *linger_s]:
                return _master(home, *map(float, linger_s))
            case ["worker", number, *slots]:
                return _worker(home, int(number), *map(int, slots))
            case _:
                raise AssertionError(words)
    except StenellaError as error:
        _say(f"stenella: {error.message}")
        return error.exit_code


def _supervise(home: Home, workers: int, slots: int | None = None) -> int:
    from . import supervisor

    desired = supervisor.Desired(workers, slots)
    if supervisor.ask_for(home, desired):
        return 0  # another one was first
    return supervisor.run(home, desired, None, _say)


def _embed(home: Home) -> int:
    from . import supervisor

    desired = supervisor.Desired(supervisor.remembered_workers(home))
    return supervisor.run(home, desired, EMBEDDED_LINGER_S, _say)


def _master(home: Home, linger_s: float | None = None) -> int:
    from ..home import settings
    from . import master_node
    from .node import log_to_stderr

    log_to_stderr()
    return master_node.run_master(home, settings.load(home), linger_s, supervised=True)


def _worker(home: Home, number: int, slots: int | None = None) -> int:
    from ..home import settings
    from . import worker_node
    from .node import EXIT_AGAIN, log_to_stderr

    log_to_stderr()
    chosen = settings.load(home)
    code = worker_node.run_worker(home, chosen, number, slots, (), supervised=True)
    if code == EXIT_AGAIN:  # `worker restart`: the same process, the program anew
        os.execv(sys.executable, [*PROGRAM, "worker", *sys.argv[2:]])
    return code


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
