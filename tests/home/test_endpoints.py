"""Where the master is, and the ports it takes again."""

from pathlib import Path

import pytest

from stenella.home import endpoints
from stenella.home.endpoints import MasterEndpoints, Ports, to_try
from stenella.home.layout import Home, open_home

MASTER = MasterEndpoints(
    id=1,
    pid=4711,
    client="tcp://127.0.0.1:41001",
    worker="tcp://127.0.0.1:41002",
    server_key="k" * 40,
    cluster="00ff",
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def test_what_a_master_writes_is_read(home: Home) -> None:
    endpoints.write(home, MASTER)

    assert endpoints.read(home) == MASTER


def test_a_fresh_home_has_neither_endpoints_nor_ports(home: Home) -> None:
    assert endpoints.read(home) is None
    assert endpoints.remembered(home) is None


def test_a_master_that_left_is_not_found_and_its_ports_are_remembered(home: Home) -> None:
    endpoints.write(home, MASTER)
    endpoints.remove(home)
    endpoints.remove(home)

    assert endpoints.read(home) is None
    assert endpoints.remembered(home) == Ports(client=MASTER.client, worker=MASTER.worker)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"master": 1}'])
def test_a_damaged_file_counts_as_none(home: Home, text: bytes) -> None:
    home.endpoints_file.write_bytes(text)
    home.ports_file.write_bytes(text)

    assert endpoints.read(home) is None
    assert endpoints.remembered(home) is None


def test_fields_of_a_newer_version_are_skipped(home: Home) -> None:
    endpoints.write(home, MASTER)
    text = home.endpoints_file.read_text(encoding="utf-8")
    home.endpoints_file.write_text(text.replace('{"id"', '{"page":"x","id"'), encoding="utf-8")

    assert endpoints.read(home) == MASTER


@pytest.mark.parametrize(
    ("configured", "last", "tried"),
    [
        ("tcp://127.0.0.1:0", None, ("tcp://127.0.0.1:0",)),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:9", ("tcp://127.0.0.1:9", "tcp://127.0.0.1:0")),
        ("tcp://10.0.0.1:0", "tcp://127.0.0.1:9", ("tcp://10.0.0.1:0",)),
        ("tcp://127.0.0.1:7001", "tcp://127.0.0.1:9", ("tcp://127.0.0.1:7001",)),
    ],
)
def test_the_last_port_is_tried_first_if_none_is_set(
    configured: str, last: str | None, tried: tuple[str, ...]
) -> None:
    assert to_try(configured, last) == tried
