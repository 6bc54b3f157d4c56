"""Which actors make a worker, and which of them a command from its master is for.

The same wiring runs in production and in the simulation; apart from the master's, which no worker
needs to have in its memory. `tests/actors/test_roles.py` compares the table with the protocol.
"""

from ...protocol import commands
from ..base import Actor
from .callback_sender import CallbackSender
from .executor import Executor
from .identity import Identity
from .log_reader import LogReader
from .membership import Membership
from .retry_reporter import RetryReporter

#: The peer that a worker's one link leads to, whatever its routing id.
MASTER_PEER = b"master"

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
