"""What holds for all tests: no setting of the caller's reaches them, and the option ``--seeds``."""

import os
import signal

import pytest

#: Where published traces lie, for tests/client/test_wfformat.py; no setting of the program's.
_OF_TESTS = "STENELLA_WFFORMAT_DIR"
for _name in [name for name in os.environ if name.startswith("STENELLA_")]:
    if _name != _OF_TESTS:
        del os.environ[_name]

# As at a terminal: what a shell puts in the background is started with interrupts ignored, what
# nohup starts with hangups, and so would be the programs that tests interrupt and hang up.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seeds",
        type=int,
        default=300,
        metavar="N",
        help="how many seeds the simulation plays (default: %(default)s)",
    )
