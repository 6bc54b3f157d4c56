"""What was acknowledged is on disk: the power goes at any write, on a disk that forgets.

The first test shows that the disk does forget; then the master's database and the worker's journal,
by the product's own statements and settings, at both of the worker's levels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stenella.protocol.rows import Batch, Counters, DeadLetter, JournalCallback, JournalNode, Row
from stenella.storage import worker_journal
from stenella.storage.journal import Journal
from stenella.storage.worker_journal import JournalDamaged, WorkerJournal

from .lossy_disk import Connection, Disk

COMMITS = 60
SEEDS = 40
#: A commit of some pages: in sixty of them the log is copied into the database once or twice.
BODY = b"x" * 90_000


class Machine:
    """A disk, a journal on it, and how many commits were acknowledged before the power went."""

    def __init__(self, folder: Path) -> None:
        self.before, self.after = folder / "before", folder / "after"
        self.before.mkdir()
        self.after.mkdir()
        self.disk = Disk()
        self.acknowledged = 0

    def live(self, commit: Callable[[int], None], cut_at: int) -> None:
        """Commit until the power goes at that operation of the disk."""
        self.disk.operations, self.disk.cut_at = 0, cut_at
        for number in range(1, COMMITS + 1):
            commit(number)
            if self.disk.is_off:
                return  # nobody was told
            self.acknowledged = number


def master_on(machine: Machine, synchronous: int | None = None) -> Callable[[int], None]:
    """A master's commits; ``synchronous``: another level than the product's own."""
    path = machine.before / "stenella.db"
    made = Journal.open(path)
    [(level,)] = made.connection.execute("PRAGMA synchronous").fetchall()
    made.close()
    connection: Any = Connection(path)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute(f"PRAGMA synchronous = {level if synchronous is None else synchronous}")
    journal = Journal(connection, None)
    journal.start("boot", 1, 0, "cluster")

    def commit(number: int) -> None:
        row = DeadLetter(at=number, actor="a", sender="s", reason="r", body=BODY.decode())
        appended: dict[type[Row], list[tuple[object, ...]]] = {
            DeadLetter: [msgspec.structs.astuple(row)]
        }
        journal.commit(Batch(commit_no=number, counters=Counters(), appended=appended))

    return commit


def master_has(machine: Machine) -> list[int]:
    """The commits that are there after the cut; opened as the product opens it."""
    journal = Journal.open(machine.after / "stenella.db")
    try:
        assert journal.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [(commit_no,)] = journal.connection.execute("SELECT commit_no FROM master").fetchall()
        letters = journal.connection.execute("SELECT at FROM dead_letter ORDER BY id").fetchall()
    finally:
        journal.close()
    there = [at for (at,) in letters]
    assert there == list(range(1, commit_no + 1)), (
        "a commit is whole, and none before it is missing"
    )
    return there


def worker_on(
    machine: Machine, full: bool, synchronous: int | None = None
) -> Callable[[int], None]:
    """A worker's commits at one of its levels; ``synchronous``: at none of its own."""
    path = machine.before / "journal.db"
    connection: Any = Connection(path)
    worker_journal._prepare(connection, path, full)
    if synchronous is not None:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    journal = WorkerJournal(connection)
    node = JournalNode(journal="j", cluster="c", life=1, epoch=1)
    journal.commit(Batch(commit_no=0, put={JournalNode: [msgspec.structs.astuple(node)]}))

    def commit(number: int) -> None:
        row = JournalCallback(key=f"1:{number}", dispatch_id=1, seq=number, body=BODY)
        put: dict[type[Row], list[tuple[object, ...]]] = {
            JournalCallback: [msgspec.structs.astuple(row)]
        }
        journal.commit(Batch(commit_no=0, put=put))

    return commit


def worker_has(machine: Machine) -> list[int]:
    """The callbacks that are there; raises `JournalDamaged` where the file is."""
    journal = WorkerJournal.open(machine.after / "journal.db", full=False)
    try:
        there = [row.seq for row in journal.load("callbacks")]
    finally:
        journal.close()
    assert there == list(range(1, len(there) + 1)), "what is lost is the end, never the middle"
    return there


def lost(
    tmp_path: Path,
    on: Callable[[Machine], Callable[[int], None]],
    has: Callable[[Machine], list[int]],
) -> list[int]:
    """Acknowledged commits that were gone, for each of the cuts."""
    found = []
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        machine = Machine(folder)
        commit = on(machine)
        machine.live(commit, cut_at=17 + seed * 37)
        machine.disk.after_cut(machine.after, seed)
        found.append(max(0, machine.acknowledged - len(has(machine))))
    return found


@pytest.mark.slow
def test_this_disk_loses_what_was_never_synced(tmp_path: Path) -> None:
    """With synchronous OFF, so that the tests below mean something."""
    losses = 0
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        machine = Machine(folder)
        machine.live(master_on(machine, synchronous=0), cut_at=300)
        machine.disk.after_cut(machine.after, seed)
        journal = Journal.open(machine.after / "stenella.db")
        [(count,)] = journal.connection.execute("SELECT count(*) FROM dead_letter").fetchall()
        journal.close()
        losses += count < machine.acknowledged

    assert losses >= 5


@pytest.mark.slow
def test_this_disk_loses_what_a_worker_never_synced(tmp_path: Path) -> None:
    """At the level full it loses nothing, below: so it is the sync that keeps it."""
    losses = 0
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        machine = Machine(folder)
        machine.live(worker_on(machine, full=True, synchronous=0), cut_at=300)
        machine.disk.after_cut(machine.after, seed)
        try:
            losses += len(worker_has(machine)) < machine.acknowledged
        except (JournalDamaged, AssertionError):
            losses += 1  # without a sync not even the order of the writes is kept

    assert losses >= 5


@pytest.mark.slow
def test_i6_no_power_cut_takes_an_acknowledged_commit_of_the_master(tmp_path: Path) -> None:
    assert lost(tmp_path, master_on, master_has) == [0] * SEEDS


@pytest.mark.slow
def test_a_full_journal_of_a_worker_loses_nothing(tmp_path: Path) -> None:
    assert lost(tmp_path, lambda machine: worker_on(machine, full=True), worker_has) == [0] * SEEDS


@pytest.mark.slow
def test_a_normal_journal_of_a_worker_may_lose_its_end_and_is_never_damaged(
    tmp_path: Path,
) -> None:
    losses = lost(tmp_path, lambda machine: worker_on(machine, full=False), worker_has)

    assert max(losses) > 0  # it is what it says, and worth its name


@pytest.mark.slow
def test_i7_a_normal_journal_survives_the_death_of_its_process(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.live(worker_on(machine, full=False), cut_at=700)

    machine.disk.after_kill(machine.after)

    assert 0 < machine.acknowledged <= len(worker_has(machine))
