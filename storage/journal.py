"""The master's journal: the only writer of the master's database.

`Journal.commit` writes a turn, `Journal.load` reads rows back for actors; people read by `queries`.
"""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from ..protocol.errors import StenellaError
from ..protocol.rows import (
    Batch,
    CommitFinal,
    CommitRefused,
    CommitTransient,
    CommitUnknown,
    Counters,
    DeadLetter,
    Row,
    Versioned,
    WorkflowInstanceRow,
)
from . import schema
from .statements import (
    DEFINITION,
    DELETE,
    FENCE,
    INSERT,
    LOAD,
    PARK,
    PARKED,
    QUARANTINED,
    QUARANTINED_MAX,
    REDELIVER,
    UPDATE,
    Image,
    columns,
)
from .transaction import classified, refusal, transaction

MASTER_ID = 1
#: Of definitions that recovery reads at once; the structs made of them take some ten times as much.
DEFINITIONS_BYTES = 4 * 1024 * 1024


class MasterStart(msgspec.Struct, frozen=True):
    """Who the master is in this life, and where its numbers go on."""

    cluster: str
    master: int
    epoch: int
    commit_no: int
    counters: Counters


class Journal:
    """The database, open for writing. Any thread may call, one at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self.connection = connection
        self.path = path
        self._epoch = 0  # no epoch is 0: nothing can be committed before `start`

    @classmethod
    def open(cls, path: Path | None) -> "Journal":
        """Open the database, made or raised to this program's schema; None: in memory.

        Raises:
            RefusedInState: newer, damaged or locked, or the disk is full.
            NotAllowed: it cannot be written.
        """
        return cls(schema.connect(path), path)

    def start(self, boot: str, pid: int, wall_ms: int, new_cluster: str) -> MasterStart:
        """Begin a life of the master: raise the epoch, which fences every earlier life.

        ``new_cluster`` becomes the cluster's id if the database has none yet.

        Raises:
            RefusedInState, NotAllowed: as `open`.
        """
        try:
            with transaction(self.connection):
                started = self._raise_epoch(boot, pid, wall_ms, new_cluster)
        except (CommitTransient, CommitFinal, CommitUnknown) as error:
            raise refusal(self.path, error.__cause__ or error) from error
        self._epoch = started.epoch
        return started

    def quarantine(self, letters: list[DeadLetter]) -> None:
        """Keep messages that crashed this master twice, and park what they or rows are about.

        Before the actors live, so that nothing they do can be in the way. A letter of the same key
        is not written twice.

        Raises:
            RefusedInState, NotAllowed: as `open`.
        """
        try:
            with transaction(self.connection):
                for letter in letters:
                    self._bury(letter)
        except (CommitTransient, CommitFinal, CommitUnknown) as error:
            raise refusal(self.path, error.__cause__ or error) from error

    def _bury(self, letter: DeadLetter) -> None:
        known = "SELECT 1 FROM dead_letter WHERE key = ?"
        if not self.connection.execute(known, (letter.key,)).fetchall():
            INSERT[DeadLetter].run(self.connection, [msgspec.structs.astuple(letter)])
        if letter.workflow_instance_id:
            self.connection.execute(PARK, (letter.reason, letter.workflow_instance_id))

    def quarantined(self) -> tuple[list[str], list[int]]:
        """Keys of the messages that are not taken, and the instances that are parked."""
        keys = self.connection.execute(QUARANTINED, (QUARANTINED_MAX,))
        parked = self.connection.execute(PARKED)
        return [key for (key,) in keys], [number for (number,) in parked]

    def to_redeliver(self) -> list[tuple[int, str, str, str]]:
        """Id, actor, sender and body of letters whose instance a person has let go on."""
        return self.connection.execute(REDELIVER).fetchall()

    def _raise_epoch(self, boot: str, pid: int, wall_ms: int, new_cluster: str) -> MasterStart:
        execute = self.connection.execute
        execute(
            "INSERT INTO cluster (id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM cluster)",
            (new_cluster,),
        )
        new = Counters()
        execute(
            "INSERT INTO master (id, epoch, commit_no, boot, pid, started_at, "
            "next_workflow_instance, next_task_instance, next_dispatch) "
            "VALUES (?, 0, 0, '', 0, 0, ?, ?, ?) ON CONFLICT DO NOTHING",
            (MASTER_ID, new.workflow_instance, new.task_instance, new.dispatch),
        )
        execute(
            "UPDATE master SET epoch = epoch + 1, boot = ?, pid = ?, started_at = ? WHERE id = ?",
            (boot, pid, wall_ms, MASTER_ID),
        )
        cluster, epoch, commit_no, *counters = execute(
            "SELECT cluster.id, epoch, commit_no, next_workflow_instance, next_task_instance, "
            "next_dispatch FROM cluster, master WHERE master.id = ?",
            (MASTER_ID,),
        ).fetchone()
        return MasterStart(cluster, MASTER_ID, epoch, commit_no, Counters(*counters))

    def commit(self, batch: Batch) -> None:
        """Write the batch in one synced transaction; one that was written before is left as it is.

        Raises:
            CommitTransient: nothing is stored; the same batch may succeed later.
            CommitUnknown: `reconnect`, then the same batch.
            CommitFinal: nothing is stored, and the master must end: another life took over, a row
                was not as the batch believes, or the database failed.
        """
        with transaction(self.connection):
            if not self._is_next(batch):
                return
            for table, images in batch.versioned.items():
                self._write_versioned(table, images)
            for appended, images in batch.appended.items():
                INSERT[appended].run(self.connection, images)
            for deleted, keys in batch.deleted.items():
                DELETE[deleted].run(self.connection, [(key,) for key in keys])

    def reconnect(self) -> None:
        """After `CommitUnknown`: nothing the old connection believes counts any more.

        Raises:
            CommitTransient: it cannot be opened now.
        """
        if self.path is None:
            return  # there is no other connection to what is in memory
        try:
            self.connection.close()
            self.connection = schema.connect(self.path)
        except (sqlite3.Error, StenellaError) as error:
            raise CommitTransient(f"the database cannot be opened again: {error}") from error

    def _is_next(self, batch: Batch) -> bool:
        """Take the commit number; false if this commit had succeeded already."""
        n, counters = batch.commit_no, batch.counters
        assert counters is not None, n
        next_ids = (counters.workflow_instance, counters.task_instance, counters.dispatch)
        changed = self.connection.execute(FENCE, (n, *next_ids, MASTER_ID, self._epoch, n)).rowcount
        if changed:
            return True
        stored = self.connection.execute(
            "SELECT epoch, commit_no FROM master WHERE id = ?", (MASTER_ID,)
        ).fetchone()
        if stored != (self._epoch, n):
            raise CommitFinal(
                f"fenced: commit {n} of epoch {self._epoch} meets (epoch, commit) {stored}"
            )
        return False

    def _write_versioned(self, table: type[Versioned], images: list[Image]) -> None:
        stored_no = table.__struct_fields__.index("stored_no")
        inserts = [image for image in images if not image[stored_no]]
        updates = [image for image in images if image[stored_no]]
        if inserts:
            INSERT[table].run(self.connection, inserts)
        if updates:
            changed = UPDATE[table].run(self.connection, updates)
            if changed != len(updates):
                raise CommitRefused(
                    f"{table.TABLE}: {len(updates)} rows to change, {changed} were as believed"
                )

    def load(self, name: str, key: tuple[Any, ...]) -> list[Any]:
        """Rows for actors, by index; ``stored_no`` is set.

        ``intent`` (request id); ``live_instances`` (after id, limit): pairs of an instance that
        is live and not parked, and its definition, fewer where definitions are large;
        ``tasks_of`` (instance, after id, limit);
        ``task`` (id); ``instance`` (id); ``letter`` (id); ``workers`` (); ``version`` (digest).
        ``task_named`` (instance, name: looked for among the instance's tasks).

        Raises:
            CommitTransient, CommitFinal: as `commit`.
        """
        table, sql = LOAD[name]
        with classified():
            rows = [_row(table, values) for values in self.connection.execute(sql, key)]
            return self._with_definitions(rows) if name == "live_instances" else rows

    def _with_definitions(
        self, rows: list[WorkflowInstanceRow]
    ) -> list[tuple[WorkflowInstanceRow, bytes]]:
        """The first of them, as many as come with little enough of definitions."""
        known: dict[str, bytes] = {}
        found: list[tuple[WorkflowInstanceRow, bytes]] = []
        size = 0
        for row in rows:
            digest = row.version_digest
            if digest not in known:
                if size >= DEFINITIONS_BYTES:
                    break
                [(text,)] = self.connection.execute(DEFINITION, (digest,)).fetchall()
                known[digest] = bytes(text)
                size += len(known[digest])
            found.append((row, known[digest]))
        return found

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self.connection.close()


def _row(table: type[Row], values: Image) -> Any:
    row = table(**dict(zip(columns(table), values, strict=True)))
    if isinstance(row, Versioned):
        row.stored_no = row.event_no
    return row
