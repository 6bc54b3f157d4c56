"""What the master's database says, looked at after every commit: histories, rows, instances."""

import sqlite3
from typing import TYPE_CHECKING, Any

from stenella.protocol.states import (
    TASK_FINAL,
    WORKFLOW_FINAL,
    Event,
    TaskState,
    WorkflowState,
    fits,
)
from stenella.workflow import definition as definitions
from stenella.workflow.definition import Definition
from stenella.workflow.graph import Graph

from .fold import Control, control, fold
from .limits import Limits
from .poison import NUMBER as POISONOUS
from .queue_order import QueueOrder
from .said import FAILOVER_MAX, Said
from .staff import Staff
from .story import Violation
from .waits import Waits

if TYPE_CHECKING:
    from .world import World

#: What may change on the row of a final attempt: a late callback is kept as evidence.
LATE = ("event_no", "seq")
#: Failures that are no doing of the task: lost too often, or a kept one that was given up.
NOT_BY_ITSELF = ("quarantined", "worker_lost", "killed_workers")
Fields = dict[str, Any]
FAILED = (TaskState.FAILURE, TaskState.KILL, TaskState.NEED_FAULT_TOLERANCE)
#: What a node below may be UPSTREAM_FAILED for.
BELOW = (*FAILED, TaskState.UPSTREAM_FAILED)
E, T, W = Event, TaskState, WorkflowState
#: An instance's states, and where each may lead.
INSTANCE_STEPS = {
    W.RUNNING_EXECUTION: (W.READY_STOP, W.SUCCESS, W.FAILURE, W.STOP),
    W.READY_STOP: (W.STOP, W.SUCCESS, W.FAILURE),
}


class Rows:
    """The last committed state, and what follows from the history so far."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.raw: dict[int, tuple[Any, ...]] = {}
        self.tasks: dict[int, Fields] = {}
        self.tasks_of: dict[int, dict[int, Fields]] = {}  # instance → node → row
        self.instances: dict[int, Fields] = {}
        self.folded: dict[int, Control] = {}
        self.states: dict[int, int] = {}  # of the latest event
        self.last_event = 0
        self.seqs: dict[tuple[int, int], int] = {}  # (task, dispatch) → highest seq on disk
        self.dispatches: dict[int, Fields] = {}  # dispatch → its DISPATCH
        self.ends: dict[tuple[int, int], Fields] = {}  # (task, attempt) → how it ended
        self.ends_by_dispatch: dict[int, Fields] = {}
        self.kills: dict[int, None] = {}  # dispatches with a kill's intent on disk
        self.to_end: dict[int, None] = {}  # tasks whose end was asked for
        self.ended_now: list[Fields] = []  # events that ended placed attempts in the last commit
        self.lives: dict[str, int] = {}  # worker → the latest of its row
        self.acknowledged: dict[int, str] = {}
        self.refused: dict[str, int] = {}  # requests, for want of a disk → when; wall
        self.new_events: list[Fields] = []  # of the last commit
        self.parked: dict[int, None] = {}  # instances that were, once
        self.just_ended: list[Fields] = []  # instances that became final in the last commit
        self.staff = Staff(self)
        self.waits = Waits(world)
        self.limits = Limits(self)
        self.order = QueueOrder(self)
        self.instances_now: dict[int, Fields] = {}  # as the commit has them that is looked at
        self.said = Said()
        self.versions: dict[str, tuple[Definition, Graph]] = {}

    def read(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Rows as mappings."""
        cursor = self.world.master.journal.connection.cursor()
        cursor.row_factory = sqlite3.Row
        return cursor.execute(sql, values).fetchall()

    def definition(self, instance: Fields) -> tuple[Definition, Graph]:
        """Of an instance's version."""
        digest = instance["version_digest"]
        if digest not in self.versions:
            sql = "SELECT definition FROM workflow_version WHERE digest = ?"
            decoded = definitions.decode(self.read(sql, digest)[0]["definition"])
            self.versions[digest] = decoded, Graph(decoded.tasks)
        return self.versions[digest]

    def is_what_was_sent(self, number: int, body: bytes) -> None:
        """What an instance runs is the definition of its submit, byte for byte."""
        sql = "SELECT definition FROM workflow_version WHERE digest = ?"
        stored = self.read(sql, self.instances[number]["version_digest"])[0]["definition"]
        if stored != body:
            raise Violation("what runs is what was sent", f"{stored!r} instead of {body!r}")

    def knows_boot(self, boot: str) -> bool:
        """Whether the worker's row was of this life, or of a later one."""
        worker, _, life = boot.rpartition("-")[0].rpartition("-")
        return self.lives.get(worker, 0) >= int(life)

    def has_intent(self, request_id: str) -> bool:
        """Whether its row is there."""
        return bool(self.read("SELECT 1 FROM intent WHERE request_id = ?", request_id))

    def reason(self, number: int, attempt: int) -> str:
        """Why an attempt ended as it did."""
        if self.tasks[number]["attempt"] == attempt:
            return str(self.tasks[number]["reason"])
        sql = "SELECT reason FROM task_attempt WHERE task_instance_id = ? AND attempt = ?"
        return str(self.read(sql, number, attempt)[0]["reason"])

    # --- one commit -------------------------------------------------------------------------------

    def look(self) -> None:
        """Raises `Violation`."""
        events: dict[int, list[Fields]] = {}
        new: list[Fields] = []
        self.ended_now = []
        for found in self.read(
            "SELECT * FROM task_event WHERE id > ? ORDER BY id", self.last_event
        ):
            event = dict(found)
            self.last_event = event["id"]
            events.setdefault(event["task_instance_id"], []).append(event)
            new.append(event)
            self.world.trace.add(self.world.now_ms, "database", "commits", event)
        instances = {row["id"]: dict(row) for row in self.read("SELECT * FROM workflow_instance")}
        self.instances_now = instances
        stopped = [n for n, row in self.instances.items() if row["state"] == W.READY_STOP]
        failed = [n for n, row in self.instances.items() if self._ends_on_failure(row)]
        for found in self.read("SELECT * FROM task_instance"):
            values = tuple(found)
            number = found["id"]
            if self.raw.get(number) != values:
                old, row = self.tasks.get(number), dict(found)
                self.raw[number], self.tasks[number] = values, row
                self._check_row(old, row, events.pop(number, []), instances, stopped, failed)
        for number in events:
            raise Violation("I3 an event for each change", f"{events[number]}", number)
        self._check_refused()
        self.parked |= {n: None for n, row in instances.items() if row["attention"]}
        self._check_instances(instances)
        for event in new:
            self.limits.look(Event(event["event"]), event)
            self.order.look(Event(event["event"]), event)
        self.staff.look(new)
        self.new_events = new
        for worker, latest in self.staff.before.items():
            life = int(latest["boot"].split("-")[-2])  # a clone's may be an earlier one again
            self.lives[worker] = max(life, self.lives.get(worker, 0))

    def _check_refused(self) -> None:
        """What was refused is not written afterwards; asked for again it may be done then."""
        for request_id, refused_at in list(self.refused.items()):
            for intent in self.read("SELECT at FROM intent WHERE request_id = ?", request_id):
                if intent["at"] <= refused_at and not self.world.options.clock_jump_ms:
                    text = f"{request_id} refused at {refused_at}, done at {intent['at']}"
                    raise Violation("I10 what is refused is not done", text)
                del self.refused[request_id]

    def unrest_beside_poison(self) -> tuple[str, int] | None:
        """A live instance that is not the poisonous one; nobody else is to be left alone."""
        for number, row in self.instances.items():
            if number != POISONOUS and row["attention"]:
                raise Violation("only poison is parked", f"{row}")
            if number != POISONOUS and row["state"] not in WORKFLOW_FINAL:
                return f"instance {number} is live beside poison", 0
        return None

    def _ends_on_failure(self, instance: Fields) -> bool:
        """Whether a committed failure keeps new tasks from starting (I24)."""
        definition, _ = self.definition(instance)
        number = instance["id"]
        return definition.failure_strategy == "end" and any(
            row["state"] in FAILED for row in self.tasks_of.get(number, {}).values()
        )

    def _check_row(
        self,
        old: Fields | None,
        row: Fields,
        events: list[Fields],
        instances: dict[int, Fields],
        stopped: list[int],
        failed: list[int],
    ) -> None:
        number = row["id"]

        def hold(rule: str, holds: bool, text: str = "") -> None:
            if not holds:
                raise Violation(rule, f"{text} {old} → {row} by {events}", number)

        before_no = old["event_no"] if old else 0
        numbers = [event["event_no"] for event in events]
        hold("I3 event_no +1", numbers == list(range(before_no + 1, row["event_no"] + 1)))
        for event in events:
            self._take_event(event)
        hold("I9 fold of the events", self.folded.get(number) == control(row))
        if old is not None and old["state"] in TASK_FINAL and old["attempt"] == row["attempt"]:
            changed = [name for name in row if row[name] != old[name] and name not in LATE]
            hold("I4 terminal is final", not changed, f"{changed}")
        if row["state"] in (T.SKIPPED, T.UPSTREAM_FAILED):
            hold("I2 skipped with a reason", bool(row["reason"]))
        if row["start_time"] is not None and row["end_time"] is not None:
            hold("I8 start ≤ end", row["start_time"] <= row["end_time"])
        if instances[row["workflow_instance_id"]]["dry_run"]:
            self._check_dry(row, events)
        definition, graph = self.definition(instances[row["workflow_instance_id"]])
        siblings = self.tasks_of.setdefault(row["workflow_instance_id"], {})
        hold("I17 one row per node", siblings.get(row["node"], row)["id"] == number)
        siblings[row["node"]] = row
        retries = definition.tasks[row["node"]].retry.times
        hold("I18 retry budget", row["try_no"] <= 1 + retries)
        hold("I18 failovers", row["failover_no"] <= FAILOVER_MAX)
        begins = any(event["event"] in (E.SUBMIT, E.DISPATCH) for event in events)
        if begins:
            parents = [siblings.get(parent) for parent in graph.parents[row["node"]]]
            ready = all(self._succeeded(parent) for parent in parents)
            hold("I16 parents succeeded", ready)
            number_of_instance = row["workflow_instance_id"]
            hold("I19 nothing after a stop", number_of_instance not in stopped)
            hold("I24 nothing after a failure", number_of_instance not in failed)
        self._check_evidence(row)
        if row["kill_reason"] is not None:
            self.kills[row["dispatch_id"]] = None

    def _check_dry(self, row: Fields, events: list[Fields]) -> None:
        """A dry run succeeds without RUNNING, in no time; it never fails by itself."""
        ran = any(event["event"] == E.RUNNING for event in events)
        took = row["state"] == T.SUCCESS and row["start_time"] != row["end_time"]
        failed = row["state"] == T.FAILURE and row["reason"] not in NOT_BY_ITSELF
        if ran or took or failed:
            raise Violation("§6 a dry run is a success of no length", f"{row}", row["id"])

    def _succeeded(self, parent: Fields | None) -> bool:
        if parent is None:
            return False
        found = self.read("SELECT state FROM task_instance WHERE id = ?", parent["id"])
        return bool(found[0]["state"] == T.SUCCESS)

    def _take_event(self, event: Fields) -> None:
        """Its step fits the table, or it changed nothing; the fold goes on."""
        number = event["task_instance_id"]
        kind, after = Event(event["event"]), TaskState(event["to_state"])
        first = kind in (E.SUBMIT, E.SKIP) or number not in self.states
        before = None if first else TaskState(self.states[number])
        applied = fits(before, kind, after)
        if not applied and not (before == after and kind in (E.RUNNING, E.RESULT, E.LOST, E.KILL)):
            raise Violation("I3 legal transitions only", f"{event}", number)
        if before != (None if event["from_state"] is None else event["from_state"]):
            raise Violation("I3 from where it was", f"{event}, was {before}", number)
        if kind is E.KILL:
            self.to_end[number] = None
        elif kind in (E.SUBMIT, E.DISPATCH) and number in self.to_end:
            raise Violation("I19 kill beats retry", f"{event}", number)
        waits_until = self.folded[number].eligible_at if kind is E.DISPATCH else 0
        if event["at"] < waits_until and not self.world.options.clock_jump_ms:
            raise Violation("I18 waits at least its backoff", f"{event}", number)
        self.waits.look(kind, event)
        if kind is E.LOST and after is T.KILL and number not in self.to_end:
            raise Violation("I5 killed only when asked", f"{event}", number)
        by_worker = kind in (E.RUNNING, E.RESULT, E.LOST) and event["actor"].startswith("worker ")
        if applied and by_worker:
            self.said.hold_true(event)
        self.folded[number] = fold(self.folded.get(number), event)
        self.states[number] = after
        place = number, event["dispatch_id"]
        said = kind in (E.RUNNING, E.RESULT, E.LOST) and event["callback_seq"]
        if said and said <= self.seqs.get(place, 0) and event["actor"].startswith("worker "):
            raise Violation("I5 a duplicate changes nothing", f"{event}", number)
        self.seqs[place] = max(self.seqs.get(place, 0), event["callback_seq"])
        if kind is E.SUBMIT:
            self._check_new_attempt(event)
        elif kind is E.DISPATCH:
            if event["dispatch_id"] in self.dispatches:
                raise Violation("§2 dispatch_id is unique", f"{event}", number)
            self.dispatches[event["dispatch_id"]] = event
        preflight = after == T.FAILURE and self.tasks[number]["reason"] == "preflight"
        aside = self.world.options.crasher == "running"  # the RUNNING may be a dead letter
        if applied and preflight and before != T.RUNNING_EXECUTION and not aside:
            raise Violation("§6 RUNNING before a preflight failure", f"{event}", number)
        if applied and after in TASK_FINAL:
            ended = self.ends.setdefault((number, event["attempt"]), event)
            if ended is not event:
                raise Violation("I5 first terminal wins", f"{event} after {ended}", number)
            if event["dispatch_id"]:
                self.ends_by_dispatch[event["dispatch_id"]] = event
                self.ended_now.append(event)

    def _check_new_attempt(self, event: Fields) -> None:
        number, attempt = event["task_instance_id"], event["attempt"]
        former = self.ends.get((number, attempt - 1))
        if attempt > 1 and (
            former is None or former["to_state"] not in (T.FAILURE, T.NEED_FAULT_TOLERANCE)
        ):
            raise Violation("I12 one live attempt", f"{event} after {former}", number)
        if (number, attempt) in self.ends:
            raise Violation("I12 attempts rise", f"{event}", number)

    def _check_evidence(self, row: Fields) -> None:
        """Earlier attempts stand in rows of their own."""
        sql = "SELECT attempt, state FROM task_attempt WHERE task_instance_id = ? ORDER BY attempt"
        found = [(kept["attempt"], kept["state"]) for kept in self.read(sql, row["id"])]
        ended = [(n, self.ends[row["id"], n]["to_state"]) for n in range(1, row["attempt"])]
        if found != ended:
            raise Violation("I4 earlier attempts", f"{found}, ended {ended}", row["id"])

    def _check_instances(self, instances: dict[int, Fields]) -> None:
        self.just_ended = []
        for number, row in instances.items():
            old = self.instances.get(number)
            if old == row:
                if row["state"] not in WORKFLOW_FINAL:
                    self._check_end(row)
                continue
            before = old["state"] if old else None
            if old is not None and before != row["state"]:
                if row["state"] not in INSTANCE_STEPS.get(WorkflowState(old["state"]), ()):
                    raise Violation("I3 instance's steps", f"{old} → {row}")
            elif old is not None and before in WORKFLOW_FINAL:
                raise Violation("I4 terminal is final", f"{old} → {row}")
            if row["state"] in WORKFLOW_FINAL:
                self.just_ended.append(row)
            self._check_end(row)
            self.limits.look_at_instance(row)
        for number in self.acknowledged:
            if number not in instances:
                raise Violation("I1 no lost submission", f"instance {number}")
        self.instances = instances

    def _check_end(self, row: Fields) -> None:
        """I2, I23: it has ended if and only if every node has, and as they have."""
        _, graph = self.definition(row)
        tasks = self.tasks_of.get(row["id"], {})
        over = len(tasks) == len(graph.names) and all(
            task["state"] in TASK_FINAL for task in tasks.values()
        )
        final = row["state"] in WORKFLOW_FINAL
        some = next((t["id"] for t in tasks.values() if t["state"] not in TASK_FINAL), 0)
        if over != final:
            raise Violation("I23 ends if and only if its tasks have", f"{row}", some)
        succeeded = over and all(task["state"] == T.SUCCESS for task in tasks.values())
        if not final and self._ends_on_failure(row):
            self._check_killed(row, tasks)
        elif not final and row["state"] != W.READY_STOP:
            self._check_forgotten(row, graph, tasks)
        if succeeded != (row["state"] == W.SUCCESS):
            raise Violation("I23 SUCCESS", f"{row} {list(tasks.values())}")
        if final and (row["end_time"] is None or row["end_time"] < row["start_time"]):
            raise Violation("I8 start ≤ end", f"{row}")

    def _check_killed(self, row: Fields, tasks: dict[int, Fields]) -> None:
        """With the failure it is on disk that whatever lives is to be killed."""
        for task in tasks.values():
            spared = task["state"] not in TASK_FINAL and task["kill_reason"] is None
            if spared and not row["attention"]:
                raise Violation("I24 END kills what lives", f"{task} of {row}", task["id"])

    def _check_forgotten(self, row: Fields, graph: Graph, tasks: dict[int, Fields]) -> None:
        for node, parents in enumerate(graph.parents):
            over = [tasks[parent] for parent in parents if parent in tasks]
            ready = len(over) == len(parents) and all(t["state"] == T.SUCCESS for t in over)
            if ready and node not in tasks:
                raise Violation("I2 no task is forgotten", f"node {node} of {row}")

    def at_end(self) -> None:
        """Nothing was left out that could run, and nothing that was written has been rewritten."""
        self.limits.at_end()
        used = "SELECT version_digest FROM workflow_instance"
        unused = f"SELECT name FROM workflow_version WHERE digest NOT IN ({used})"
        for version in self.read(unused):
            raise Violation("a definition is stored with its instance", version["name"])
        for instance in self.instances.values():
            self._check_left_out(instance)
        for (number, attempt), event in self.ends.items():
            sql = "SELECT state FROM task_attempt WHERE task_instance_id = ? AND attempt = ?"
            row = self.tasks[number]
            kept = self.read(sql, number, attempt)
            state = row["state"] if row["attempt"] == attempt else kept[0]["state"]
            if state != event["to_state"]:
                raise Violation("I4 terminal is final", f"{event}, now {state}", number)

    def _check_left_out(self, instance: Fields) -> None:
        definition, graph = self.definition(instance)
        tasks = self.tasks_of[instance["id"]]
        for node, row in tasks.items():
            parents = [tasks[parent] for parent in graph.parents[node]]
            by_strategy = row["reason"] == "failure_strategy"
            if by_strategy and definition.failure_strategy != "end":
                raise Violation("I24 continue leaves nothing out", f"{row}", row["id"])
            below = any(parent["state"] in BELOW for parent in parents)
            if row["state"] == T.UPSTREAM_FAILED and not below:
                raise Violation("I24 only below a failure", f"{row} below {parents}", row["id"])
