"""Every command on the wire, one frozen struct each; the class name is the tag.

Imperative names ask (`TaskExecuteRequest`), past or noun names tell a fact (`TaskExecuteRunning`),
receipts end in ``Ack``. Unknown fields are skipped by the decoder, so a node one version behind
understands us; new fields have defaults.
Integers stay below 2**63 so that SQLite and PostgreSQL can hold them. Wall times are epoch
milliseconds. Who sends and who repeats what: DESIGN section 5.
"""

from typing import Annotated, Any

import msgspec

from .errors import Problem

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Wall = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]  # epoch milliseconds
Name = Annotated[str, msgspec.Meta(max_length=255)]
RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
#: Of a message or a log's end; whoever makes one clips it (`clipped`).
TEXT_MAX = 65_536
Text = Annotated[str, msgspec.Meta(max_length=TEXT_MAX)]


def clipped(text: str) -> str:
    """``text`` as it may travel: its beginning, which names the cause."""
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 2] + " …"


class Command(msgspec.Struct, frozen=True, tag=True, kw_only=True, omit_defaults=True):
    """Base of everything that travels in a frame; what is as by default stays at home."""


class OfAttempt(Command, frozen=True):
    """Base of what is said about one attempt of one task instance."""

    task_instance_id: Id
    workflow_instance_id: Id
    attempt: Id  # from 1
    dispatch_id: Id  # rising, unique in the cluster
    epoch: Id  # of the master that placed it, or that now asks


# --- worker ⇄ master: liveness and reconciliation -----------------------------------------------


class AttemptReport(msgspec.Struct, frozen=True):
    """What a worker has of one attempt, in its registration."""

    task_instance_id: Id
    workflow_instance_id: Id
    attempt: Id
    dispatch_id: Id
    #: accepted: this life will begin it; abandoned: a former life accepted it and never began it;
    #: begun: it runs; ended: its RESULT is journalled and will come.
    phase: Name


class WorkerRegister(Command, frozen=True):
    """Worker → master, repeated until welcomed: who I am and everything I have."""

    worker: Name
    boot: Name
    life: Id  # +1 per start of this worker
    kernel_boot: Name
    journal: Name  # id of its journal
    epoch: Id  # the highest epoch it knows; 0: none
    groups: list[Name]
    slots: Id
    types: list[Name]
    version: Name
    pid: Id
    host: Name
    attempts: list[AttemptReport]
    number: Id = 0  # counted with the heartbeats'; the Welcome names it
    #: Kernel boot and pid namespace, if the master may watch the warden there instead of giving a
    #: lease; empty: it may not, the worker is not of the master's own home.
    machine: Name = ""
    warden_pid: Id = 0
    warden_ticks: Id = 0  # when it started, field 22 of /proc/<pid>/stat


class Verdict(msgspec.Struct, frozen=True):
    """The master's judgement of one reported attempt."""

    task_instance_id: Id
    dispatch_id: Id
    verdict: Name  # keep, fenced, unknown


class WorkerWelcome(Command, frozen=True):
    """Master → worker: you are known. Not ``judged``: only the epoch counts, register again."""

    master: Id
    epoch: Id
    to_boot: Name
    judged: bool
    verdicts: list[Verdict]
    number: Id = 0  # of the Register that is answered
    lease_ms: Id = 0  # from the sending of what is answered; 0: no lease, the warden is watched
    fence_grace_ms: Id = 0  # from the lease's end until nothing of it may run any more


class WorkerRefused(Command, frozen=True):
    """Master → worker: the registration is not taken; the worker goes on asking, slower."""

    epoch: Id
    to_boot: Name
    reason: Name  # duplicate_identity
    message: Text


class Heartbeat(Command, frozen=True):
    """Worker → master every ``heartbeat_s``; any figure changed makes refusals void."""

    boot: Name
    number: Id
    sent_ms: Wall
    free_slots: Id
    load: float
    memory_free_bytes: Id
    disk_free_bytes: Id
    hub_lag_ms: Id
    draining: bool = False
    slots: Id = 0  # that it goes by now; 0: a worker that cannot be resized
    no_disk: bool = False  # too little room: it refuses until there is more
    warden_pid: Id = 0  # as in the registration; a warden may be replaced
    warden_ticks: Id = 0


class HeartbeatAck(Command, frozen=True):
    """Master → worker; ``welcomed`` false: register. Below ``settled_below`` all is answered."""

    number: Id
    epoch: Id
    to_boot: Name
    welcomed: bool
    settled_below: Id


class WorkerAdjust(Command, frozen=True):
    """Master → worker, again after each heartbeat that says otherwise: what people want of it."""

    epoch: Id
    to_boot: Name
    draining: bool  # refuse what is new; what runs goes on
    slots: Id
    restart: bool = False  # leave and begin another life; tasks stay with the warden


class WorkerDrain(Command, frozen=True):
    """Master → worker at shutdown: take nothing more, wait, then stop what is left, then leave."""

    epoch: Id
    to_boot: Name
    wait_ms: Id
    keep: bool  # leave running tasks to the warden, for the next life


class WorkerDrained(Command, frozen=True):
    """Worker → master: nothing runs here (or all of it is kept), everything was acknowledged."""

    boot: Name


# --- worker ⇄ master: the task ------------------------------------------------------------------


class TaskExecuteRequest(OfAttempt, frozen=True):
    """Master → worker: run this. Repeated by the dispatcher with the same dispatch_id."""

    to_boot: Name
    workflow: Name
    task: Name
    task_type: Name
    script: str | None
    params: dict[str, Any]  # resolved values
    origins: dict[str, str]  # where each came from: workflow, task, startup, upstream task
    env: dict[str, str]
    outputs: dict[str, Any]  # declared names → default; a missing default is absent from `required`
    required: list[str]  # declared outputs without a default
    working_dir: str | None
    submit_dir: str | None
    base_time: Wall
    kill_grace_ms: Id = 10_000
    dry_run: bool = False  # succeed at once, touch nothing
    limit_ms: Id = 0  # the warden ends it so long after its start; 0: never
    command: list[str] = []  # instead of a script: program and arguments
    file: str | None = None
    python: str | None = None
    run_as: Name | None = None
    keep: bool = False  # it outlives its owner's lease


class TaskExecuteRequestAck(OfAttempt, frozen=True):
    """Worker → master: it is in my journal, or refused (the words: docs/operations.md)."""

    accepted: bool
    reason: Name = ""  # of a refusal


class TaskExecuteRunning(OfAttempt, frozen=True):
    """Worker → master: it began. Journalled before it is sent, repeated until acknowledged.

    Of an attempt that takes long to prepare there are two: pid 0, then with its process.
    """

    seq: Id
    start_time: Wall
    host: Name
    pid: Id
    log: Name


class TaskExecuteResponse(OfAttempt, frozen=True):
    """Worker → master: it ended. ``status``: a final TaskState (LOST: NEED_FAULT_TOLERANCE)."""

    seq: Id
    status: Name
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)] | None
    reason: Name  # "" on success, else a stable word
    message: Text
    start_time: Wall | None
    end_time: Wall
    host: Name
    pid: Id
    log: Name
    outputs: dict[str, Any]
    tail: Text  # last lines of the log


class TaskExecuteRunningAck(OfAttempt, frozen=True):
    """Master → worker: committed. ``outcome`` ok, fenced, unknown."""

    seq: Id
    outcome: Name


class TaskExecuteResponseAck(OfAttempt, frozen=True):
    """Master → worker: the result is committed; forget the attempt."""

    seq: Id
    outcome: Name


class TaskKillRequest(OfAttempt, frozen=True):
    """Master → worker: end it. Repeated by the dispatcher until any `TaskKillResponse`."""

    to_boot: Name
    reason: Name  # person
    grace_ms: Id


class TaskKillResponse(OfAttempt, frozen=True):
    """Worker → master: never_began, killing (journalled), ended; or kill_failed, of itself, again
    and again while processes are left that KILL does not end."""

    outcome: Name
    pids: list[Id] = []


# --- client ⇄ master ----------------------------------------------------------------------------


class Request(Command, frozen=True):
    """Base of what a client asks; it repeats with the same ``request_id`` until answered."""

    request_id: RequestId


class Intent(Request, frozen=True):
    """A request with an effect: same id and digest, same answer; other digest, refused."""

    digest: Name  # sha256 of the body, by `codec.digest`


class DefinitionPart(Request, frozen=True):
    """A piece of a definition that is too large for one command, to be named by a `Submit` then.

    Answered with ``{"received": n}``: the bytes that the master has without a gap, ``size`` when it
    has them all; go on there. It forgets what nobody goes on with or submits.
    """

    definition_digest: Name  # sha256 of the whole, in hex
    size: Id  # of the whole
    offset: Id
    data: bytes


class Submit(Intent, frozen=True):
    """Start a workflow. ``definition``: canonical JSON of `workflow.definition`; or empty, and then
    ``definition_digest``, its sha256, names one that the master has: of an earlier submit, or sent
    by `DefinitionPart`. Refused ``unknown_definition``: it has none of that digest; send it.
    """

    definition: bytes = b""
    definition_digest: Name = ""
    params: dict[str, Any] = {}
    submit_dir: str | None = None
    dry_run: bool = False


class Stop(Intent, frozen=True):
    """Stop an instance: nothing new starts, what runs is killed. May be repeated."""

    workflow_instance_id: Id


class WorkerOrder(Intent, frozen=True):
    """What a person wants of one worker; it holds over restarts of master and worker."""

    worker: Name
    order: Name  # drain, resume, resize, restart, forget
    slots: Id = 0  # of resize


class KillTask(Intent, frozen=True):
    """End one task of an instance, begun or not; it is never tried again. May be repeated."""

    workflow_instance_id: Id
    task: Name


class LetterRetry(Intent, frozen=True):
    """Take a dead letter again; an instance that is parked for it goes on."""

    letter: Id


class LetterDrop(Intent, frozen=True):
    """Forget a dead letter; an instance that is parked for it goes on without it."""

    letter: Id


class Shutdown(Request, frozen=True):
    """Take the cluster down: dispatch stops, workers drain for ``wait_ms``, then all leave."""

    wait_ms: Id
    keep: bool


class StatusRead(Request, frozen=True):
    """Masters and workers as the registry sees them; ``all``: also workers that have left."""

    all: bool = False


class InstanceRead(Request, frozen=True):
    """One instance with its tasks, a page from ``from_node`` on; id 0 is the newest."""

    workflow_instance_id: Id
    from_node: Id = 0


class InstanceList(Request, frozen=True):
    """Instances, newest first, with ids below ``before`` (0: from the newest); at most 1,000 are
    answered.
    """

    limit: Id
    before: Id = 0


class DefinitionRead(Request, frozen=True):
    """The newest version of the workflow of that name; without one, an instance's (0: the newest).

    Answered by `InstancePage`: ``{"workflow", "version", "digest", "part": bytes of its canonical
    JSON from ``offset`` on, "next_offset"}``; what follows is asked for by ``digest``.
    """

    workflow: Name = ""
    workflow_instance_id: Id = 0
    digest: Name = ""
    offset: Id = 0


class InstanceWatch(Request, frozen=True):
    """Long poll: answered when anything of the instance changed after event ``after``.

    ``until_end``: only when it has ended, with its first tasks; for who waits and does not look.
    ``counts``, besides: with counts and the first tasks that failed instead, and so also when
    ``wait_ms`` is over; for who tells now and then how far it is.
    """

    workflow_instance_id: Id
    after: Id
    wait_ms: Id
    until_end: bool = False
    counts: bool = False


class ExplainRead(Request, frozen=True):
    """Why an instance, or its task ``task`` ("": all that live), has not ended."""

    workflow_instance_id: Id
    task: Name = ""


class LogRead(Request, frozen=True):
    """A page of a task's log by ids; attempt 0 is the current one. Passed on to the worker."""

    task_instance_id: Id
    attempt: Id
    offset: Id
    limit: Id
    workflow_instance_id: Id = 0  # filled by the master: a log's name is made of both ids


class DebugRequest(Request, frozen=True):
    """What the actors do: ``mailboxes`` of all nodes, ``peek`` into one actor of one node, what is
    ``stuck``, ``trace`` of one task instance, or ``dead-letters``, newest first.
    """

    kind: Name
    task_instance_id: Id = 0
    limit: Id = 0  # of dead letters
    letter: Id = 0  # only that one
    node: Name = ""  # of peek
    actor: Name = ""


class Answer(Command, frozen=True):
    """To an intent: done and committed."""

    request_id: Name
    result: dict[str, Any]


class Refused(Command, frozen=True):
    """Not done; ``exit_code`` is the contract of DESIGN section 9."""

    request_id: Name
    exit_code: Annotated[int, msgspec.Meta(ge=1, le=255)]
    code: Name
    message: str
    problems: list[Problem] = []


class InstancePage(Command, frozen=True):
    """To `StatusRead` and the reads below it: the JSON documents of DESIGN section 9."""

    request_id: Name
    page: Any


class InstanceChanged(Command, frozen=True):
    """To `InstanceWatch`: the instance, counts by state, and tasks changed up to event ``last``."""

    request_id: Name
    page: dict[str, Any]  # {"instance": …, "counts": {state: n}, "tasks": […], "last": event id}


class LogChunk(Command, frozen=True):
    """To `LogRead`: raw bytes from ``offset``, which is not what was asked for where bytes are not
    kept; go on behind ``data``. ``size`` is the file's length now.
    """

    request_id: Name
    attempt: Id
    offset: Id
    data: bytes
    size: Id
    complete: bool  # the attempt has ended: nothing will follow byte ``size``


class DebugReply(Command, frozen=True):
    """To `DebugRequest`: rows as JSON documents, uncommitted."""

    request_id: Name
    rows: list[Any]


FromWorker = (
    WorkerRegister
    | Heartbeat
    | WorkerDrained
    | TaskExecuteRequestAck
    | TaskExecuteRunning
    | TaskExecuteResponse
    | TaskKillResponse
    | LogChunk
    | DebugReply
    | Refused
)
FromClient = (
    Submit
    | DefinitionPart
    | Stop
    | WorkerOrder
    | KillTask
    | LetterRetry
    | LetterDrop
    | Shutdown
    | StatusRead
    | InstanceRead
    | InstanceList
    | DefinitionRead
    | InstanceWatch
    | ExplainRead
    | LogRead
    | DebugRequest
)
#: What the holder of an observer's key may ask: whatever changes nothing.
OBSERVER_MAY = (
    StatusRead,
    InstanceRead,
    InstanceList,
    InstanceWatch,
    ExplainRead,
    LogRead,
    DebugRequest,
)
#: Of a `DebugRequest`: the other kinds show what is in messages and histories.
OBSERVER_MAY_DEBUG = ("mailboxes", "stuck")
ToWorker = (
    WorkerWelcome
    | WorkerRefused
    | HeartbeatAck
    | WorkerAdjust
    | WorkerDrain
    | TaskExecuteRequest
    | TaskExecuteRunningAck
    | TaskExecuteResponseAck
    | TaskKillRequest
    | LogRead
    | DebugRequest
)
ToClient = Answer | Refused | InstancePage | InstanceChanged | LogChunk | DebugReply
