"""What the actors of a master tell each other; none of it can be decoded from a frame."""

from typing import Any

import msgspec

from ...protocol.commands import (
    AttemptReport,
    DebugRequest,
    LogRead,
    TaskExecuteRequest,
    TaskKillRequest,
    TaskKillResponse,
    Verdict,
)
from ...protocol.errors import Problem
from ...protocol.rows import TaskInstanceRow, WorkflowInstanceRow
from ...protocol.states import TaskState
from .cause import Cause
from .version import Version

#: The level of a medium task of a medium workflow (`requests.level_of`).
MEDIUM = 12


class Message(msgspec.Struct, frozen=True):
    """Base of a message inside the node."""


# --- gateway ⇄ workflow_executor, registry -------------------------------------------------------


class StartWorkflow(Message, frozen=True):
    """gateway → workflow_executor: make an instance of ``definition``; where that is empty, of the
    stored one with the ``definition_digest``.
    """

    request_id: str
    definition: bytes
    definition_digest: str
    params: dict[str, Any]
    submit_dir: str | None
    dry_run: bool = False


class StopWorkflow(Message, frozen=True):
    """gateway → workflow_executor: nothing new, kill what runs; may be repeated."""

    request_id: str
    workflow_instance_id: int


class KillNamed(Message, frozen=True):
    """gateway → workflow_executor: end this task, begun or not; may be repeated."""

    request_id: str
    workflow_instance_id: int
    task: str


class Unpark(Message, frozen=True):
    """gateway → workflow_executor: a person lets an instance go on that was left alone.

    The letter goes in the same commit, unless it ``is_taken_again`` in the master's next life.
    """

    request_id: str
    workflow_instance_id: int
    letter: int
    is_taken_again: bool


class Done(Message, frozen=True):
    """→ gateway: the request is carried out in this turn."""

    request_id: str
    result: dict[str, Any]
    starts_anew: bool = False  # the rows say more than this life knows: the master begins another


class NotDone(Message, frozen=True):
    """→ gateway: it is refused, and nothing was changed."""

    request_id: str
    exit_code: int
    code: str
    message: str
    problems: list[Problem] = []


class InstanceTouched(Message, frozen=True):
    """workflow_executor, event_persister → gateway: there is something new to watch."""

    workflow_instance_id: int
    ended: bool = False


class LiveInstances(Message, frozen=True):
    """workflow_executor → gateway: these have not ended, now that all are recovered."""

    workflow_instance_ids: list[int]


class InstanceStarted(Message, frozen=True):
    """workflow_executor → gateway: one more is live, until it is touched by its end."""

    workflow_instance_id: int


class TellStatus(Message, frozen=True):
    """gateway → registry: the workers, for people; ``all``: those that have left, too."""

    request_id: str
    all: bool = False


class CountRunning(Message, frozen=True):
    """registry → dispatcher: what runs where? The answer goes on to the gateway."""

    request_id: str
    workers: list[dict[str, Any]]


class Status(Message, frozen=True):
    """dispatcher → gateway."""

    request_id: str
    workers: list[dict[str, Any]]


class OrderWorker(Message, frozen=True):
    """gateway → registry: what a person wants of one worker (`WorkerOrder`)."""

    request_id: str
    worker: str
    order: str
    slots: int


class MayForget(Message, frozen=True):
    """registry → dispatcher: nothing is placed there, is it? If so, forget it, too."""

    request_id: str
    worker: str


class Forgettable(Message, frozen=True):
    """dispatcher → registry: so many attempts are placed there; 0: it is forgotten."""

    request_id: str
    worker: str
    live: int


class ExplainNamed(Message, frozen=True):
    """gateway → workflow_executor: why has this instance, or its task ``task``, not ended?"""

    request_id: str
    workflow_instance_id: int
    task: str


class Sweep(Message, frozen=True):
    """sweeper → workflow_executor → event_persister: the next ``count`` live rows, and ``again``.

    ``begins``: a new sweep. It comes back as `Explained`.
    """

    count: int
    again: list[int]
    begins: bool
    causes: list[Cause] = []  # instances that nothing would move on


class Explain(Message, frozen=True):
    """workflow_executor, gateway → event_persister → dispatcher → registry: fill in the causes.

    ``nodes`` of the instance ``workflow_instance_id`` (None: all that are live) are added by the
    persister. ``page``: of a client, whose tasks are told why they wait.
    """

    to: str  # gateway or sweeper
    request_id: str
    causes: list[Cause]
    workflow_instance_id: int = 0
    nodes: list[int] | None = []
    page: dict[str, Any] | None = None
    more: bool = False


class TellStuck(Message, frozen=True):
    """gateway → sweeper: what has nobody who acts next?"""

    request_id: str


class Stuck(Message, frozen=True):
    """sweeper → gateway: documents of causes, and when they were ``found``."""

    request_id: str
    causes: list[dict[str, Any]]


class Explained(Message, frozen=True):
    """registry → gateway, sweeper: every cause as it was filled in."""

    request_id: str
    causes: list[Cause]
    page: dict[str, Any] | None
    more: bool  # of a sweep: there are more rows


class DrainAll(Message, frozen=True):
    """gateway → registry, dispatcher: the cluster goes down."""

    request_id: str
    wait_ms: int
    keep: bool


class Relay(Message, frozen=True):
    """gateway → registry: pass a request on to a worker, or to all (``worker`` None)."""

    worker: str | None
    command: LogRead | DebugRequest


class Relayed(Message, frozen=True):
    """registry → gateway: to how many workers it went."""

    request_id: str
    count: int


# --- workflow_executor ⇄ event_persister ---------------------------------------------------------


class AdmitInstance(Message, frozen=True):
    """workflow_executor → event_persister: this instance is live; keep its tasks."""

    instance: WorkflowInstanceRow
    version: Version


class RecoverTasks(Message, frozen=True):
    """workflow_executor → event_persister: rows of a live instance, read at start."""

    rows: list[TaskInstanceRow]


class CreateTasks(Message, frozen=True):
    """workflow_executor → event_persister: these nodes may run."""

    workflow_instance_id: int
    nodes: list[int]


class CloseNodes(Message, frozen=True):
    """workflow_executor → event_persister: these nodes will never run; say why."""

    workflow_instance_id: int
    nodes: list[tuple[int, TaskState, str]]


class Retry(Message, frozen=True):
    """workflow_executor → event_persister: another attempt, eligible after ``wait_ms``."""

    task_instance_id: int
    wait_ms: int
    costs_try: bool
    costs_failover: bool


class KillTasks(Message, frozen=True):
    """workflow_executor → event_persister: end every live task of the instance."""

    workflow_instance_id: int
    reason: str
    first: int = 0  # rows before are done; the persister cuts the work into slices


class KillNode(Message, frozen=True):
    """workflow_executor → event_persister: end this task and answer the request; it may have no
    row yet, and then gets one that is final."""

    request_id: str
    workflow_instance_id: int
    node: int


class EndInstance(Message, frozen=True):
    """workflow_executor → event_persister: it has ended; its tasks may leave memory."""

    workflow_instance_id: int


class TaskEnded(Message, frozen=True):
    """event_persister → workflow_executor: an attempt reached a final state."""

    workflow_instance_id: int
    task_instance_id: int
    node: int
    state: TaskState
    reason: str
    try_no: int
    failover_no: int
    is_to_end: bool = False  # its end had been asked for: whatever it became, it is not tried again


# --- event_persister ⇄ dispatcher ----------------------------------------------------------------


class Ready(Message, frozen=True):
    """event_persister → dispatcher: wants a slot, after ``wait_ms``."""

    task_instance_id: int
    group: str
    task_type: str
    level: int = MEDIUM  # of `requests.level_of`: 0 goes first
    wait_ms: int = 0
    waited_ms: int = 0  # for a slot, under the master before this one
    returned_from: int = 0  # the dispatch that it comes back from, to its former place


class ManyReady(Message, frozen=True):
    """event_persister → dispatcher: what became ready together; one message, not a thousand."""

    ready: list[Ready]


class Withdrawn(Message, frozen=True):
    """event_persister → dispatcher: it was ready, and has ended before it was placed."""

    task_instance_id: int
    group: str
    task_type: str


class Place(Message, frozen=True):
    """One of `PlaceAll`: may it go there? The row decides."""

    task_instance_id: int
    worker: str
    boot: str
    dispatch_id: int


class PlaceAll(Message, frozen=True):
    """dispatcher → event_persister: what it places in one go."""

    places: list[Place]


class Placed(Message, frozen=True):
    """One of `PlacedAll`: DISPATCH is written; send this."""

    worker: str
    request: TaskExecuteRequest


class PlacedAll(Message, frozen=True):
    """event_persister → dispatcher: those of `PlaceAll` that are to run."""

    placed: list[Placed]


class NotPlaced(Message, frozen=True):
    """event_persister → dispatcher: it is not to run (any more); the slot is free again."""

    worker: str
    dispatch_id: int


class Return(Message, frozen=True):
    """dispatcher → event_persister: the worker refused it, or promises that it never began."""

    task_instance_id: int
    dispatch_id: int
    reason: str


class Answered(Message, frozen=True):
    """event_persister → dispatcher: a callback proves that the request arrived."""

    dispatch_id: int


class Occupied(Message, frozen=True):
    """event_persister → dispatcher, at recovery: this dispatch is there, and holds its slot."""

    worker: str
    dispatch_id: int
    task_instance_id: int
    task_type: str


class Ended(Message, frozen=True):
    """event_persister → dispatcher: the dispatch holds no slot any more."""

    worker: str
    dispatch_id: int


class SendAgain(Message, frozen=True):
    """event_persister → dispatcher: the worker never got it; same dispatch, same worker."""

    worker: str
    request: TaskExecuteRequest


class SendKill(Message, frozen=True):
    """event_persister → dispatcher: repeat until the worker answers."""

    worker: str
    request: TaskKillRequest


class KillFailed(Message, frozen=True):
    """dispatcher → event_persister: the worker has tried, and goes on trying."""

    worker: str
    answer: TaskKillResponse


# --- registry ⇄ event_persister, dispatcher ------------------------------------------------------


class Judge(Message, frozen=True):
    """registry → event_persister: a worker's listing, to be held against the rows."""

    worker: str
    boot: str
    known_journal: bool  # journal and kernel boot are those of the last registration
    judge_missing: bool  # the first listing of this boot under this epoch
    attempts: list[AttemptReport]
    former_boot: str = ""  # of the last registration


class Verdicts(Message, frozen=True):
    """event_persister → registry: one for each listed attempt."""

    worker: str
    boot: str
    verdicts: list[Verdict]


class WorkerUp(Message, frozen=True):
    """registry → dispatcher: welcomed; it may be given work."""

    worker: str
    boot: str
    peer: bytes
    groups: list[str]
    slots: int
    types: list[str]
    draining: bool = False  # a person wants it to take nothing


class WorkerChanged(Message, frozen=True):
    """registry → dispatcher: a person wants this of it from now on."""

    worker: str
    slots: int
    draining: bool


class WorkerBeat(Message, frozen=True):
    """registry → dispatcher: a heartbeat of a welcomed worker; to be acknowledged."""

    worker: str
    boot: str
    peer: bytes
    number: int
    free_slots: int
    draining: bool
    slots: int
    no_disk: bool = False


class WorkerSilent(Message, frozen=True):
    """registry → dispatcher: not heard for a while; give it nothing until it beats."""

    worker: str


class WorkerDead(Message, frozen=True):
    """registry → event_persister: declared dead in this turn, or by a former life; hand over what
    it has.
    """

    worker: str
    host: str
    since_ms: int  # wall time: not heard after that


class RecoverWorkers(Message, frozen=True):
    """workflow_executor → registry: all instances are rebuilt; you are last."""
