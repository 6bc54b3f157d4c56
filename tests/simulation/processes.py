"""What really runs: each attempt once, no two of one task, and every recorded end counts."""

import json
from typing import TYPE_CHECKING, Any

from stenella.actors.worker.executor import PREPARING_MS, RUNNING_MS
from stenella.actors.worker.warden import LOGS_LOOK_MS
from stenella.protocol.commands import (
    Command,
    TaskExecuteRequest,
    TaskExecuteResponse,
    TaskKillRequest,
    TaskKillResponse,
)
from stenella.protocol.states import TASK_TO_FAIL_OVER, TaskState

from .journals import Journals
from .leases import Leases
from .rows import Rows
from .said import FAILOVER_MAX
from .story import Violation

if TYPE_CHECKING:
    from .machine import Process
    from .node import Node
    from .worker_node import WorkerNode
    from .world import World

Fields = dict[str, Any]
T = TaskState
#: A second of trying, ten to the next telling, and a node on its way up.
SHOWN_MS = 25_000
#: Two counts, and a warden that has to be started first.
DEFUSED_MS = 5_000
#: From the arrival of a kill until its signal, and until KILL takes effect.
SIGNALLED_MS = 2_000
BY_INTENT = {
    "timeout": T.FAILURE,
    "limit": T.FAILURE,
    "person": T.KILL,
    "shutdown": T.NEED_FAULT_TOLERANCE,
    "fence": T.NEED_FAULT_TOLERANCE,
}


class Processes:
    """Every spawn there was, what runs now, and what the wardens recorded."""

    def __init__(self, world: "World", rows: Rows, journals: Journals, leases: Leases) -> None:
        self.world, self.rows, self.journals, self.leases = world, rows, journals, leases
        self.spawned: dict[tuple[int, int], Fields] = {}  # (task, attempt) → its start
        self.lives: dict[int, int] = {}  # dispatch → its worker's life at its begin
        self.living: dict[int, list[Process]] = {}  # task → main processes
        self.ended: dict[int, Fields] = {}  # dispatch → record
        self.lost: dict[int, None] = {}
        self.unsynced: dict[int, None] = {}  # ends that a power cut may have taken
        #: Dispatches that a worker promised never to begin → the master's life that it told.
        self.never: dict[int, int] = {}
        #: dispatch → the worker's life that was asked for its end, when, and with which grace.
        self.kills: dict[int, tuple[int, int, int]] = {}

    def on_prepare(self, node: "WorkerNode", request: TaskExecuteRequest) -> None:
        """A dry run touches nothing. Raises `Violation`."""
        if self.rows.instances[request.workflow_instance_id]["dry_run"]:
            text = f"{node.name} prepares {request}"
            raise Violation("§6 a dry run touches nothing", text, request.task_instance_id)

    def on_prepared(self, node: "WorkerNode", request: TaskExecuteRequest, took_ms: int) -> None:
        """What takes long to prepare is RUNNING meanwhile. Raises `Violation`."""
        # A commit may be under way that began before the world healed.
        options, dispatch_id = self.world.options, request.dispatch_id
        slack_ms = 3 * (options.cycle_ms_max + options.commit_ms_max) + 40
        if took_ms < PREPARING_MS + slack_ms or not options.is_prompt:
            return
        here = dispatch_id in self.journals.attempts_of.get(node.name, ())
        # RUNNING, or what ended it in its preparation.
        told = any((dispatch_id, seq) in self.journals.callbacks for seq in (1, 2, 3))
        if here and not told:
            text = f"{request} after {took_ms} ms"
            raise Violation("§6 RUNNING before it is prepared", text, request.task_instance_id)

    def on_result(self, node: "Node", result: TaskExecuteResponse) -> None:
        """Whatever was written before the last of it ended is told. Raises `Violation`."""
        for worker in self.world.workers:
            if worker is node and result.exit_code is not None:
                said = "\n".join(worker.machine.said.get(result.dispatch_id, ()))
                if result.tail != said:
                    text = f"{result}, but its log is {said!r}"
                    raise Violation("what was written is told", text, result.task_instance_id)

    def on_spawn(self, node: "WorkerNode", process: "Process") -> None:
        """I11, I12. Raises `Violation`."""
        start = process.start
        number, attempt, dispatch_id = (
            start[name] for name in ("task_instance_id", "attempt", "dispatch_id")
        )

        def hold(rule: str, holds: bool) -> None:
            if not holds:
                raise Violation(rule, f"{node.name} spawns {start}", number)

        living = self.living.setdefault(number, [])
        dry = self.rows.instances[start["workflow_instance_id"]]["dry_run"]
        hold("§6 a dry run touches nothing", not dry)
        hold("I11 one run per attempt", (number, attempt) not in self.spawned)
        hold("I12 one attempt at a time", all(self._cannot_be_ended(p) for p in living))
        hold(
            "§6 journalled before it is started", (node.name, dispatch_id) in self.journals.attempts
        )
        hold("§5 never_began is a promise", self.never.get(dispatch_id) != self.world.master.life)
        hold("I15 an end is final", dispatch_id not in self.rows.ends_by_dispatch)
        self.spawned[number, attempt] = start
        self.lives[dispatch_id] = node.life if node.alive else 0
        self.rows.limits.on_spawn(process)
        living.append(process)
        running = [p for p in node.machine.processes.values() if p.main]
        hold("I28 slots", len(running) <= node.slots_max)

    def _is_out_of_reach(self, process: "Process") -> bool:
        """As above, or it was to be kept: a person or `lost_after` has ended the waiting."""
        kept = process.start["keep"] and process.start["dispatch_id"] in self.leases.given_up
        return kept or self._cannot_be_ended(process)

    def _cannot_be_ended(self, process: "Process") -> bool:
        """Its worker was declared dead, and nobody there could end it."""
        given_up = process.start["dispatch_id"] in self.leases.given_up
        return given_up and self.leases.excuses(process)

    def on_end(self, process: "Process") -> None:
        """It runs no more. Raises `Violation` where people were not told that it could not die."""
        self._was_shown(process)
        self._was_defused(process)
        self._was_looked_at(process)
        self._was_told(process)
        self._was_killed(process)
        if process.main:
            living = self.living.get(process.start["task_instance_id"], [])
            if process in living:
                living.remove(process)

    def _was_told(self, process: "Process") -> None:
        """What runs for long is RUNNING. Raises `Violation`."""
        node, options, dispatch_id = (
            process.machine.node,
            self.world.options,
            process.start["dispatch_id"],
        )
        slack_ms = 3 * (options.cycle_ms_max + options.commit_ms_max) + 100
        lived_ms = self.world.now_ms - process.start["started_ms"]
        behind = options.turn_messages * 50 < options.cycle_ms_max  # whatever it is told
        prompt = options.is_prompt and not behind
        if not process.main or not prompt or lived_ms < RUNNING_MS + slack_ms:
            return
        same_life = node.alive and self.lives.get(process.start["dispatch_id"]) == node.life
        here = dispatch_id in self.journals.attempts_of.get(node.name, ())
        told = any((dispatch_id, seq) in self.journals.callbacks for seq in (1, 2, 3))
        if same_life and here and not told:
            text = f"{process.start} after {lived_ms} ms"
            raise Violation("§6 RUNNING while it runs", text, process.start["task_instance_id"])

    def told(self, node: "Node", commands: list[Command]) -> None:
        """A worker hears: what counts is a kill by the present master."""
        for command in commands:
            if isinstance(command, TaskKillRequest) and command.to_boot == node.boot:
                known = self.journals.epochs.get(node.name) == self.world.master.life
                if known and command.epoch == self.world.master.life:
                    asked = node.life, self.world.now_ms, command.grace_ms
                    self.kills.setdefault(command.dispatch_id, asked)

    def _was_killed(self, process: "Process") -> None:
        """I20: a kill waits for nothing, not for a full disk either. Raises `Violation`."""
        options, machine, start = self.world.options, process.machine, process.start
        life, asked_ms, grace_ms = self.kills.get(start["dispatch_id"], (0, 0, 0))
        node = machine.node
        same_life = node.alive and node.life == life and not node.stands_still
        stood_ms = max(node.went_on_ms, machine.thawed_ms, machine.warden_started_ms)
        if not (same_life and options.is_roomy) or machine.frozen or stood_ms >= asked_ms:
            return
        since_ms = max(asked_ms, start["started_ms"]) + int(grace_ms / node.rate)
        late_ms = self.world.now_ms - since_ms - SIGNALLED_MS - 10 * options.cycle_ms_max
        if late_ms > 0 and not process.plan.get("stubborn_ms"):
            text = f"{start['marker']} on {node.name} ends {late_ms} ms too late"
            raise Violation("I20 a kill waits for no disk", text, start["task_instance_id"])

    def _was_looked_at(self, process: "Process") -> None:
        """A log is bounded as long as its task and its warden live, also without a worker."""
        warden, now_ms = process.parent, self.world.now_ms
        options = self.world.options
        still = options.freeze_ms or options.block_ms or options.drift
        if not process.main or warden is None or not warden.alive or still:
            return
        if process.machine.has_slept:
            return
        if not process.start["log_bytes_max"]:
            return
        began_ms = process.start["started_ms"]
        looked_ms = warden.machine.capped.get(process.start["log"], began_ms)
        if now_ms - max(began_ms, looked_ms) > 2 * LOGS_LOOK_MS:
            text = f"{process.start['log']} at {looked_ms}, ended at {now_ms}"
            number = process.start["task_instance_id"]
            raise Violation("B8 a growing log is looked at", text, number)

    def on_record(self, record: Fields) -> None:
        """`ended` and `lost`, once each."""
        dispatch_id, phase = record["dispatch_id"], record["phase"]
        if phase == "ended":
            if dispatch_id in self.ended or dispatch_id in self.lost:
                raise Violation("§6 one end", f"{record} after {self.ended.get(dispatch_id)}")
            self.ended[dispatch_id] = record
            placed = self.rows.dispatches[dispatch_id]
            start = self.spawned.get((placed["task_instance_id"], placed["attempt"]))
            if start is not None:
                self.rows.limits.on_record(record, start)
        elif phase == "lost":
            self.lost[dispatch_id] = None

    def on_power_cut(self, node: "WorkerNode") -> None:
        """What was recorded and not yet told may be forgotten; then it is called lost."""
        for dispatch_id in self.ended:
            if self.rows.dispatches[dispatch_id]["worker"] == node.name:
                self.unsynced[dispatch_id] = None

    def on_kill_answer(self, worker: str, answer: TaskKillResponse) -> None:
        """Killing is journalled; never_began is a promise. Raises `Violation`."""
        number = answer.task_instance_id
        if answer.outcome == "killing" and answer.dispatch_id not in self.journals.killed:
            raise Violation("§5 killing is journalled", f"{answer}", number)
        if answer.outcome == "never_began":
            self.never[answer.dispatch_id] = self.world.master.life
            start = self.spawned.get((number, answer.attempt))
            open_yet = answer.dispatch_id not in self.rows.ends_by_dispatch
            if open_yet and start is not None and start["dispatch_id"] == answer.dispatch_id:
                raise Violation("§5 never_began is a promise", f"{answer}", number)

    def _was_shown(self, process: "Process") -> None:
        """§6: once nothing is lost any more, what outlasts KILL is seen in its row."""
        healed_ms = self.world.healed_ms
        if process.killed_ms is None or healed_ms is None:
            return
        number, dispatch_id = (process.start[n] for n in ("task_instance_id", "dispatch_id"))
        since_ms = max(process.killed_ms, healed_ms, self.world.poison.struck_ms)
        row = self.rows.tasks[number]
        is_present = row["dispatch_id"] == dispatch_id and row["state"] in TASK_TO_FAIL_OVER
        late = self.world.now_ms - since_ms > SHOWN_MS
        # Of what is left alone nothing is taken, and who does not come back tells nothing.
        untold = process.start["workflow_instance_id"] in self.rows.parked
        if untold or process.machine.node.lost:
            return
        if late and is_present and row["reason"] != "kill_failed":
            raise Violation("§6 kill_failed is visible", f"pid {process.pid}, {row}", number)

    def _was_defused(self, process: "Process") -> None:
        """B30: what has too many processes is ended soon, where a warden is there to count."""
        healed_ms = self.world.healed_ms
        if process.bomb_ms is None or healed_ms is None or process.plan["stubborn_ms"]:
            return
        if self.world.now_ms - max(process.bomb_ms, healed_ms) > DEFUSED_MS:
            number = process.start["task_instance_id"]
            raise Violation("B30 a bomb is ended", f"pid {process.pid}", number)

    def is_gone(self, event: Fields) -> None:
        """I20: an attempt has ended when nothing of it runs. Raises `Violation`."""
        for node in self.world.workers:
            for process in node.machine.processes.values():
                of_it = process.start["dispatch_id"] == event["dispatch_id"]
                if of_it and not self._is_out_of_reach(process):
                    text = f"pid {process.pid} on {node.name} after {event}"
                    raise Violation("I20 killed means gone", text, event["task_instance_id"])

    def none_is_left_of(self, instance: Fields) -> None:
        """I20, I23: nothing of an ended instance runs. Raises `Violation`."""
        for number, living in self.living.items():
            for process in living:
                of_it = process.start["workflow_instance_id"] == instance["id"]
                if of_it and not self._is_out_of_reach(process):
                    raise Violation("I23 never terminal while one runs", f"{instance}", number)

    def left(self, workers: "list[WorkerNode]") -> tuple[str, int] | None:
        """Processes, and attempts that a warden's log has not forgotten."""
        for node in workers:
            for process in node.machine.processes.values():
                return f"pid {process.pid} on {node.name}", process.start["task_instance_id"]
            known: dict[int, Fields] = {}
            for line in node.machine.log:
                record = json.loads(line)
                known.setdefault(record["dispatch_id"], {}).update(record)
            for dispatch_id, record in known.items():
                if record["phase"] != "forget":
                    text = f"dispatch {dispatch_id} in the warden's log of {node.name}"
                    return text, record.get("task_instance_id", 0)
        return None

    def at_end(self) -> None:
        """I15: a recorded end is the attempt's result, and no result is invented."""
        for dispatch_id, record in self.ended.items():
            event = self.rows.ends_by_dispatch.get(dispatch_id)
            placed = self.rows.dispatches[dispatch_id]
            number = placed["task_instance_id"]
            allowed = self._states(record, number)
            if dispatch_id in self.unsynced:
                asked = dispatch_id in self.rows.kills
                allowed += (T.NEED_FAULT_TOLERANCE, *((T.KILL,) if asked else ()))
            if T.NEED_FAULT_TOLERANCE in allowed and event and event["failover_no"] >= FAILOVER_MAX:
                allowed += (T.FAILURE,)
            given_up = dispatch_id in self.leases.given_up
            if event is None or (event["to_state"] not in allowed and not given_up):
                raise Violation("I15 result survives", f"{record}, but {event}", number)
            told = dispatch_id not in self.unsynced and not given_up
            if told and record["oom"] and record["intent"] is None:
                reason = self.rows.reason(number, event["attempt"])
                if reason != "oom":
                    raise Violation("F26 oom is told", f"{record}, but {reason!r}", number)
        for (number, attempt), event in self.rows.ends.items():
            row = self.rows.tasks[number]
            dry = self.rows.instances[row["workflow_instance_id"]]["dry_run"]
            real = row["type"] != "noop" and not dry and event["to_state"] == T.SUCCESS
            if real and event["dispatch_id"] not in self.ended:
                raise Violation("no result is invented", f"attempt {attempt}: {event}", number)

    def _states(self, record: Fields, number: int) -> tuple[TaskState, ...]:
        """What the attempt must have become."""
        if record["intent"] is not None:
            asked = record["dispatch_id"] in self.rows.kills
            return (BY_INTENT[record["intent"]], *((T.KILL,) if asked else ()))
        if record["code"] != 0:
            return (T.FAILURE,)
        row = self.rows.tasks[number]
        definition, _ = self.rows.definition(self.rows.instances[row["workflow_instance_id"]])
        task = definition.tasks[row["node"]]
        plan = json.loads(task.script or "{}")
        withheld = plan.get("odd") == "outputs" and task.outputs
        return (T.FAILURE,) if withheld else (T.SUCCESS,)
