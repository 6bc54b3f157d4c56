"""The worker's journal: what is put is there after a kill; what is damaged is set aside whole."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stenella.protocol.errors import NotAllowed, RefusedInState
from stenella.protocol.rows import (
    Batch,
    CommitFinal,
    CommitTransient,
    JournalAttempt,
    JournalCallback,
    JournalNode,
    Row,
)
from stenella.storage.worker_journal import JournalDamaged, WorkerJournal, set_aside


def attempt(dispatch_id: int, phase: str = "accepted") -> JournalAttempt:
    return JournalAttempt(
        dispatch_id=dispatch_id,
        task_instance_id=1,
        workflow_instance_id=1,
        attempt=1,
        epoch=1,
        life=1,
        type="shell",
        outputs='{"ü":null}',
        required="[]",
        phase=phase,
        log="1/1.1.log",
    )


def callback(dispatch_id: int, seq: int) -> JournalCallback:
    key = f"{dispatch_id}:{seq}"
    return JournalCallback(key=key, dispatch_id=dispatch_id, seq=seq, body=b"\x00\xff")


NODE = JournalNode(journal="j", cluster="c", life=1, epoch=3)


def put(*rows: Row) -> Batch:
    images: dict[type[Row], list[tuple[object, ...]]] = {}
    for row in rows:
        images.setdefault(type(row), []).append(msgspec.structs.astuple(row))
    return Batch(commit_no=1, put=images)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture(params=["memory", "disk"])
def journal(request: pytest.FixtureRequest, path: Path) -> Iterator[WorkerJournal]:
    opened = WorkerJournal.open(None if request.param == "memory" else path, full=False)
    yield opened
    opened.close()


def test_a_new_journal_is_empty(journal: WorkerJournal) -> None:
    assert [journal.load(name) for name in ("node", "attempts", "callbacks")] == [[], [], []]


def test_what_is_put_is_read_back_in_order(journal: WorkerJournal) -> None:
    attempts = [attempt(10), attempt(9)]
    callbacks = [callback(10, 1), callback(9, 10), callback(9, 2)]

    journal.commit(put(NODE, *attempts, *callbacks))

    assert journal.load("node") == [NODE]
    assert journal.load("attempts") == [attempt(9), attempt(10)]
    assert journal.load("callbacks") == [callback(9, 2), callback(9, 10), callback(10, 1)]


def test_a_put_replaces_what_has_the_same_key(journal: WorkerJournal) -> None:
    journal.commit(put(NODE, attempt(1)))

    journal.commit(put(msgspec.structs.replace(NODE, epoch=4), attempt(1, "ended")))

    assert [row.epoch for row in journal.load("node")] == [4]
    assert [row.phase for row in journal.load("attempts")] == ["ended"]


def test_what_is_deleted_is_gone_and_deleting_it_again_is_nothing(journal: WorkerJournal) -> None:
    journal.commit(put(attempt(1), attempt(2), callback(1, 1), callback(1, 2)))
    deletion = Batch(commit_no=2, deleted={JournalAttempt: [1], JournalCallback: ["1:1"]})

    journal.commit(deletion)
    journal.commit(deletion)

    assert journal.load("attempts") == [attempt(2)]
    assert journal.load("callbacks") == [callback(1, 2)]


def test_a_commit_is_all_or_nothing(journal: WorkerJournal) -> None:
    bad = callback(2, 1)
    bad.body = None  # type: ignore[assignment]

    with pytest.raises(CommitFinal, match="NOT NULL"):
        journal.commit(put(attempt(1), callback(1, 1), bad))

    assert journal.load("attempts") == []
    assert journal.load("callbacks") == []


def test_a_full_disk_is_transient_and_the_batch_succeeds_later(journal: WorkerJournal) -> None:
    journal.connection.execute("PRAGMA max_page_count = 1")
    large = put(attempt(1), *(callback(1, seq) for seq in range(1, 2_000)))

    with pytest.raises(CommitTransient, match="full"):
        journal.commit(large)
    assert journal.load("attempts") == []
    journal.connection.execute("PRAGMA max_page_count = 1000000")
    journal.commit(large)

    assert len(journal.load("callbacks")) == 1_999


@pytest.mark.parametrize(("full", "synchronous"), [(False, 1), (True, 2)])
def test_the_setting_decides_what_survives_a_power_cut(
    path: Path, full: bool, synchronous: int
) -> None:
    journal = WorkerJournal.open(path, full=full)

    pragmas = [
        journal.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    journal.close()

    assert pragmas == ["wal", synchronous]


@pytest.mark.slow
def test_what_a_killed_worker_committed_is_there_in_the_next_life(path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tests.storage.test_worker_journal import NODE, attempt, put\n"
        "from stenella.storage.worker_journal import WorkerJournal\n"
        "WorkerJournal.open(Path(sys.argv[1]), full=False).commit(put(NODE, attempt(1)))\n"
        "os._exit(9)"
    )
    root = Path(__file__).parent.parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    killed = subprocess.run([sys.executable, "-c", script, path], env=environment, check=False)

    journal = WorkerJournal.open(path, full=False)

    assert killed.returncode == 9
    assert journal.load("node") == [NODE]
    assert journal.load("attempts") == [attempt(1)]
    journal.close()


@pytest.mark.slow
def test_a_worker_that_opens_its_journal_has_not_imported_peewee(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from stenella.storage.worker_journal import WorkerJournal\n"
        "WorkerJournal.open(Path(sys.argv[1]), full=False).close()\n"
        "sys.exit('peewee' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script, path], check=False)

    assert done.returncode == 0


# --- a journal that cannot be used


def test_a_newer_journal_is_refused_and_left_as_it_is(path: Path) -> None:
    journal = WorkerJournal.open(path, full=False)
    journal.connection.execute("PRAGMA user_version = 2")
    journal.close()
    before = path.read_bytes()

    with pytest.raises(RefusedInState, match="newer version of stenella"):
        WorkerJournal.open(path, full=False)

    assert path.read_bytes() == before


def test_garbage_is_damaged_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"garbage" * 1_000)

    with pytest.raises(JournalDamaged, match=r"journal\.db"):
        WorkerJournal.open(path, full=False)

    assert path.read_bytes() == b"garbage" * 1_000


def test_a_page_of_rubbish_is_damage(path: Path) -> None:
    journal = WorkerJournal.open(path, full=False)
    journal.commit(put(*(attempt(number) for number in range(1, 200))))
    journal.close()
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 4096)

    with pytest.raises(JournalDamaged):
        WorkerJournal.open(path, full=False)


@pytest.mark.parametrize("change", ["DROP TABLE callback", "ALTER TABLE attempt DROP COLUMN pid"])
def test_tables_that_are_not_a_journals_are_damage(path: Path, change: str) -> None:
    journal = WorkerJournal.open(path, full=False)
    journal.connection.execute(change)
    journal.close()

    with pytest.raises(JournalDamaged, match="is missing or has other columns"):
        WorkerJournal.open(path, full=False)


def test_a_journal_in_a_folder_that_is_not_there_is_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        WorkerJournal.open(tmp_path / "none" / "journal.db", full=False)


@pytest.mark.slow
def test_a_locked_journal_is_refused_not_set_aside(path: Path) -> None:
    WorkerJournal.open(path, full=False).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = exclusive")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(RefusedInState, match="locked"):
        WorkerJournal.open(path, full=False)

    other.close()


def test_a_journal_set_aside_keeps_all_it_had_and_the_next_one_begins_empty(path: Path) -> None:
    former = WorkerJournal.open(path, full=False)
    former.commit(put(NODE))  # in the log only: the connection stays open, as after a kill

    aside = set_aside(path)

    next_ = WorkerJournal.open(path, full=False)
    assert next_.load("node") == []
    assert aside == path.with_name("journal.db.aside-1")
    kept = WorkerJournal.open(aside, full=False)
    assert kept.load("node") == [NODE]
    assert set_aside(path) == path.with_name("journal.db.aside-2")
    for journal in (next_, kept, former):
        journal.close()


def test_a_log_left_behind_does_not_reach_the_next_journal(path: Path) -> None:
    former = WorkerJournal.open(path, full=False)
    former.commit(put(NODE))
    path.rename(path.with_name("journal.db.aside-1"))  # and a crash, before the log followed

    journal = WorkerJournal.open(path, full=False)

    assert journal.load("node") == []
    journal.close()
    former.close()
