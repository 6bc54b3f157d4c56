"""Which actors make a node, and which of them a command from outside is for.

The same wiring runs in production and in the simulation. Not placing a command in a table is a
bug that `tests/actors/test_roles.py` finds: the tables cover the unions of ``protocol/commands``.
"""

from collections.abc import Callable

from ..protocol import commands
from .base import Actor
from .master.dispatcher import Dispatcher
from .master.event_persister import EventPersister
from .master.gateway import Gateway
from .master.liveness import Terms
from .master.registry import Registry
from .master.sweeper import Sweeper
from .master.workflow_executor import WorkflowExecutor
from .worker.callback_sender import CallbackSender
from .worker.executor import Executor
from .worker.identity import Identity
from .worker.log_reader import LogReader
from .worker.membership import Membership
from .worker.retry_reporter import RetryReporter

#: The peer that a worker's one link leads to, whatever its routing id.
MASTER_PEER = b"master"

MASTER_ROUTES: dict[type[commands.Command], str] = {
    commands.WorkerRegister: "registry",
    commands.Heartbeat: "registry",
    commands.WorkerDrained: "registry",
    commands.TaskExecuteRequestAck: "dispatcher",
    commands.TaskKillResponse: "dispatcher",
    commands.TaskExecuteRunning: "event_persister",
    commands.TaskExecuteResponse: "event_persister",
    commands.LogChunk: "gateway",
    commands.DebugReply: "gateway",
    commands.Refused: "gateway",
    commands.Submit: "gateway",
    commands.Stop: "gateway",
    commands.WorkerOrder: "gateway",
    commands.KillTask: "gateway",
    commands.LetterRetry: "gateway",
    commands.LetterDrop: "gateway",
    commands.Shutdown: "gateway",
    commands.StatusRead: "gateway",
    commands.InstanceRead: "gateway",
    commands.InstanceList: "gateway",
    commands.DefinitionRead: "gateway",
    commands.InstanceWatch: "gateway",
    commands.ExplainRead: "gateway",
    commands.LogRead: "gateway",
    commands.DebugRequest: "gateway",
}

WORKER_ROUTES: dict[type[commands.Command], str] = {
    commands.WorkerWelcome: "membership",
    commands.WorkerRefused: "membership",
    commands.HeartbeatAck: "membership",
    commands.WorkerAdjust: "membership",
    commands.WorkerDrain: "membership",
    commands.DebugRequest: "membership",
    commands.TaskExecuteRequest: "executor",
    commands.TaskKillRequest: "executor",
    commands.TaskExecuteRunningAck: "callback_sender",
    commands.TaskExecuteResponseAck: "callback_sender",
    commands.LogRead: "log_reader",
}


def master_actors(
    *,
    master: int,
    epoch: int,
    endpoint: str,
    pid: int,
    terms: Terms,
    kill_grace_ms: int,
    failover_max: int,
    linger_ms: int | None = None,
) -> dict[str, Actor]:
    """The actors of a master, in the order in which they are started."""
    return {
        "gateway": Gateway(master, endpoint, pid, linger_ms),
        "workflow_executor": WorkflowExecutor(master, epoch),
        "event_persister": EventPersister(master, epoch, kill_grace_ms, failover_max),
        "dispatcher": Dispatcher(epoch),
        "sweeper": Sweeper(),
        "registry": Registry(master, epoch, terms),
    }


def task_owner(actors: dict[str, Actor]) -> Callable[[int], int | None]:
    """Which instance a task of a master belongs to, for whoever looks for the cause of a crash."""
    persister = actors["event_persister"]
    assert isinstance(persister, EventPersister)
    return persister.instance_of


def worker_actors(
    identity: Identity,
    *,
    epoch: int,
    heartbeat_ms: int,
    kill_grace_ms: int,
    processes_max: int = 0,
) -> dict[str, Actor]:
    """The actors of a worker, in the order in which they are started."""
    return {
        "membership": Membership(identity, MASTER_PEER, epoch, heartbeat_ms),
        # Its journal is read before the executor's, which may have ends to report at once.
        "callback_sender": CallbackSender(MASTER_PEER),
        "executor": Executor(identity, MASTER_PEER, kill_grace_ms, processes_max),
        "retry_reporter": RetryReporter(),
        "log_reader": LogReader(MASTER_PEER),
    }
