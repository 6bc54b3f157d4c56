"""B11–B15: strangers and peers that break the protocol; everything is counted, nothing grows."""

import contextlib
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest
import zmq

from stenella.client.connection import Connection
from stenella.home import endpoints
from stenella.home.layout import open_home
from stenella.protocol.codec import FRAME_BYTES_MAX, VERSION
from stenella.protocol.errors import Unreachable

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

GARBAGE = 100_000
GROWTH_KB_MAX = 20_000


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def rejected(cluster: LiveHome) -> dict[str, int]:
    [wire] = [
        row
        for row in cluster.json("debug", "mailboxes")
        if (row["node"], row["actor"]) == ("master", "wire")
    ]
    found: dict[str, int] = wire["rejected"]
    return found


def test_b12_a_hundred_thousand_garbage_frames_are_counted_and_cost_no_memory(
    cluster: LiveHome, connection: Connection
) -> None:
    [pid] = cluster.pids("masters")
    frames = [b"\xc1garbage", b"\x91" * 3_000, msgspec.msgpack.encode([VERSION, "", "x", "b", []])]
    before_kb = resident_kb(pid)

    sent = 0
    while sent < GARBAGE:
        try:
            connection.send(frames[sent % len(frames)])
            sent += 1
        except Unreachable:  # it takes no more for the moment
            time.sleep(0.001)
    until(lambda: sum(rejected(cluster).values()) >= GARBAGE * 0.9, "the flood is over")

    assert resident_kb(pid) - before_kb < GROWTH_KB_MAX
    [notice] = [row for row in cluster.json("doctor") if row["check"] == "wire"]
    assert "garbage" in notice["message"]
    assert cluster.json("run", cluster.definition("after", cluster.noting(1)))["state"] == "SUCCESS"


def test_b14_plain_zmtp_at_the_ports_gets_nothing(cluster: LiveHome) -> None:
    master = endpoints.read(open_home(cluster.root))
    assert master is not None
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for endpoint in (master.client, master.worker):
            with context.socket(zmq.DEALER) as stranger:
                stranger.set(zmq.LINGER, 0)
                stranger.connect(endpoint)
                stranger.send(b"hello")
                assert stranger.poll(1_000) == 0
    finally:
        context.term()

    assert len(cluster.pids("workers")) == 2


def test_b14_a_wrong_key_is_told_within_three_seconds(cluster: LiveHome) -> None:
    master = endpoints.read(open_home(cluster.root))
    assert master is not None
    public, secret = zmq.curve_keypair()
    began_s = time.monotonic()

    with pytest.raises(Unreachable, match="key refused"):
        Connection(
            master.client,
            server_key=master.server_key.encode(),
            public_key=public,
            secret_key=secret,
            frame_bytes_max=FRAME_BYTES_MAX,
        )

    assert time.monotonic() - began_s < 3.0
    assert rejected(cluster)["key"] >= 1


def test_b42_a_journal_of_another_cluster_is_set_aside_and_told(home: LiveHome) -> None:
    """As after a restore of the database, which draws its cluster anew."""
    home.run("up", "--workers", "1", "--slots", "1", "--detach")
    home.run("run", home.definition("before", home.noting(1)))
    home.run("down")
    with contextlib.closing(sqlite3.connect(home.root / "stenella.db")) as connection:
        connection.execute("UPDATE cluster SET id = 'another'")
        connection.commit()

    assert home.json("run", home.definition("after", home.noting(1)))["state"] == "SUCCESS"

    [notice] = [row for row in home.json("doctor") if row["check"] == "journals"]
    assert "journal.db.aside-1" in notice["message"]
