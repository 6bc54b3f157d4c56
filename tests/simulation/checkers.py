"""The checkers: outside the system, at its databases, its wire and its processes.

They know the invariants of reliability.md section 3 and DESIGN's contracts, no actor's state; only
at the end, when everything is to be quiet, they ask the actors what they hold back.
"""

import json
from typing import TYPE_CHECKING, Any

from stenella.protocol.commands import (
    Answer,
    Command,
    InstanceChanged,
    Refused,
    TaskExecuteRequest,
    TaskExecuteRequestAck,
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunning,
    TaskExecuteRunningAck,
    TaskKillRequest,
    TaskKillResponse,
    WorkerRegister,
    WorkerWelcome,
)
from stenella.protocol.rows import Batch
from stenella.protocol.states import TASK_FINAL, WORKFLOW_FINAL
from stenella.workflow.references import Reference, pieces

from .journals import Journals
from .leases import Leases
from .looking import Looker
from .processes import Processes
from .rows import Rows
from .story import Violation
from .twin import Twin
from .watches import Watches

if TYPE_CHECKING:
    from .machine import Process
    from .node import Node
    from .worker_node import WorkerNode
    from .world import World


class Checkers:
    """What the world shows them, step by step."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rows = Rows(world)
        self.watches = Watches(world, self.rows)
        self.journals = Journals()
        self.leases = Leases(world, self.rows)
        self.processes = Processes(world, self.rows, self.journals, self.leases)
        self.looker: Looker | None = None  # who looks inside; most worlds have none

    # --- commits ----------------------------------------------------------------------------------

    def on_master_commit(self) -> None:
        """Every row that changed is looked at."""
        self.rows.look()
        self.watches.on_commit()
        self.leases.look(self.rows.new_events)
        for event in self.rows.ended_now:
            self.processes.is_gone(event)
        for row in self.rows.just_ended:
            self.processes.none_is_left_of(row)

    def on_worker_commit(self, node: "WorkerNode", batch: Batch) -> None:
        """What has left the journal was allowed to."""
        assert not isinstance(node, Twin)
        self.journals.look(node)

    # --- the wire ---------------------------------------------------------------------------------

    def on_send(self, node: "Node", commands: list[Command]) -> None:
        """I6 and its like: what is said is on disk."""
        if isinstance(node, Twin):
            node.says(commands)
            return
        self.leases.on_send(node, commands)
        if self.looker is not None and node is self.world.master:
            self.looker.on_send(node, commands)
        for command in commands:
            if isinstance(command, TaskKillResponse):
                self.processes.on_kill_answer(node.name, command)
        for command in commands:
            match command:
                case TaskExecuteRunningAck(outcome="ok") | TaskExecuteResponseAck(outcome="ok"):
                    self._committed_callback(command)
                case TaskExecuteRequest():
                    self._committed_dispatch(command)
                    self._parents_outputs(command)
                case TaskKillRequest() if command.dispatch_id not in self.rows.kills:
                    raise Violation("I6 kill on disk", f"{command}", command.task_instance_id)
                case WorkerWelcome(judged=True) if not self.rows.knows_boot(command.to_boot):
                    raise Violation("§5 worker row before its Welcome", f"{command}")
                case Answer():
                    self.on_answer(command)
                case InstanceChanged():
                    self.watches.on_send(command)
                case Refused(code="storage_stalled"):
                    if not self.rows.has_intent(command.request_id):
                        self.rows.refused[command.request_id] = node.wall_ms()
                case TaskExecuteRequestAck() if command.dispatch_id in self.processes.never:
                    continue  # accepted and dropped in one turn
                case TaskExecuteRequestAck() | TaskExecuteRunning() | TaskExecuteResponse():
                    self.journals.journalled(node.name, command)
                    if isinstance(command, TaskExecuteResponse):
                        self.processes.on_result(node, command)
                case WorkerRegister() if node.boot not in self.journals.met_warden:
                    raise Violation("§6 the warden answers before the Register", f"{command}")

    def on_arrival(self, node: "Node", sender: str, commands: list[Command]) -> None:
        """What has been said, to a worker or by one."""
        if isinstance(node, Twin):
            return
        if node is self.world.master:
            self.rows.said.arrived(sender, commands)
            if self.looker is not None:
                self.looker.on_arrival(node, commands)
        else:
            self.journals.told(node.name, commands)
            self.leases.told(node, commands)
            self.processes.told(node, commands)

    def on_think(self, node: "Node") -> None:
        """A turn is thought."""
        if node is self.world.master:
            self.rows.waits.on_think()

    def on_answer(self, answer: Answer) -> None:
        """I1: what was acknowledged is there, with its intent."""
        number = answer.result.get("workflow_instance_id")
        if number is None:
            return
        if number not in self.rows.instances or not self.rows.has_intent(answer.request_id):
            raise Violation("I1 no lost submission", f"{answer}")
        self.rows.acknowledged[number] = answer.request_id
        if task := answer.result.get("task_instance_id"):
            row = self.rows.tasks[task]
            if row["kill_reason"] is None and row["state"] not in TASK_FINAL:
                raise Violation("I6 a kill is on disk before it is answered", f"{answer}", task)

    def _committed_callback(self, ack: TaskExecuteRunningAck | TaskExecuteResponseAck) -> None:
        applied = self.rows.seqs.get((ack.task_instance_id, ack.dispatch_id), 0)
        if applied < ack.seq:
            text = f"{ack} while seq {applied} is on disk"
            raise Violation("I6 ack only after commit", text, ack.task_instance_id)

    def _committed_dispatch(self, request: TaskExecuteRequest) -> None:
        event = self.rows.dispatches.get(request.dispatch_id)
        asked = request.task_instance_id, request.attempt
        if event is None or (event["task_instance_id"], event["attempt"]) != asked:
            text = f"{request} before its DISPATCH"
            raise Violation("I6 placed before sent", text, request.task_instance_id)

    def _parents_outputs(self, request: TaskExecuteRequest) -> None:
        """I21: exactly the committed outputs of the parents."""
        instance = self.rows.instances[request.workflow_instance_id]
        definition, graph = self.rows.definition(instance)
        (task,) = (task for task in definition.tasks if task.name == request.task)
        for name, text in task.params.items():
            (piece,) = pieces(str(text))
            assert isinstance(piece, Reference)
            assert piece.task is not None
            parent = self.rows.tasks_of[instance["id"]][graph.index[piece.task]]
            if request.params[name] != json.loads(parent["outputs"])[piece.name]:
                raise Violation("I21 outputs", f"{name} of {request}", request.task_instance_id)

    # --- processes --------------------------------------------------------------------------------

    def on_hello_answered(self, node: "WorkerNode") -> None:
        """The warden has told this life what there is."""
        self.journals.met_warden.add(node.boot)

    def on_spawn(self, node: "WorkerNode", process: "Process") -> None:
        """A task's command begins."""
        if isinstance(node, Twin):
            node.spawns(process)
        self.leases.on_spawn(node, process)
        self.processes.on_spawn(node, process)

    def on_end(self, node: "WorkerNode", process: "Process") -> None:
        """A process is no more."""
        self.leases.on_end(node, process)
        self.processes.on_end(process)

    def on_record(self, node: "WorkerNode", record: dict[str, Any]) -> None:
        """The warden's log has a line more."""
        if isinstance(node, Twin):
            return
        self.processes.on_record(record)

    def on_power_cut(self, node: "WorkerNode") -> None:
        """A journal is as it was a while ago."""
        self.journals.on_power_cut(node)
        self.processes.on_power_cut(node)

    # --- the end ----------------------------------------------------------------------------------

    def unrest(self) -> tuple[str, int] | None:
        """What has not ended yet, and a task that it concerns; None if all is quiet."""
        world = self.world
        self.nothing_is_stuck()
        for instance in self.rows.instances.values():
            if instance["state"] not in WORKFLOW_FINAL:
                tasks = self.rows.tasks_of.get(instance["id"], {}).values()
                live = [task["id"] for task in tasks if task["end_time"] is None]
                return f"instance {instance['id']} is live, tasks {live}", (live or [0])[0]
        for client in world.clients:
            if client.to_submit or client.pending:
                waiting = list(client.pending) or "submits to come"
                return f"{client.name} waits for {waiting}", 0
        return None

    def nothing_is_stuck(self) -> None:
        """The master's own sweeper has found nobody without an owner. Raises `Violation`."""
        if (boxes := self.world.master.mailboxes) is not None:
            sweeper: Any = boxes.counted["sweeper"].actor
            for number, cause in sweeper.stuck.items():
                raise Violation("§1 whatever lives has somebody who acts next", f"{cause}", number)

    def leftover(self) -> tuple[str, int] | None:
        """What is left when everything has ended, and a task that it concerns."""
        world = self.world
        for node in [world.master, *world.present]:
            if node.mailboxes is None or not node.alive:
                return f"{node.name} is down", 0
            for name, counted in node.mailboxes.counted.items():
                if counted.held():
                    return f"{name} of {node.name} holds back {counted.held()}", 0
        return self.journals.left(world.present) or self.processes.left(world.present)

    def at_end(self) -> None:
        """What can only be judged when everything is over."""
        self.rows.at_end()
        self.processes.at_end()
