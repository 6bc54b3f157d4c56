"""Master actor: one graph per live workflow instance; which task is next, retry, end.

The gateway starts and stops instances, the event persister says which attempts ended. Invariants:
a node gets a row when all its parents have succeeded; a retry is decided in the turn of the
failure; before an instance ends, every node has a final row; what long work is left is cut into
slices of ``SLICE`` nodes, with the graph and the rows as the only cursor.
"""

import difflib
import hashlib
import json
from collections import deque
from collections.abc import Iterable
from typing import assert_never
from weakref import WeakValueDictionary

import msgspec

from ...protocol.errors import UNKNOWN_DEFINITION, DefinitionRefused, Usage
from ...protocol.reasons import NEVER_RETRIED
from ...protocol.rows import DeadLetter, TaskInstanceRow, WorkflowInstanceRow, WorkflowVersion
from ...protocol.states import (
    PRIORITIES,
    TASK_FINAL,
    TASK_SUCCEEDED,
    WORKFLOW_FINAL,
    TaskState,
    WorkflowState,
)
from ...workflow.definition import decode
from ...workflow.durations import written
from ...workflow.parameters import start_params
from ...workflow.validation import check
from ..base import Boot, Context, Loaded, Timer
from ..deadlines import Deadlines, resumed_ms
from .cause import Cause
from .messages import (
    AdmitInstance,
    CloseNodes,
    CreateTasks,
    Done,
    EndInstance,
    Explain,
    ExplainNamed,
    InstanceStarted,
    InstanceTouched,
    KillNamed,
    KillNode,
    KillTasks,
    LiveInstances,
    Message,
    NotDone,
    RecoverTasks,
    RecoverWorkers,
    Retry,
    StartWorkflow,
    StopWorkflow,
    Sweep,
    TaskEnded,
    Unpark,
)
from .requests import already_ended, retry_wait_ms
from .version import Version

#: Nodes made or closed in one turn: about 10 ms of thinking, so that heartbeats are answered.
SLICE = 500
#: Rows read at once while recovering.
RECOVER_INSTANCES = 50
RECOVER_TASKS = 1_000
#: Of versions that are kept at hand: about 1 kB a node.
RECENT_NODES_MAX = 10_000

T, W = TaskState, WorkflowState


class Advance(Message, frozen=True):
    """To oneself: go on with an instance whose work was cut."""

    workflow_instance_id: int


class Resume(Message, frozen=True):
    """To oneself, at the recovery's end: go on with this instance."""

    workflow_instance_id: int


Inbox = (
    Boot
    | Loaded
    | Timer
    | StartWorkflow
    | StopWorkflow
    | KillNamed
    | Unpark
    | TaskEnded
    | Advance
    | Resume
    | TaskEnded
    | ExplainNamed
    | Sweep
    | Advance
)


class Live:
    """A live instance: its graph, and where each node stands."""

    def __init__(self, row: WorkflowInstanceRow, version: Version) -> None:
        self.row = row
        self.version = version
        graph = version.graph
        self.missing = graph.parents.counts()  # without success
        self.has_row = bytearray(len(graph.names))
        self.below_failure = bytearray(len(graph.names))
        self.ready: deque[int] = deque(node for node in graph.roots)
        self.running = 0  # rows that are not final
        self.succeeded = 0
        self.failed = 0
        self.first_failure = ""
        self.stopping = False  # nothing new starts
        self.closing: int | None = None  # next node to look at, once nothing runs
        self.advancing = False  # an `Advance` is under way
        self.recovering = False  # not all of its rows are counted: `_resume` goes on

    def succeed(self, node: int) -> None:
        """Count a success; children without missing parents become ready."""
        self.succeeded += 1
        for child in self.version.graph.children[node]:
            self.missing[child] -= 1
            if self.missing[child] == 0 and not self.has_row[child]:  # else it was killed before
                self.ready.append(child)

    def fail(self, node: int, state: TaskState) -> None:
        """Count a failure; everything below can never run. (What was killed is no failure.)"""
        self.failed += 1
        if not self.first_failure:
            name = self.version.graph.names[node]
            self.first_failure = f"task {name} ended {state.name}"
        below = [] if state is T.KILL else list(self.version.graph.children[node])
        while below:
            child = below.pop()
            if not self.below_failure[child]:
                self.below_failure[child] = 1
                below += self.version.graph.children[child]


class WorkflowExecutor:
    """Owns the rows and graphs of all live instances."""

    def __init__(self, master: int, epoch: int) -> None:
        self.master = master
        self.epoch = epoch
        self.live: dict[int, Live] = {}
        self.versions: WeakValueDictionary[str, Version] = WeakValueDictionary()  # by digest
        self.recent: dict[str, Version] = {}  # kept without an instance; the oldest use first
        self.recent_nodes = 0
        self.starts: dict[str, list[StartWorkflow]] = {}  # by the digest that is being loaded
        self.stops: dict[int, list[str]] = {}  # instance being loaded → request ids of stops
        self.kills: dict[tuple[int, str], list[str]] = {}  # the same of kills, by instance and task
        self.unparks: dict[int, list[Unpark]] = {}  # the same of those who let it go on
        self.unparked: dict[int, None] = {}  # in this life; they may be read as they were before
        self.recovering: deque[Live] = deque()
        self.more_to_recover = 0  # id to go on from
        self.limits = Deadlines("limit")  # by instance id: when its time is over

    def held(self) -> int:
        """Nodes that are ready and wait for their slice, and time limits to come."""
        return sum(len(live.ready) for live in self.live.values()) + len(self.limits)

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                self._load_instances(0, ctx)
            case Loaded(name="live_instances"):
                self._recover_instances(message, ctx)
            case Loaded(name="tasks_of"):
                self._recover_tasks(message, ctx)
            case Loaded(name="version"):
                self._start_stored(message, ctx)
            case Loaded(name="task_named"):
                self._refuse_kills(message, ctx)
            case Loaded():
                self._stop_ended(message, ctx)
                self._unpark_loaded(message, ctx)
            case StartWorkflow():
                self._start(message, ctx)
            case StopWorkflow():
                self._stop(message, ctx)
            case KillNamed():
                self._kill(message, ctx)
            case Unpark():
                self.unparks.setdefault(message.workflow_instance_id, []).append(message)
                ctx.load("instance", message.workflow_instance_id)
            case ExplainNamed():
                self._explain(message, ctx)
            case Sweep():
                self._look_for_stuck(message, ctx)
            case TaskEnded():
                self._take_end(message, ctx)
            case Advance():
                live = self.live.get(message.workflow_instance_id)
                if live is not None:
                    live.advancing = False
                    self._advance(live, ctx)
            case Timer():
                for workflow_instance_id in self.limits.take(SLICE, ctx):
                    self._end_of_time(self.live[workflow_instance_id], ctx)
            case Resume():
                self._resume(self.live[message.workflow_instance_id], ctx)
            case _:
                assert_never(message)

    def _version(self, digest: str, body: bytes) -> Version:
        """Decoded once for all live instances of it. Raises DefinitionRefused."""
        version = self.versions.get(digest)
        if version is None:
            version = self.versions[digest] = Version(digest, decode(body))
        return version

    # --- start and stop -------------------------------------------------------------------------

    def _start(self, start: StartWorkflow, ctx: Context) -> None:
        """Of what came with it, or of a version that is known or stored."""
        if start.definition:
            digest = hashlib.sha256(start.definition).hexdigest()
            version = self.versions.get(digest)
            if version is None:
                self._start_new(start, digest, ctx)
                return
        else:
            version = self.versions.get(start.definition_digest)
            if version is None:
                waiting = self.starts.setdefault(start.definition_digest, [])
                waiting.append(start)
                if len(waiting) == 1:
                    ctx.load("version", start.definition_digest)
                return
        self._begin(start, version, ctx)

    def _start_new(self, start: StartWorkflow, digest: str, ctx: Context) -> None:
        """Judged and stored; one that is refused leaves nothing."""
        try:
            definition = decode(start.definition)
            version = Version(digest, definition)
            problems = check(definition, version.graph)
            if problems:
                raise DefinitionRefused(problems[0].message, tuple(problems))
        except DefinitionRefused as error:
            self._refuse_start(start, error, ctx)
            return
        if not self._begin(start, version, ctx):
            return
        self.versions[digest] = version
        ctx.append(
            WorkflowVersion(
                digest=digest,
                name=version.definition.name,
                definition=start.definition,
                created_at=ctx.wall_ms,
            )
        )

    def _start_stored(self, loaded: Loaded, ctx: Context) -> None:
        """What is stored was judged before."""
        digest = loaded.key[0]
        for start in self.starts.pop(digest, []):
            if loaded.rows:
                self._begin(start, self._version(digest, loaded.rows[0].definition), ctx)
            else:
                text = f"the master has no definition with the digest {digest[:16]}…; send it"
                refusal = NotDone(start.request_id, 6, UNKNOWN_DEFINITION, text)
                ctx.tell("gateway", refusal)

    def _refuse_start(
        self, start: StartWorkflow, error: DefinitionRefused | Usage, ctx: Context
    ) -> None:
        problems = list(error.problems)
        refusal = NotDone(start.request_id, error.exit_code, error.code, error.message, problems)
        ctx.tell("gateway", refusal)

    def _keep(self, version: Version) -> None:
        """At hand for the next submit of it, also when its instances have ended."""
        nodes = len(version.graph.names)
        if nodes > RECENT_NODES_MAX // 4:
            return
        if self.recent.pop(version.digest, None) is None:
            self.recent_nodes += nodes
        self.recent[version.digest] = version
        while self.recent_nodes > RECENT_NODES_MAX:
            oldest = self.recent.pop(next(iter(self.recent)))
            self.recent_nodes -= len(oldest.graph.names)

    def _begin(self, start: StartWorkflow, version: Version, ctx: Context) -> bool:
        """An instance of it; False: it was refused for its parameters."""
        try:
            params = start_params(version.definition, start.params)
        except Usage as error:
            self._refuse_start(start, error, ctx)
            return False
        self._keep(version)
        name = version.definition.name
        row = WorkflowInstanceRow(
            id=ctx.new_id("workflow_instance"),
            name=name,
            version_digest=version.digest,
            state=W.RUNNING_EXECUTION,
            params=json.dumps(params),
            startup=json.dumps(sorted(start.params)),
            submit_dir=start.submit_dir,
            dry_run=int(start.dry_run),
            base_time=ctx.wall_ms,
            start_time=ctx.wall_ms,
            owner=self.master,
            owner_epoch=self.epoch,
            priority=PRIORITIES.index(version.definition.priority),
        )
        timeout = version.definition.timeout
        if timeout is not None:
            row.timeout_at = ctx.wall_ms + timeout.after_ms
            self.limits.set(row.id, timeout.after_ms, ctx)
        ctx.write(row)
        live = self.live[row.id] = Live(row, version)
        ctx.tell("event_persister", AdmitInstance(row, version))
        ctx.tell("gateway", InstanceStarted(row.id))
        ctx.tell("gateway", Done(start.request_id, {"workflow_instance_id": row.id}))
        self._advance(live, ctx)
        return True

    def _stop(self, stop: StopWorkflow, ctx: Context) -> None:
        live = self.live.get(stop.workflow_instance_id)
        if stop.workflow_instance_id in ctx.parked:
            self._refuse_parked(stop.request_id, stop.workflow_instance_id, ctx)
            return
        if live is None:
            self.stops.setdefault(stop.workflow_instance_id, []).append(stop.request_id)
            ctx.load("instance", stop.workflow_instance_id)
            return
        if live.row.state != W.READY_STOP:
            live.row.state, live.row.reason = W.READY_STOP, "stopped"
            ctx.write(live.row)
            ctx.tell("gateway", InstanceTouched(live.row.id))
        ctx.tell("gateway", Done(stop.request_id, {"workflow_instance_id": live.row.id}))
        self._halt(live, "stopped", ctx)

    def _stop_ended(self, loaded: Loaded, ctx: Context) -> None:
        """A stop of an instance that was not live: it has ended, or never was."""
        number = loaded.key[0]
        for request_id in self.stops.pop(number, []):
            if not loaded.rows:
                text = f"no workflow instance {number}; `stenella ls` shows those there are"
                ctx.tell("gateway", NotDone(request_id, 3, "not_found", text))
            else:
                state = WorkflowState(loaded.rows[0].state).name
                text = f"workflow instance {number} has already ended with {state}"
                ctx.tell("gateway", NotDone(request_id, 6, "refused", text))

    def _kill(self, kill: KillNamed, ctx: Context) -> None:
        """One task, whether it has had its turn or not; what is below it will never run."""
        number, name = kill.workflow_instance_id, kill.task
        live = self.live.get(number)
        if number in ctx.parked:
            self._refuse_parked(kill.request_id, number, ctx)
            return
        if live is None:
            self.kills.setdefault((number, name), []).append(kill.request_id)
            ctx.load("task_named", number, name)
            return
        node = live.version.graph.index.get(name)
        if node is None:
            self._refuse_unknown(kill.request_id, number, name, live.version.graph.names, ctx)
            return
        ctx.tell("event_persister", KillNode(kill.request_id, number, node))
        if live.has_row[node]:
            return  # its end, if it has not ended, is told by the persister
        live.has_row[node] = 1
        live.ready = deque(ready for ready in live.ready if ready != node)
        self._count_failure(live, node, T.KILL, ctx)

    def _refuse_kills(self, loaded: Loaded, ctx: Context) -> None:
        """Kills in an instance that was not live: the task has ended, or never was."""
        number, name = loaded.key
        for request_id in self.kills.pop((number, name), []):
            if not loaded.rows:
                self._refuse_unknown(request_id, number, name, (), ctx)
            else:
                ctx.tell("gateway", already_ended(request_id, loaded.rows[0]))

    def _refuse_unknown(
        self, request_id: str, number: int, name: str, names: Iterable[str], ctx: Context
    ) -> None:
        near = difflib.get_close_matches(name, list(names), n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; see `stenella show {number}`"
        text = f"there is no task {name!r} in workflow instance {number}{hint}"
        ctx.tell("gateway", NotDone(request_id, 3, "not_found", text))

    def _end_of_time(self, live: Live, ctx: Context) -> None:
        """Its timeout has passed: written down, and by its strategy the end of it."""
        row, timeout = live.row, live.version.definition.timeout
        assert timeout is not None
        fails = timeout.fails and row.state != W.READY_STOP  # else it is being stopped already
        if timeout.warns:
            row.warned_at = ctx.wall_ms
        if fails:
            row.state, row.reason = W.READY_STOP, "timeout"
            row.message = f"stopped after its timeout of {written(timeout.after_ms)}"
        ctx.write(row)
        ctx.tell("gateway", InstanceTouched(row.id))
        if fails:
            self._halt(live, "timeout", ctx)

    def _refuse_parked(self, request_id: str, number: int, ctx: Context) -> None:
        text = (
            f"workflow instance {number} is left alone because it crashed the master; "
            "see `stenella debug dead-letters`, and let it go on by its retry first"
        )
        ctx.tell("gateway", NotDone(request_id, 6, "needs_attention", text))

    def _unpark_loaded(self, loaded: Loaded, ctx: Context) -> None:
        """It is not taken up here: the next life recovers it with everything else, and judges."""
        for unpark in self.unparks.pop(loaded.key[0], []):
            has_ended = all(row.state in WORKFLOW_FINAL for row in loaded.rows)
            if has_ended or not unpark.is_taken_again:
                ctx.delete(DeadLetter, unpark.letter)
            for row in loaded.rows:
                if row.attention and row.id not in self.unparked:
                    row.attention = ""
                    self.unparked[row.id] = None
                    ctx.write(row)
            done = {"workflow_instance_id": loaded.key[0]}
            ctx.tell("gateway", Done(unpark.request_id, done, starts_anew=True))

    def _halt(self, live: Live, reason: str, ctx: Context) -> None:
        """Nothing new starts, and what lives is killed."""
        live.stopping = True
        live.ready.clear()
        ctx.tell("event_persister", KillTasks(live.row.id, reason))
        self._advance(live, ctx)

    # --- ends of attempts -----------------------------------------------------------------------

    def _take_end(self, ended: TaskEnded, ctx: Context) -> None:
        live = self.live[ended.workflow_instance_id]
        retry = None if live.stopping else self._retry(live, ended)
        if retry is not None:
            ctx.tell("event_persister", retry)
            return
        live.running -= 1
        if ended.state in TASK_SUCCEEDED:
            live.succeed(ended.node)
            if live.stopping:
                live.ready.clear()
            self._advance(live, ctx)
        else:
            self._count_failure(live, ended.node, ended.state, ctx)

    def _count_failure(self, live: Live, node: int, state: TaskState, ctx: Context) -> None:
        live.fail(node, state)
        if live.version.definition.failure_strategy == "end" and not live.stopping:
            self._halt(live, "failure_strategy", ctx)
        else:
            self._advance(live, ctx)

    def _retry(self, live: Live, ended: TaskEnded) -> Retry | None:
        """The next attempt, if the policy has one and nobody has asked for the task's end."""
        if ended.is_to_end:
            return None
        match ended.state:
            case T.FAILURE if ended.reason in NEVER_RETRIED:
                return None
            case T.FAILURE:
                policy = live.version.task(ended.node).retry
                if ended.try_no > policy.times:
                    return None
                number = ended.task_instance_id
                wait_ms = retry_wait_ms(live.version, ended.node, ended.try_no, number)
                return Retry(ended.task_instance_id, wait_ms, True, False)
            case T.NEED_FAULT_TOLERANCE:
                by_shutdown = ended.reason == "shutdown"  # else one of a bounded number
                return Retry(ended.task_instance_id, 0, False, not by_shutdown)
            case _:
                return None

    # --- going on -------------------------------------------------------------------------------

    def _advance(self, live: Live, ctx: Context) -> None:
        """Make rows of ready nodes; or, when nothing is left to run, close the rest and end."""
        if live.recovering:
            return  # a wait that was over before the master's start may end a task already
        if live.ready:
            count = min(SLICE, len(live.ready))
            nodes = [live.ready.popleft() for _ in range(count)]
            for node in nodes:
                live.has_row[node] = 1
            live.running += count
            ctx.tell("event_persister", CreateTasks(live.row.id, nodes))
        if live.ready:
            self._cut(live, ctx)
        elif live.running == 0:
            self._close(live, ctx)

    def _cut(self, live: Live, ctx: Context) -> None:
        if not live.advancing:
            live.advancing = True
            ctx.next_turn(Advance(live.row.id))

    def _close(self, live: Live, ctx: Context) -> None:
        total = len(live.has_row)
        node = live.closing or 0
        nodes: list[tuple[int, TaskState, str]] = []
        while node < total and len(nodes) < SLICE:
            if not live.has_row[node]:
                live.has_row[node] = 1
                nodes.append((node, *self._why_never(live, node)))
            node += 1
        live.closing = node
        if nodes:
            ctx.tell("event_persister", CloseNodes(live.row.id, nodes))
        if node < total:
            self._cut(live, ctx)
        else:
            self._end(live, ctx)

    def _why_never(self, live: Live, node: int) -> tuple[TaskState, str]:
        if live.below_failure[node]:
            return T.UPSTREAM_FAILED, "upstream_failed"
        if live.row.state == W.READY_STOP:
            return T.SKIPPED, live.row.reason
        return T.SKIPPED, "failure_strategy" if live.stopping else "upstream_killed"

    def _end(self, live: Live, ctx: Context) -> None:
        row = live.row
        if live.succeeded == len(live.has_row):
            row.state, row.reason, row.message = W.SUCCESS, "", ""
        elif row.state == W.READY_STOP and row.reason == "timeout":
            row.state = W.FAILURE
        elif row.state == W.READY_STOP:
            row.state, row.message = W.STOP, "stopped on request"
        else:
            row.state, row.reason, row.message = W.FAILURE, "task_failed", live.first_failure
        row.end_time = max(ctx.wall_ms, row.start_time)  # the wall clock may have been set back
        ctx.write(row)
        del self.live[row.id]
        self.limits.cancel(row.id)
        ctx.tell("event_persister", EndInstance(row.id))
        ctx.tell("gateway", InstanceTouched(row.id, ended=True))

    # --- why something has not ended ------------------------------------------------------------

    def _explain(self, explain: ExplainNamed, ctx: Context) -> None:
        """The instance itself, or one task; what has a row is the event persister's to tell."""
        number, request_id = explain.workflow_instance_id, explain.request_id
        live = self.live.get(number)
        if live is None:
            text = f"workflow instance {number} has just ended"
            ctx.tell("gateway", NotDone(request_id, 6, "refused", text))
            return
        if not explain.task:
            causes = [self._cause_of(live)]
            ctx.tell("event_persister", Explain("gateway", request_id, causes, number, None))
            return
        node = live.version.graph.index.get(explain.task)
        if node is None:
            names = live.version.graph.names
            self._refuse_unknown(request_id, number, explain.task, names, ctx)
            return
        causes = [] if live.has_row[node] else [self._cause_of_node(live, node)]
        ctx.tell("event_persister", Explain("gateway", request_id, causes, number, [node]))

    def _cause_of(self, live: Live) -> Cause:
        """``owner`` is empty where nothing would ever move it on."""
        row = live.row
        cause = Cause(state=WorkflowState(row.state).name, since=row.start_time)
        cause.until = row.timeout_at or None
        if live.running or live.ready or live.advancing:
            cause.owner = "workflow_executor"
        waiting = len(live.has_row) - sum(live.has_row)
        cause.cause = "running"
        cause.sentence = f"{_tasks(live.running)} live, {_tasks(waiting)} waiting for others"
        cause.next = "it ends when its last task has ended"
        if row.state == W.READY_STOP:
            cause.cause = "stopping"
            cause.sentence = f"is being stopped ({row.reason}); {_tasks(live.running)} still live"
        elif live.stopping:
            cause.cause = "failing"
            cause.sentence = f"{live.first_failure}, so nothing new starts; {cause.sentence}"
        return cause

    def _cause_of_node(self, live: Live, node: int) -> Cause:
        graph = live.version.graph
        cause = Cause(task=graph.names[node], owner="workflow_executor", since=live.row.start_time)
        if live.below_failure[node]:
            cause.cause, cause.sentence = "upstream_failed", "a task before it did not succeed"
            cause.next = "it is UPSTREAM_FAILED when the instance ends"
        elif live.stopping:
            cause.cause, cause.sentence = "stopping", "nothing new starts in its instance"
            cause.next = "it is SKIPPED when the instance ends"
        elif live.missing[node]:
            cause.parents, cause.owner = list(graph.parents[node]), ""
        else:
            cause.cause, cause.sentence = "ready", "its turn has come"
            cause.next = "it waits for a worker in a moment"
        return cause

    def _look_for_stuck(self, sweep: Sweep, ctx: Context) -> None:
        """Instances without a next step go with the rows that the sweeper asks about."""
        causes = []
        for live in self.live.values() if sweep.begins else ():
            cause = self._cause_of(live)
            if not cause.owner:
                cause.task_instance_id, cause.event_no = -live.row.id, live.row.event_no
                causes.append(cause)
        ctx.tell("event_persister", msgspec.structs.replace(sweep, causes=causes))

    # --- recovery -------------------------------------------------------------------------------

    def _load_instances(self, after: int, ctx: Context) -> None:
        ctx.load("live_instances", after, 1 if ctx.is_careful else RECOVER_INSTANCES)

    def _recover_instances(self, loaded: Loaded, ctx: Context) -> None:
        for row, body in loaded.rows:
            assert row.state not in WORKFLOW_FINAL
            version = self._version(row.version_digest, body)
            live = self.live[row.id] = Live(row, version)
            live.stopping, live.recovering = row.state == W.READY_STOP, True
            self.recovering.append(live)
            ctx.tell("event_persister", AdmitInstance(row, version))
        self.more_to_recover = loaded.rows[-1][0].id if loaded.rows else 0
        self._recover_next(ctx)

    def _recover_next(self, ctx: Context) -> None:
        if self.recovering:
            ctx.load("tasks_of", self.recovering[0].row.id, 0, RECOVER_TASKS)
        elif self.more_to_recover:
            self._load_instances(self.more_to_recover, ctx)
        else:
            ctx.tell("registry", RecoverWorkers())
            ctx.tell("gateway", LiveInstances(list(self.live)))
            for number in self.live:
                ctx.tell("workflow_executor", Resume(number))

    def _recover_tasks(self, loaded: Loaded, ctx: Context) -> None:
        live = self.recovering[0]
        rows: list[TaskInstanceRow] = loaded.rows
        for row in rows:
            self._count_row(live, row)
        ctx.tell("event_persister", RecoverTasks(rows))
        if len(rows) == RECOVER_TASKS:
            ctx.load("tasks_of", live.row.id, rows[-1].id, RECOVER_TASKS)
        else:
            self.recovering.popleft()
            self._recover_next(ctx)

    def _count_row(self, live: Live, row: TaskInstanceRow) -> None:
        state = TaskState(row.state)
        live.has_row[row.node] = 1
        if state not in TASK_FINAL:
            live.running += 1
        elif state in TASK_SUCCEEDED:
            live.succeed(row.node)
        elif state not in (T.SKIPPED, T.UPSTREAM_FAILED):
            live.fail(row.node, state)

    def _resume(self, live: Live, ctx: Context) -> None:
        """Go on from the rows: what a crash cut off is decided again, by the same rules."""
        live.recovering = False
        self._resume_limit(live, ctx)
        live.ready = deque(node for node in live.ready if not live.has_row[node])
        ends = live.failed and live.version.definition.failure_strategy == "end"
        if live.stopping or ends:
            self._halt(live, live.row.reason or "failure_strategy", ctx)
        else:
            self._advance(live, ctx)

    def _resume_limit(self, live: Live, ctx: Context) -> None:
        """What is left of its time; written anew, or a clock set back would give it more each time
        that the master starts.
        """
        row, timeout = live.row, live.version.definition.timeout
        is_over = row.warned_at is not None or row.reason == "timeout"
        if timeout is None or is_over:
            return
        left_ms = resumed_ms(row.timeout_at, timeout.after_ms, ctx)
        self.limits.set(row.id, left_ms, ctx)
        if ctx.wall_ms + left_ms < row.timeout_at:
            row.timeout_at = ctx.wall_ms + left_ms
            ctx.write(row)


def _tasks(count: int) -> str:
    return f"{count} task{'' if count == 1 else 's'}"
