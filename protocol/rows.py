"""What is remembered, one struct per table; field order is column order (a test compares them).

Mutable rows belong to one actor each, which changes them in place and says ``ctx.write(row)``; the
turn takes their image when it forms the commit. ``event_no`` rises with every change and is the
compare-and-set of the commit; ``stored_no`` is its value at the last commit (0: no row yet) and no
column. Appended rows are never changed. Wall times are epoch milliseconds; JSON stands in text.
"""

from typing import ClassVar

import msgspec


class Row(msgspec.Struct, kw_only=True, gc=False):
    """Base of a row. ``TABLE`` names it; ``KEY`` is the primary key's field."""

    TABLE: ClassVar[str] = ""
    KEY: ClassVar[str] = "id"


class Versioned(Row, kw_only=True, gc=False):
    """Base of a row that changes. ``stored_no`` is the one field that is no column."""

    event_no: int = 0
    stored_no: int = 0


# --- the master's database ----------------------------------------------------------------------


class Counters(msgspec.Struct):
    """The next free ids; set by the first statement of each commit, so no gap and no reuse."""

    workflow_instance: int = 1
    task_instance: int = 1
    dispatch: int = 1


class WorkflowVersion(Row, kw_only=True):
    """A definition that never changes; its number within the name is given by the database."""

    TABLE: ClassVar[str] = "workflow_version"
    KEY: ClassVar[str] = "digest"

    digest: str  # sha256 of the canonical definition
    name: str
    definition: bytes
    created_at: int


class WorkflowInstanceRow(Versioned, kw_only=True):
    """One run of one version."""

    TABLE: ClassVar[str] = "workflow_instance"

    id: int
    name: str
    version_digest: str
    state: int  # WorkflowState
    params: str  # JSON object, resolved at submit
    startup: str  # JSON list: the names that were given at submit
    submit_dir: str | None
    dry_run: int = 0  # 1: its tasks succeed without being run
    base_time: int
    start_time: int
    end_time: int | None = None
    reason: str = ""
    message: str = ""
    owner: int
    owner_epoch: int
    priority: int = 2  # index in states.PRIORITIES
    timeout_at: int = 0  # when its time is over; 0: no limit
    warned_at: int | None = None  # its time was over then, and it was written down
    #: Why it is left alone until a person acts (NEEDS_ATTENTION); empty: it is not.
    attention: str = ""


class TaskInstanceRow(Versioned, kw_only=True):
    """A node of an instance: its current attempt. Earlier attempts are `TaskAttempt` rows."""

    TABLE: ClassVar[str] = "task_instance"

    id: int
    workflow_instance_id: int
    node: int  # index in the graph
    name: str
    type: str
    state: int  # TaskState
    attempt: int = 1
    try_no: int = 1
    failover_no: int = 0
    worker: str | None = None
    boot: str | None = None
    dispatch_id: int = 0
    seq: int = 0  # highest callback applied
    eligible_at: int = 0  # a retry or a delay waits until then
    submit_time: int
    start_time: int | None = None
    end_time: int | None = None
    host: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    outputs: str = "{}"  # JSON object
    tail: str = ""
    kill_reason: str | None = None  # a durable intent: this attempt is to end
    timeout_at: int = 0  # when this attempt's time is over; 0: no limit, or it has not begun
    warned_at: int | None = None  # its time was over then, and it was written down
    unreachable_at: int | None = None  # kept on a worker that was last heard then


class TaskAttempt(Row, kw_only=True):
    """The evidence of an earlier attempt, written when the next one is made."""

    TABLE: ClassVar[str] = "task_attempt"
    KEY: ClassVar[str] = "task_instance_id"

    task_instance_id: int
    attempt: int
    state: int
    worker: str | None
    dispatch_id: int
    start_time: int | None
    end_time: int | None
    host: str | None
    pid: int | None
    exit_code: int | None
    reason: str
    message: str
    outputs: str
    tail: str


class TaskEvent(Row):
    """One change of a task instance, in the order of ``event_no``; folded they give its row.

    Not by keyword only: it is what is made most often, and 18 keywords cost as much as its insert.

    A callback that came too late changes only the seq: its states are equal, and what it said
    stands in ``detail``.
    """

    TABLE: ClassVar[str] = "task_event"

    task_instance_id: int
    workflow_instance_id: int
    event_no: int
    event: int  # states.Event
    from_state: int | None
    to_state: int | None
    at: int
    actor: str
    attempt: int
    try_no: int
    failover_no: int
    worker: str | None
    boot: str | None
    dispatch_id: int
    callback_seq: int
    eligible_at: int
    host: str | None
    detail: str = ""


class IntentRow(Row, kw_only=True):
    """A request with an effect, and its answer, written in the turn that carried it out."""

    TABLE: ClassVar[str] = "intent"
    KEY: ClassVar[str] = "request_id"

    request_id: str
    digest: str
    kind: str
    answer: str  # JSON object
    at: int


class WorkerRow(Versioned, kw_only=True):
    """A worker that registered."""

    TABLE: ClassVar[str] = "worker"

    id: str
    boot: str
    life: int
    kernel_boot: str
    journal: str
    groups: str  # JSON list
    slots: int
    types: str  # JSON list
    version: str
    pid: int
    host: str
    registered_at: int
    left_at: int | None = None  # it was drained and has left; it may come back
    draining_since: int | None = None  # a person's order, kept until resumed
    slots_set: int | None = None  # a person's number instead of the one it was started with
    restart_boot: str | None = None  # the boot that a person wants replaced
    forgotten_at: int | None = None  # a person wants to see it no more, unless it comes back
    dead_at: int | None = None  # it was declared dead, and what it had was handed over
    machine: str = ""  # where its warden is watched; empty: it has a lease
    warden_pid: int = 0
    warden_ticks: int = 0


class DeadLetter(Row, kw_only=True):
    """A message that nobody could take, kept for people."""

    TABLE: ClassVar[str] = "dead_letter"

    at: int
    actor: str
    sender: str
    reason: str
    body: str  # JSON: the message; or, cut short, what it was
    key: str = ""  # of a message that crashed the master twice: its copies are not taken
    workflow_instance_id: int = 0  # whose, if it is about one


# --- the worker's journal -----------------------------------------------------------------------


class JournalNode(Row, kw_only=True):
    """The one row about the worker itself."""

    TABLE: ClassVar[str] = "node"

    id: int = 1
    journal: str
    cluster: str
    life: int
    epoch: int
    place: int = 0  # inode of the worker's folder: a copy of the folder is another place


class JournalAttempt(Row, kw_only=True):
    """An accepted attempt until its RESULT is acknowledged. Never scripts, parameters, secrets."""

    TABLE: ClassVar[str] = "attempt"
    KEY: ClassVar[str] = "dispatch_id"

    dispatch_id: int
    task_instance_id: int
    workflow_instance_id: int
    attempt: int
    epoch: int
    life: int  # that accepted it
    type: str
    outputs: str  # JSON object: declared names → default
    required: str  # JSON list: declared without default
    phase: str  # accepted, begun, ended
    log: str
    start_time: int | None = None
    pid: int = 0
    kill_reason: str | None = None


class JournalCallback(Row, kw_only=True):
    """A RUNNING or RESULT; kept until the RESULT is acknowledged, so the highest seq is known."""

    TABLE: ClassVar[str] = "callback"
    KEY: ClassVar[str] = "key"

    key: str  # dispatch_id:seq
    dispatch_id: int
    seq: int
    body: bytes  # the command as msgpack


# --- one transaction ----------------------------------------------------------------------------


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit writes, all or nothing. Images are ``msgspec.structs.astuple`` of the rows.

    ``versioned``: insert where the image's ``stored_no`` is 0, else update where the stored
    ``event_no`` equals it; each must hit exactly one row. ``appended``: plain inserts (a
    `WorkflowVersion` that is there already stays as it is). ``put`` and ``deleted`` are the worker
    journal's: insert or replace by key, delete by key.
    """

    commit_no: int
    counters: Counters | None = None  # the master's; None in a worker's batch
    versioned: dict[type[Versioned], list[tuple[object, ...]]] = {}
    appended: dict[type[Row], list[tuple[object, ...]]] = {}
    put: dict[type[Row], list[tuple[object, ...]]] = {}
    deleted: dict[type[Row], list[object]] = {}

    def instances(self) -> list[int]:
        """The workflow instances whose rows it changes."""
        found = []
        for table, images in self.versioned.items():
            name = "id" if table is WorkflowInstanceRow else "workflow_instance_id"
            if name in table.__struct_fields__ and table is not WorkerRow:
                place = table.__struct_fields__.index(name)
                found += [int(image[place]) for image in images]  # type: ignore[call-overload]
        return list(dict.fromkeys(found))


class CommitTransient(Exception):
    """The same batch may succeed later: busy, disk full, read-only, connection."""


class CommitUnknown(Exception):
    """The answer to COMMIT is lost: reconnect, and the same batch finds out by its number."""


class CommitFinal(Exception):
    """The node must end: constraint, corruption, I/O error, or fenced by another master."""


class CommitRefused(CommitFinal):
    """The data itself can never be stored: whoever brought it is to blame."""
