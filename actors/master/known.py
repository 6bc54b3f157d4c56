"""A worker as the registry knows it: its row, what was heard of it, and what people want of it.

Pure: the registry changes it and writes the row.
"""

import json
from typing import Any

import msgspec

from ...protocol.commands import WorkerAdjust, WorkerRegister
from ...protocol.rows import WorkerRow
from .liveness import Terms

#: A refused identity is shown so long after its last attempt, which it repeats every 5 s.
INTRUDER_MS = 15_000


class Intruder(msgspec.Struct, frozen=True):
    """Another process with this worker's identity, which was refused."""

    host: str
    pid: int
    since: int  # wall
    seen_ms: int


class Known:
    """A worker: its row, and what this master has heard of it."""

    def __init__(self, row: WorkerRow) -> None:
        self.row = row
        self.boot = ""  # welcomed by this master under this epoch
        self.peer = b""
        self.heard_ms: int | None = None
        self.heard_at: int | None = None  # wall
        self.late = True
        self.draining = False  # it says so
        self.no_disk = False  # it says so
        self.slots = row.slots  # that it goes by
        self.drained = False
        self.free_slots = 0
        self.asking: WorkerRegister | None = None  # its listing is being judged
        self.asking_peer = b""
        self.warden_gone = False  # where that can be seen
        self.former_kernels: list[str] = []  # kernel boots that this master has seen replaced
        self.intruder: Intruder | None = None

    @property
    def slots_wanted(self) -> int:
        """What a person set, else what it was started with."""
        return self.row.slots if self.row.slots_set is None else self.row.slots_set

    @property
    def slots_now(self) -> int:
        """What may be placed there: more only when the worker goes by it, fewer at once."""
        return min(self.slots, self.slots_wanted)

    @property
    def is_closed(self) -> bool:
        """Whether it is to be given nothing: a person wants so, or it says so."""
        return self.draining or self.row.draining_since is not None

    @property
    def is_hidden(self) -> bool:
        """Whether a person had it forgotten and it has not come back."""
        return self.row.forgotten_at is not None

    def adjustment(self, epoch: int) -> WorkerAdjust | None:
        """What it is to be told, as long as it says otherwise; None: it does as it should."""
        wants_drain = self.row.draining_since is not None
        restart = bool(self.boot) and self.row.restart_boot == self.boot
        if wants_drain == self.draining and self.slots == self.slots_wanted and not restart:
            return None
        return WorkerAdjust(
            epoch=epoch,
            to_boot=self.boot,
            draining=wants_drain,
            slots=self.slots_wanted,
            restart=restart,
        )

    def gives_way_to(self, register: WorkerRegister, terms: Terms) -> bool:
        """Same boot; a later life of the same journal; or whoever it was is over.

        Nothing of that one can run then, and its former kernel boots bar nobody: it may be the
        original that comes back after a clone. A reboot is waited out like a clone, and its life
        need not be later: a power cut loses what the journal had not synced. On this machine it is
        the same folder if it is the same warden, which then has ended what a lost journal had; in
        a copied folder it is another one.
        """
        latest = self.asking or self.row
        if register.boot == latest.boot:
            return True
        if (register.journal, register.kernel_boot) == (latest.journal, latest.kernel_boot):
            return register.life > latest.life  # also of one that is over: a late frame of its own
        if self.is_over:
            return True
        if register.kernel_boot in self.former_kernels:
            # Sent before a reboot that we know of, or by a machine that was replaced and is there
            # again: nobody can tell, so it waits until nothing of the other can run.
            return False
        if self.row.machine and register.machine == terms.machine:
            return not terms.sees(self.row) or (self.late and self._has_the_warden(register))
        return False

    def _has_the_warden(self, register: WorkerRegister) -> bool:
        warden = register.warden_pid, register.warden_ticks
        return warden == (self.row.warden_pid, self.row.warden_ticks)

    def may_be_dead(self, terms: Terms) -> bool:
        """Silent for longer than its lease and all graces; can anything of it still run?

        With a lease its warden has ended all by now. Without, what it has lives as long as its
        warden; one on a former boot of this machine ended with that. One that has left or was
        forgotten dies, too: rows that were parked meanwhile may say that it has attempts, and what
        its journal has of their ends it could have told by now.
        """
        if self.row.dead_at is not None or self.asking is not None:
            return False
        return not terms.sees(self.row) or self.warden_gone

    @property
    def is_over(self) -> bool:
        """Nothing of it can run: it was declared dead, or has left."""
        return not (self.row.dead_at is self.row.left_at is None)

    def state(self) -> str:
        """The word for people: alive late draining dead left."""
        if self.row.left_at is not None:
            return "left"
        if self.row.dead_at is not None:
            return "dead"
        if self.late:
            return "late"
        return "draining" if self.is_closed else "alive"

    def since(self) -> int:
        """Since when it is in that state, as far as this master knows; wall."""
        match self.state():
            case "left":
                return self.row.left_at or 0
            case "dead":
                return self.row.dead_at or 0
            case "late":
                return self.heard_at or self.row.registered_at
            case "draining":
                return self.row.draining_since or self.row.registered_at
            case _:
                return self.row.registered_at

    def document(self, now_ms: int) -> dict[str, Any]:
        """As `status` and `worker ls` show it; the dispatcher adds what runs there."""
        row, intruder = self.row, self.intruder
        message = None
        if intruder is not None and now_ms - intruder.seen_ms <= INTRUDER_MS:
            message = (
                f"another process claims to be {row.id} and is refused: "
                f"host {intruder.host}, pid {intruder.pid}"
            )
        elif self.no_disk and not self.late:
            message = "too little free disk there (worker.disk_free_min_bytes): it takes no task"
        return {
            "id": row.id,
            "pid": row.pid,
            "host": row.host,
            "version": row.version,
            "groups": json.loads(row.groups),
            "types": json.loads(row.types),
            "slots": self.slots_wanted,
            "free": self.free_slots if not self.late and row.left_at is None else None,
            "state": self.state(),
            "since": self.since() / 1_000,
            "heard": None if self.heard_at is None else self.heard_at / 1_000,
            "message": message,
        }


def row_of(register: WorkerRegister, before: WorkerRow | None, wall_ms: int) -> WorkerRow:
    """The row of a registration, with what a person ordered before it.

    A number of slots that a person set holds until the worker is started with another number: the
    later decision wins.
    """
    row = WorkerRow(
        id=register.worker,
        boot=register.boot,
        life=register.life,
        kernel_boot=register.kernel_boot,
        journal=register.journal,
        groups=json.dumps(register.groups),
        slots=register.slots,
        types=json.dumps(register.types),
        version=register.version,
        pid=register.pid,
        host=register.host,
        registered_at=wall_ms,
        machine=register.machine,
        warden_pid=register.warden_pid,
        warden_ticks=register.warden_ticks,
    )
    if before is not None:
        row.event_no, row.stored_no = before.event_no, before.stored_no
        row.draining_since, row.restart_boot = before.draining_since, before.restart_boot
        if before.slots == register.slots:
            row.slots_set = before.slots_set
    return row
