"""Which actors make a master, and which of them a command from outside is for.

The same wiring runs in production and in the simulation. Not placing a command in the table is a
bug that `tests/actors/test_roles.py` finds: it covers the unions of ``protocol/commands``.
"""

from collections.abc import Callable

from ...protocol import commands
from ..base import Actor
from .dispatcher import Dispatcher
from .event_persister import EventPersister
from .gateway import Gateway
from .liveness import Terms
from .registry import Registry
from .sweeper import Sweeper
from .workflow_executor import WorkflowExecutor

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
    commands.DefinitionPart: "gateway",
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
