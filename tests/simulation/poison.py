"""Poison: what crashes whoever receives it, until an upgrade cures it.

It stands for bugs of `receive` that one message or one instance's rows bring out: not planted in
the product, which must live with them, but raised before the actor is reached.
"""

from typing import TYPE_CHECKING, Any

from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.messages import Place, RecoverTasks, StartWorkflow
from stenella.actors.suspects import Redelivered
from stenella.protocol.commands import TaskExecuteRequest, TaskExecuteResponse, TaskExecuteRunning

from .story import Violation

if TYPE_CHECKING:
    from .world import World

#: The instance that is poisonous; and the workflow, before it is an instance.
NUMBER, NAME = 2, b'"name":"w1"'
KINDS = ("result", "running", "row", "placing", "submit", "request")

EACH = ("result", "running", "request")  # each message of the instance is its own poison


class Poisoned(Exception):
    """`receive` has raised."""


class Poison:
    """Which messages are poisonous in this world, and whether any has been met."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.kind = world.options.crasher
        self.strikes = 0
        self.struck_ms = 0  # when it did last

    def strike(self, actor: Any, message: Any) -> None:
        """Raises `Poisoned` where ``actor`` is not to survive ``message``."""
        if self.kind and self._is_poisonous(actor, message):
            self.strikes += 1
            self.struck_ms = self.world.now_ms
            if self.strikes > self._strikes_max():
                raise Violation("poison is quarantined", f"after {self.strikes} crashes {message}")
            raise Poisoned(f"{self.kind}: {message}")

    @property
    def met(self) -> bool:
        """Whether anything has crashed by it."""
        return self.strikes > 0

    def _strikes_max(self) -> int:
        """Twice for each message there is, and some of a first window that blamed too many."""
        options, tries_max = self.world.options, 3
        if self.kind in EACH:
            return 8 + 2 * tries_max * options.tasks_max
        if self.kind == "placing":  # not on disk yet, its submit is put aside, and then the next
            return 8 + 2 * options.instances
        return 8

    def cure(self) -> None:
        """The program is mended."""
        self.kind = ""

    def _is_poisonous(self, actor: Any, message: Any) -> bool:
        if isinstance(message, Redelivered):
            message = message.command
        match self.kind, message:
            case "result", TaskExecuteResponse():
                return message.workflow_instance_id == NUMBER
            case "running", TaskExecuteRunning():
                return message.workflow_instance_id == NUMBER
            case "request", TaskExecuteRequest():
                return message.workflow_instance_id == NUMBER
            case "row", RecoverTasks():
                return any(row.workflow_instance_id == NUMBER for row in message.rows)
            case "placing", Place() if isinstance(actor, EventPersister):
                return actor.instance_of(message.task_instance_id) == NUMBER
            case "submit", StartWorkflow():
                return NAME in message.definition
        return False
