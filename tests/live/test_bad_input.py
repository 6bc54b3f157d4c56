"""What real machines and people get wrong: one clear line, the right exit code, nothing lost."""

import contextlib
import socket
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stenella.client.connection import Connection
from stenella.home import endpoints
from stenella.home.layout import open_home
from stenella.protocol.codec import FRAME_BYTES_MAX, VERSION, CommandDecoder, decode_header
from stenella.protocol.commands import Refused, ToClient
from stenella.protocol.errors import Unreachable

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

WRONG_FIVE_WAYS = """
name: wrong
tasks:
  - name: a
    script: "true"
    depends_on: [c]
  - name: b
    scirpt: "true"
    script: "true"
  - name: b
    script: "true"
    retry: {times: many}
  - name: c
    script: "true"
    depends_on: [a, bb]
"""


def test_a_second_master_is_refused_with_the_holders_pid(cluster: LiveHome) -> None:
    [pid] = cluster.pids("masters")

    refused = _stderr(cluster, "master", "start", code=6)

    assert str(pid) in refused
    assert refused.count("\n") == 1


def test_a_port_in_use_is_told_by_up(home: LiveHome) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        home.environment["STENELLA_MASTER__CLIENT_ENDPOINT"] = endpoint

        refused = _stderr(home, "up", "--detach", code=6)

    assert endpoint in refused
    assert "master.client_endpoint" in refused


def test_a_home_that_cannot_be_made_is_told(home: LiveHome) -> None:
    home.environment["STENELLA_HOME"] = "/proc/no/home"

    assert "/proc/no" in _stderr(home, "up", "--detach", code=8)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(home: LiveHome) -> None:
    home.run("run", home.definition("one", home.noting(1)))
    until(lambda: not home.leftovers(), "the embedded cluster has left")
    database = home.root / "stenella.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        [table] = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            if "migration" in name
        ]
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        row = dict(
            zip(columns, connection.execute(f"SELECT * FROM {table}").fetchone(), strict=True)
        )
        row = {name: value for name, value in row.items() if name != "id"} | {"name": "9999_later"}
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
        connection.commit()

    refused = _stderr(home, "up", "--detach", code=6)

    assert "newer" in refused
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM workflow_instance").fetchone() == (1,)


def test_a_definition_wrong_in_five_ways_says_all_and_stores_nothing(cluster: LiveHome) -> None:
    file = cluster.folder / "wrong.yaml"
    file.write_text(WRONG_FIVE_WAYS)

    error = cluster.json("submit", str(file), code=4)["error"]

    rules = {problem["rule"] for problem in error["problems"]}
    assert {"cycle", "unknown_field", "duplicate_name", "unknown_name", "wrong_type"} <= rules
    assert all(problem["line"] and problem["column"] for problem in error["problems"])
    assert cluster.json("ls") == []


def test_bad_frames_are_counted_and_harmless(cluster: LiveHome, connection: Connection) -> None:
    listing = {"type": "InstanceList", "request_id": "r1", "limit": "many"}
    frames: list[Any] = [
        b"\xc1garbage",
        b"\x91" * 100_000,
        msgspec.msgpack.encode([VERSION, "", "somebody", "b", []]),
        msgspec.msgpack.encode([VERSION, "another-cluster", "admin", "b", []]),
        msgspec.msgpack.encode([VERSION, "", "admin", "b", [{"type": "WorkerRegister"}, listing]]),
    ]

    for frame in frames:
        connection.send(frame)
    refusal = _first(connection)

    assert (refusal.request_id, refusal.exit_code) == ("r1", 6)
    [wire] = [
        row
        for row in cluster.json("debug", "mailboxes")
        if (row["node"], row["actor"]) == ("master", "wire")
    ]
    assert wire["rejected"] == {"garbage": 2, "sender": 1, "cluster": 1, "command": 2}


def test_b13_a_frame_of_another_version_is_refused_with_a_type(connection: Connection) -> None:
    connection.send(msgspec.msgpack.encode([VERSION + 1, "", "admin", "b", []]))

    assert _first(connection).code == "version"


def test_b11_a_frame_that_is_too_large_ends_only_its_connection(
    cluster: LiveHome, connection: Connection
) -> None:
    with contextlib.suppress(Unreachable):
        connection.send(b"x" * (FRAME_BYTES_MAX + 1))
        connection.receive(1.0)

    assert len(cluster.pids("workers")) == 2


def test_strangers_at_the_ports_are_harmless(cluster: LiveHome) -> None:
    master = endpoints.read(open_home(cluster.root))
    assert master is not None
    for endpoint in (master.client, master.worker):
        host, port = endpoint.removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert len(cluster.pids("workers")) == 2


def test_an_idle_cluster_is_light(cluster: LiveHome) -> None:
    """Master, two workers, their wardens: at most 150 MB, shared pages counted once."""
    sizes = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if str(cluster.root).encode() in (path / "environ").read_bytes():
                sizes[(path / "cmdline").read_bytes()] = _pss_kb(path)

    assert len(sizes) == 6, sizes  # and the supervisor
    assert sum(sizes.values()) <= 150 * 1024, sizes


def _first(connection: Connection) -> Refused:
    body = connection.receive(5.0)
    assert body is not None
    decoder: CommandDecoder[ToClient] = CommandDecoder(ToClient)
    [command], bad = decoder.decode(decode_header(body, "").commands)
    assert isinstance(command, Refused)
    assert not bad
    return command


def _stderr(home: LiveHome, *arguments: str, code: int) -> str:
    process = home.start(*arguments)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    return output


def _pss_kb(process: Path) -> int:
    lines = (process / "smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
