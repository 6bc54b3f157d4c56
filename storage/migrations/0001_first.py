"""The first schema: a frozen copy of its day's models, which later models do not change."""

import peewee
from peewee import BigAutoField, BigIntegerField, BlobField, TextField


class Table(peewee.Model):
    class Meta:
        legacy_table_names = False


class Cluster(Table):
    id = TextField(primary_key=True)


class Master(Table):
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
    digest = TextField(primary_key=True)
    name = TextField()
    definition = BlobField()
    created_at = BigIntegerField()
    number = BigIntegerField()

    class Meta:
        indexes = ((("name", "number"), True),)


class WorkflowInstance(Table):
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


WorkflowInstance.add_index(
    WorkflowInstance.id,
    name="workflow_instance_live",
    where=WorkflowInstance.state.not_in([5, 6, 7]),
)
WorkflowInstance.add_index(
    WorkflowInstance.id,
    name="workflow_instance_parked",
    where=WorkflowInstance.attention != "",
)


class TaskInstance(Table):
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
            (("workflow_instance_id", "node"), True),
            (("workflow_instance_id",), False),
        )


class TaskAttempt(Table):
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
            (("task_instance_id",), False),
            (("workflow_instance_id",), False),
        )


class Intent(Table):
    request_id = TextField(primary_key=True)
    digest = TextField()
    kind = TextField()
    answer = TextField()
    at = BigIntegerField()

    class Meta:
        without_rowid = True


class DeadLetter(Table):
    id = BigAutoField()
    at = BigIntegerField()
    actor = TextField()
    sender = TextField()
    reason = TextField()
    body = TextField()
    key = TextField()
    workflow_instance_id = BigIntegerField()


TABLES = (
    Cluster,
    Master,
    Worker,
    WorkflowVersion,
    WorkflowInstance,
    TaskInstance,
    TaskAttempt,
    TaskEvent,
    Intent,
    DeadLetter,
)


def up(migrator: object, database: peewee.Database) -> None:
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES, safe=False)
