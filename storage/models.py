"""The tables of the master's database, one peewee model each; `protocol.rows` is their contract.

Columns are the struct's fields in their order, the key first (peewee puts it there; a test compares
them). Indexes are few because each costs every insert 0.3 µs or more; the reason stands beside.
Integers are 63 bits wide everywhere, because that is the wire's bound. No foreign keys: one actor
writes each table, and each would be one more search per row.
"""

import peewee
from peewee import BigAutoField, BigIntegerField, BlobField, TextField

from ..protocol import rows
from ..protocol.states import WORKFLOW_FINAL


class Table(peewee.Model):
    """Base: the table's name is the class's in snake case; the database is given per query."""

    class Meta:
        legacy_table_names = False


class Cluster(Table):
    """One row, made with the database: whose rows these are."""

    id = TextField(primary_key=True)


class Master(Table):
    """One row: who may commit, and the next free ids (`rows.Counters`)."""

    id = BigAutoField()
    epoch = BigIntegerField()
    commit_no = BigIntegerField()
    boot = TextField()
    pid = BigIntegerField()
    started_at = BigIntegerField()
    next_workflow_instance = BigIntegerField()
    next_task_instance = BigIntegerField()
    next_dispatch = BigIntegerField()


class Worker(Table):
    """`rows.WorkerRow`."""

    id = TextField(primary_key=True)
    event_no = BigIntegerField()
    boot = TextField()
    life = BigIntegerField()
    kernel_boot = TextField()
    journal = TextField()
    groups = TextField()
    slots = BigIntegerField()
    types = TextField()
    version = TextField()
    pid = BigIntegerField()
    host = TextField()
    registered_at = BigIntegerField()
    left_at = BigIntegerField(null=True)
    draining_since = BigIntegerField(null=True)
    slots_set = BigIntegerField(null=True)
    restart_boot = TextField(null=True)
    forgotten_at = BigIntegerField(null=True)
    dead_at = BigIntegerField(null=True)
    machine = TextField()
    warden_pid = BigIntegerField()
    warden_ticks = BigIntegerField()

    class Meta:
        without_rowid = True


class WorkflowVersion(Table):
    """`rows.WorkflowVersion`, and its number within the name."""

    digest = TextField(primary_key=True)
    name = TextField()
    definition = BlobField()
    created_at = BigIntegerField()
    number = BigIntegerField()

    class Meta:
        # Numbers a version when it is inserted, and no two alike.
        indexes = ((("name", "number"), True),)


class WorkflowInstance(Table):
    """`rows.WorkflowInstanceRow`."""

    id = BigAutoField()
    event_no = BigIntegerField()
    name = TextField()
    version_digest = TextField()
    state = BigIntegerField()
    params = TextField()
    startup = TextField()
    submit_dir = TextField(null=True)
    dry_run = BigIntegerField()
    base_time = BigIntegerField()
    start_time = BigIntegerField()
    end_time = BigIntegerField(null=True)
    reason = TextField()
    message = TextField()
    owner = BigIntegerField()
    owner_epoch = BigIntegerField()
    priority = BigIntegerField()
    timeout_at = BigIntegerField()
    warned_at = BigIntegerField(null=True)
    attention = TextField()


# Recovery pages through what has not ended, however long the history is.
WorkflowInstance.add_index(
    WorkflowInstance.id,
    name="workflow_instance_live",
    where=WorkflowInstance.state.not_in(sorted(WORKFLOW_FINAL)),
)
# Each start asks what is parked, which next to nothing is: an insert pays nothing for it.
WorkflowInstance.add_index(
    WorkflowInstance.id,
    name="workflow_instance_parked",
    where=WorkflowInstance.attention != "",
)


class TaskInstance(Table):
    """`rows.TaskInstanceRow`."""

    id = BigAutoField()
    event_no = BigIntegerField()
    workflow_instance_id = BigIntegerField()
    node = BigIntegerField()
    name = TextField()
    type = TextField()
    state = BigIntegerField()
    attempt = BigIntegerField()
    try_no = BigIntegerField()
    failover_no = BigIntegerField()
    worker = TextField(null=True)
    boot = TextField(null=True)
    dispatch_id = BigIntegerField()
    seq = BigIntegerField()
    eligible_at = BigIntegerField()
    submit_time = BigIntegerField()
    start_time = BigIntegerField(null=True)
    end_time = BigIntegerField(null=True)
    host = TextField(null=True)
    pid = BigIntegerField(null=True)
    exit_code = BigIntegerField(null=True)
    reason = TextField()
    message = TextField()
    outputs = TextField()
    tail = TextField()
    kill_reason = TextField(null=True)
    timeout_at = BigIntegerField()
    warned_at = BigIntegerField(null=True)
    unreachable_at = BigIntegerField(null=True)

    class Meta:
        indexes = (
            # A node has one row; people's lists are in graph order; ID/TASK is found by it.
            (("workflow_instance_id", "node"), True),
            # Recovery pages by id, which every index entry ends with.
            (("workflow_instance_id",), False),
        )


class TaskAttempt(Table):
    """`rows.TaskAttempt`; without rowid, so that the key is the table and no second tree."""

    task_instance_id = BigIntegerField()
    attempt = BigIntegerField()
    state = BigIntegerField()
    worker = TextField(null=True)
    dispatch_id = BigIntegerField()
    start_time = BigIntegerField(null=True)
    end_time = BigIntegerField(null=True)
    host = TextField(null=True)
    pid = BigIntegerField(null=True)
    exit_code = BigIntegerField(null=True)
    reason = TextField()
    message = TextField()
    outputs = TextField()
    tail = TextField()

    class Meta:
        primary_key = peewee.CompositeKey("task_instance_id", "attempt")
        without_rowid = True


class TaskEvent(Table):
    """`rows.TaskEvent`; its id is the highest plus one, which no AUTOINCREMENT (0.4 µs) betters."""

    id = BigAutoField()
    task_instance_id = BigIntegerField()
    workflow_instance_id = BigIntegerField()
    event_no = BigIntegerField()
    event = BigIntegerField()
    from_state = BigIntegerField(null=True)
    to_state = BigIntegerField(null=True)
    at = BigIntegerField()
    actor = TextField()
    attempt = BigIntegerField()
    try_no = BigIntegerField()
    failover_no = BigIntegerField()
    worker = TextField(null=True)
    boot = TextField(null=True)
    dispatch_id = BigIntegerField()
    callback_seq = BigIntegerField()
    eligible_at = BigIntegerField()
    host = TextField(null=True)
    detail = TextField()

    class Meta:
        indexes = (
            (("task_instance_id",), False),  # the trace of one task
            (("workflow_instance_id",), False),  # what changed after an id, which entries end with
        )


class Intent(Table):
    """`rows.IntentRow`."""

    request_id = TextField(primary_key=True)
    digest = TextField()
    kind = TextField()
    answer = TextField()
    at = BigIntegerField()

    class Meta:
        without_rowid = True


class DeadLetter(Table):
    """`rows.DeadLetter`."""

    id = BigAutoField()
    at = BigIntegerField()
    actor = TextField()
    sender = TextField()
    reason = TextField()
    body = TextField()
    key = TextField()
    workflow_instance_id = BigIntegerField()


#: Struct → model, for what actors write.
MODELS: dict[type[rows.Row], type[Table]] = {
    rows.WorkerRow: Worker,
    rows.WorkflowVersion: WorkflowVersion,
    rows.WorkflowInstanceRow: WorkflowInstance,
    rows.TaskInstanceRow: TaskInstance,
    rows.TaskAttempt: TaskAttempt,
    rows.TaskEvent: TaskEvent,
    rows.IntentRow: Intent,
    rows.DeadLetter: DeadLetter,
}
TABLES: tuple[type[Table], ...] = (Cluster, Master, *MODELS.values())
