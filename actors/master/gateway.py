"""Master actor: the only door for clients.

One entry per open request id. A repeat of an open request joins it; otherwise the intent's row is
loaded: same digest, the stored answer; another digest, refused; none, carried out. Intent, effect
and answer are one turn's writes, so an intent without an answer does not exist.
"""

import json
from typing import Any, assert_never

import msgspec

from ... import __version__
from ...protocol.commands import (
    Answer,
    DebugReply,
    DebugRequest,
    DefinitionPart,
    DefinitionRead,
    ExplainRead,
    InstanceChanged,
    InstanceList,
    InstancePage,
    InstanceRead,
    InstanceWatch,
    KillTask,
    LetterDrop,
    LetterRetry,
    LogChunk,
    LogRead,
    Refused,
    Shutdown,
    StatusRead,
    Stop,
    Submit,
    WorkerOrder,
)
from ...protocol.commands import Intent as IntentCommand
from ...protocol.rows import DeadLetter, IntentRow
from .. import peek
from ..base import Boot, Context, Leave, Loaded, OnDisk, Queried, TellWhenOnDisk, Timer, Withdraw
from ..suspects import Redelivered
from . import letters
from .cause import Cause, parked
from .messages import (
    Done,
    DrainAll,
    Explain,
    Explained,
    ExplainNamed,
    InstanceStarted,
    InstanceTouched,
    KillNamed,
    LiveInstances,
    NotDone,
    OrderWorker,
    Relay,
    Relayed,
    StartWorkflow,
    Status,
    StopWorkflow,
    Stuck,
    TellStatus,
    TellStuck,
    Unpark,
)
from .uploads import Uploads

#: People's eyes: a watch is answered at most that often (DESIGN section 5).
WATCH_MS_MIN = 100
WATCH_WAIT_MS_MAX = 30_000
LIST_LIMIT_MAX = 1_000
#: Open requests of all clients; above, a client is asked to come back.
OPEN_MAX = 10_000
#: So many more for who wants to see why.
OPEN_MAX_DEBUG = OPEN_MAX + 100
#: How long a page of a log is waited for: longer than a client's first repeats, which ask again.
LOG_WAIT_MS = 10_000
#: How long the debug answer waits for workers; a node that is silent is left out.
DEBUG_WAIT_MS = 1_000

#: Why a master leaves that is to begin another life in the same process.
AGAIN = "again"

NOTHING_NEW: dict[str, Any] = {"instance": None, "counts": {}, "tasks": []}

ClientIntent = Submit | Stop | KillTask | WorkerOrder | LetterRetry | LetterDrop
Inbox = (
    Boot
    | Timer
    | OnDisk
    | LiveInstances
    | InstanceStarted
    | Loaded
    | Queried
    | Submit
    | DefinitionPart
    | Stop
    | WorkerOrder
    | KillTask
    | LetterRetry
    | LetterDrop
    | Redelivered
    | Shutdown
    | StatusRead
    | InstanceRead
    | InstanceList
    | DefinitionRead
    | InstanceWatch
    | ExplainRead
    | LogRead
    | LogChunk
    | DebugRequest
    | DebugReply
    | Refused
    | Done
    | NotDone
    | Status
    | Explained
    | Stuck
    | Relayed
    | InstanceTouched
)

#: Tasks of which people want to know why they do not run.
WAITING_STATES = ("SUBMITTED_SUCCESS", "DELAY_EXECUTION", "DISPATCH")


class Open:
    """A request that is not answered yet."""

    def __init__(self, request: Any, peer: bytes) -> None:
        self.request = request
        self.peer = peer
        self.until_ms = 0  # of a watch, a log, debug: when an answer is due
        self.querying = False  # of a watch: its query is under way
        self.stale = False  # of a watch: something may have changed since its last query
        self.is_new = True  # of a watch: what was thought before it came may not be on disk yet
        self.rows: list[Any] = []  # of debug: what nodes have said so far
        self.awaited = 0  # of debug: nodes that have not
        self.live = False  # of a log: the attempt has not ended
        self.worker = ""  # of a log or a peek: who has it
        self.words = ""  # of a log: what is shown if it cannot be had
        self.about: dict[str, Any] = {}  # of an explanation: the instance


class Gateway:
    """Owns the open requests, and the definitions that are being sent."""

    def __init__(self, master: int, endpoint: str, pid: int, linger_ms: int | None) -> None:
        self.master = master
        self.endpoint = endpoint
        self.pid = pid
        self.linger_ms = linger_ms  # an embedded cluster leaves after so long without use
        self.used_ms = 0
        self.live: set[int] | None = None  # instances; not known before the recovery is through
        self.open: dict[str, Open] = {}
        self.uploads = Uploads()
        self.answered: dict[str, None] = {}  # intents, by request id; the oldest first
        self.letters: dict[int, list[str]] = {}  # being loaded → requests about it
        self.watched: dict[int, list[Open]] = {}  # instance → open watches of it
        #: Instances with a `TellWhenOnDisk` under way → whether they were touched again since.
        self.touched: dict[int, bool] = {}
        self.ended: dict[int, None] = {}  # watched ones that ended; the news is not yet on disk
        self.leaving_idle = False  # nobody is answered: who comes now starts a cluster afresh
        self.shutting_down = False
        self.debugging = False  # a timer looks at the debug requests that wait for other nodes
        self.look_ms: int | None = None  # when the timer fires that looks at what waits
        self.looked_ms = 0

    def held(self) -> int:
        """Requests without an answer, definitions without a submit."""
        return len(self.open) + len(self.uploads)

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Boot():
                self._watch_use(ctx)
            case LiveInstances():
                self.live, self.used_ms = set(message.workflow_instance_ids), ctx.now_ms
            case InstanceStarted():
                self._count_live(message.workflow_instance_id, ctx)
            case Timer(name="use"):
                self._watch_use(ctx)
            case Submit() | Stop() | KillTask() | WorkerOrder() | LetterRetry() | LetterDrop():
                self._take_intent(message, ctx)
            case DefinitionPart():
                self._take_part(message, ctx)
            case Redelivered():
                ctx.delete(DeadLetter, message.letter)
                self.receive(message.command, ctx)  # type: ignore[arg-type]
            case (
                Shutdown()
                | StatusRead()
                | InstanceRead()
                | InstanceList()
                | DefinitionRead()
                | InstanceWatch()
                | ExplainRead()
                | LogRead()
                | DebugRequest()
            ):
                self._take(message, ctx)
            case Loaded(name="letter"):
                self._take_letter(message, ctx)
            case Loaded():
                self._judge_intent(message, ctx)
            case Done():
                self._answer_done(message, ctx)
            case NotDone():
                self._refuse(
                    message.request_id,
                    message.exit_code,
                    message.code,
                    message.message,
                    ctx,
                    message.problems,
                )
            case Queried():
                self._answer_query(message, ctx)
            case Explained():
                self._send_explained(message, ctx)
            case Stuck():
                reply = DebugReply(request_id=message.request_id, rows=message.causes)
                self._reply(message.request_id, reply, ctx)
            case Status():
                self._send_status(message, ctx)
            case Relayed():
                self._count_relayed(message, ctx)
            case LogChunk() | DebugReply() | Refused():
                self._take_relayed(message, ctx)
            case InstanceTouched():
                self._take_touch(message.workflow_instance_id, message.ended, ctx)
            case OnDisk():
                self._look_again(message.about, ctx)
            case Timer(name="parts"):
                self.uploads.forget_old(ctx)
            case Timer(name="debug"):
                self._look_at_debug(ctx)
            case Timer():
                self._look_at_waiting(ctx)
            case _:
                assert_never(message)

    # --- intents --------------------------------------------------------------------------------

    def _take_intent(self, intent: ClientIntent, ctx: Context) -> None:
        if self.leaving_idle:
            return
        known = self.open.get(intent.request_id)
        if known is not None and getattr(known.request, "digest", None) == intent.digest:
            known.peer = ctx.peer
            return
        if known is not None:
            self._refuse_reuse(intent.request_id, ctx)
        elif ctx.stalled_ms and intent.request_id in self.answered:
            pass  # it is done, and its answer waits for the disk: a refusal would be a lie
        elif ctx.stalled_ms:
            text = f"{_stall(ctx)}; nothing is lost, make room or mend the disk and try again"
            self._refuse_now(intent, "storage_stalled", text, ctx)
        elif self.shutting_down:
            self._refuse_now(intent, "shutting_down", "the cluster is going down", ctx)
        elif len(self.open) >= OPEN_MAX:
            self._refuse_now(intent, "busy", f"{OPEN_MAX} requests are open; try again", ctx)
        else:
            self.open[intent.request_id] = Open(intent, ctx.peer)
            ctx.load("intent", intent.request_id)

    def _judge_intent(self, loaded: Loaded, ctx: Context) -> None:
        request_id = loaded.key[0]
        opened = self.open.get(request_id)
        if opened is None:
            return
        request = opened.request
        if loaded.rows:
            row: IntentRow = loaded.rows[0]
            if row.digest == request.digest:
                answer = Answer(request_id=request_id, result=json.loads(row.answer))
                self._reply(request_id, answer, ctx)
            else:
                self._refuse_reuse(request_id, ctx)
                self.open.pop(request_id, None)
        else:
            self._carry_out(request, ctx)

    def _carry_out(self, request: ClientIntent, ctx: Context) -> None:
        request_id, to = request.request_id, "workflow_executor"
        order: StartWorkflow | StopWorkflow | KillNamed | OrderWorker
        match request:
            case Submit():
                digest = request.definition_digest
                order = StartWorkflow(
                    request_id,
                    request.definition or self.uploads.take(digest),
                    digest,
                    request.params,
                    request.submit_dir,
                    request.dry_run,
                )
            case Stop():
                order = StopWorkflow(request_id, request.workflow_instance_id)
            case KillTask():
                order = KillNamed(request_id, request.workflow_instance_id, request.task)
            case LetterRetry() | LetterDrop():
                self.letters.setdefault(request.letter, []).append(request_id)
                ctx.load("letter", request.letter)
                return
            case WorkerOrder():
                to = "registry"
                order = OrderWorker(request_id, request.worker, request.order, request.slots)
        ctx.tell(to, order)

    def _take_part(self, part: DefinitionPart, ctx: Context) -> None:
        """Answered at once, and again if it comes again: what is kept here is not on disk."""
        if self.leaving_idle:
            return
        if self.shutting_down:
            self._refuse_now(part, "shutting_down", "the cluster is going down", ctx)
            return
        self.used_ms = ctx.now_ms
        received = self.uploads.receive(part, ctx)
        if isinstance(received, int):
            answer = Answer(request_id=part.request_id, result={"received": received})
            ctx.send(ctx.peer, answer)
            return
        exit_code, code, text = received
        request_id = part.request_id
        refusal = Refused(request_id=request_id, exit_code=exit_code, code=code, message=text)
        ctx.send(ctx.peer, refusal)

    def _take_letter(self, loaded: Loaded, ctx: Context) -> None:
        """What a person wants done with a dead letter."""
        number = loaded.key[0]
        row: DeadLetter | None = loaded.rows[0] if loaded.rows else None
        for request_id in self.letters.pop(number, []):
            opened = self.open.get(request_id)
            if opened is None:
                continue
            drops = isinstance(opened.request, LetterDrop)
            refusal = letters.refusal(number, row, drops)
            if refusal is not None:
                self._refuse(request_id, *refusal, ctx)
                continue
            assert row is not None
            if row.key and row.workflow_instance_id:
                again = not drops and not letters.is_instance(row)
                unpark = Unpark(request_id, row.workflow_instance_id, number, again)
                ctx.tell("workflow_executor", unpark)
                continue
            if drops:
                ctx.delete(DeadLetter, number)
            else:
                ctx.tell(row.actor, letters.again(number, row))
            self._answer_done(Done(request_id, {"letter": number}), ctx)

    def _answer_done(self, done: Done, ctx: Context) -> None:
        opened = self.open.get(done.request_id)
        if opened is None:
            if not done.request_id:  # the shutdown that nobody asked for
                ctx.perform(Leave("idle"))
            return
        if isinstance(opened.request, IntentCommand):
            ctx.append(
                IntentRow(
                    request_id=done.request_id,
                    digest=opened.request.digest,
                    kind=type(opened.request).__name__,
                    answer=json.dumps(done.result),
                    at=ctx.wall_ms,
                )
            )
        self._reply(done.request_id, Answer(request_id=done.request_id, result=done.result), ctx)
        if isinstance(opened.request, Shutdown):
            ctx.perform(Leave("shutdown"))
        elif done.starts_anew:
            ctx.perform(Leave(AGAIN))

    def _refuse_reuse(self, request_id: str, ctx: Context) -> None:
        text = f"request id {request_id} was used before for something else; use a new one"
        refusal = Refused(request_id=request_id, exit_code=6, code="reused", message=text)
        ctx.send(ctx.peer or self.open[request_id].peer, refusal)

    # --- reads ----------------------------------------------------------------------------------

    def _take(self, request: Any, ctx: Context) -> None:
        if self.leaving_idle:
            return
        known = self.open.get(request.request_id)
        if known is not None:
            known.peer = ctx.peer
            if isinstance(request, LogRead):  # the worker's answer may have been lost
                self._ask_log(request, ctx)
            return
        if len(self.open) >= (OPEN_MAX_DEBUG if isinstance(request, DebugRequest) else OPEN_MAX):
            self._refuse_now(request, "busy", f"{OPEN_MAX} requests are open; try again", ctx)
            return
        opened = self.open[request.request_id] = Open(request, ctx.peer)
        request_id = request.request_id
        match request:
            case Shutdown():
                self._shut_down(DrainAll(request_id, request.wait_ms, request.keep), ctx)
            case StatusRead():
                ctx.tell("registry", TellStatus(request_id, request.all))
            case InstanceRead():
                number = request.workflow_instance_id
                ctx.query("instance_page", request_id, number, request.from_node)
            case InstanceList():
                limit = min(max(request.limit, 1), LIST_LIMIT_MAX)
                ctx.query("instances", request_id, limit, request.before)
            case DefinitionRead():
                number = request.workflow_instance_id
                place = request.digest, request.offset
                ctx.query("definition_part", request_id, request.workflow, number, *place)
            case InstanceWatch():
                opened.until_ms = ctx.now_ms + min(request.wait_ms, WATCH_WAIT_MS_MAX)
                number = request.workflow_instance_id
                self.watched.setdefault(number, []).append(opened)
                if request.until_end and self.live is not None and number in self.live:
                    self._arm(opened, ctx)  # we shall hear of its end
                else:
                    self._touch(number, ctx)  # what is thought and not yet on disk is news, too
                    self._ask_changes(opened, ctx)
            case ExplainRead():
                ctx.query("ended", request_id, request.workflow_instance_id, 0)
            case LogRead():
                opened.until_ms = ctx.now_ms + LOG_WAIT_MS
                self._ask_log(request, ctx)
                self._arm(opened, ctx)
            case DebugRequest():
                self._debug(opened, request, ctx)

    def _debug(self, opened: Open, request: DebugRequest, ctx: Context) -> None:
        request_id = request.request_id
        match request.kind:
            case "trace":
                ctx.query("trace", request_id, request.task_instance_id)
            case "dead-letters":
                limit = min(max(request.limit, 1), LIST_LIMIT_MAX)
                ctx.query("dead_letters", request_id, limit, request.letter)
            case "stuck":
                ctx.tell("sweeper", TellStuck(request_id))
            case "peek" if request.node == ctx.node:
                self._reply(request_id, peek.answer(request, ctx), ctx)
            case "peek":
                opened.worker = request.node
                self._ask_nodes(opened, Relay(request.node, request), ctx)
            case "mailboxes":
                opened.rows = ctx.inspect()
                self._ask_nodes(opened, Relay(None, request), ctx)
            case _:
                kinds = "mailboxes, peek, stuck, trace and dead-letters"
                text = f"there is no debug {request.kind[:40]!r}; there are {kinds}"
                self._refuse(request_id, 2, "usage", text, ctx)

    def _ask_nodes(self, opened: Open, relay: Relay, ctx: Context) -> None:
        """What they answer until the time is over; the disk may stall meanwhile."""
        opened.until_ms = ctx.now_ms + DEBUG_WAIT_MS
        ctx.tell("registry", relay)
        if not self.debugging:
            self.debugging = True
            ctx.set_timer("debug", DEBUG_WAIT_MS)

    def _look_at_debug(self, ctx: Context) -> None:
        asked = [o for o in self.open.values() if isinstance(o.request, DebugRequest)]
        for opened in asked:
            if opened.until_ms and ctx.now_ms >= opened.until_ms:
                self._end_debug(opened, ctx)
        left = [o.until_ms for o in asked if o.until_ms > ctx.now_ms]
        self.debugging = bool(left)
        if left:
            ctx.set_timer("debug", min(left) - ctx.now_ms)

    def _end_debug(self, opened: Open, ctx: Context) -> None:
        """No node will say more."""
        request: DebugRequest = opened.request
        request_id, node = request.request_id, request.node[:40]
        if request.kind == "peek":
            text = f"the node {node!r} does not answer; `stenella status` shows those there are"
            self._refuse(request_id, 6, "node_away", text, ctx)
        else:
            self._reply(request_id, DebugReply(request_id=request_id, rows=opened.rows), ctx)

    def _answer_query(self, answer: Queried, ctx: Context) -> None:
        opened = self.open.get(answer.token)
        if opened is None or not _asks(opened.request, answer.name):
            return  # its id was used again, for another kind of read
        request, document = opened.request, answer.document
        if answer.refusal is not None:
            self._refuse(answer.token, *answer.refusal, ctx)
            return
        if document is None:
            self._refuse(answer.token, 3, "not_found", _not_found(request), ctx)
            return
        match request:
            case InstanceWatch():
                opened.querying = False
                is_over = request.counts and ctx.now_ms >= opened.until_ms
                if is_over or _is_news(request, document):
                    self._have_explained(answer.token, document, ctx)
                else:
                    self._arm(opened, ctx)
            case LogRead():
                opened.live, opened.worker = document["live"], document["worker"]
                opened.words = document["words"]
                if document["worker"] is None:
                    text = "the task has not been given to a worker yet, so it has no log"
                    self._refuse(answer.token, 3, "not_found", text, ctx)
                    return
                read = LogRead(
                    request_id=request.request_id,
                    task_instance_id=request.task_instance_id,
                    attempt=document["attempt"],
                    offset=request.offset,
                    limit=request.limit,
                    workflow_instance_id=document["workflow_instance_id"],
                )
                ctx.tell("registry", Relay(document["worker"], read))
            case ExplainRead():
                self._explain(opened, document["instance"], ctx)
            case DebugRequest():
                self._reply(answer.token, DebugReply(request_id=answer.token, rows=document), ctx)
            case InstanceRead():
                self._have_explained(answer.token, document, ctx)
            case _:
                self._reply(answer.token, InstancePage(request_id=answer.token, page=document), ctx)

    def _explain(self, opened: Open, instance: dict[str, Any], ctx: Context) -> None:
        """Of an instance that has ended nothing waits any more."""
        request: ExplainRead = opened.request
        names = ("workflow_instance_id", "workflow", "state")
        opened.about = {name: instance[name] for name in names}
        number, request_id = instance["workflow_instance_id"], request.request_id
        if instance["end_time"] is not None or instance["attention"]:
            page = opened.about | {"causes": parked(instance)}
            self._reply(request_id, InstancePage(request_id=request_id, page=page), ctx)
        else:
            ctx.tell("workflow_executor", ExplainNamed(request_id, number, request.task))

    def _have_explained(self, request_id: str, page: dict[str, Any], ctx: Context) -> None:
        """Before a page is sent, why its tasks are not running is filled in, if any are not."""
        causes = [
            Cause(task_instance_id=task["task_instance_id"])
            for task in page["tasks"]
            if task["state"] in WAITING_STATES
        ]
        if causes:
            ctx.tell("event_persister", Explain("gateway", request_id, causes, page=page))
        else:
            self._send_page(request_id, page, ctx)

    def _send_explained(self, explained: Explained, ctx: Context) -> None:
        opened = self.open.get(explained.request_id)
        if opened is None:
            return
        page = explained.page
        if page is None:
            page = opened.about | {"causes": [cause.document() for cause in explained.causes]}
        else:
            causes = {cause.task_instance_id: cause for cause in explained.causes if cause.owner}
            for task in page["tasks"]:
                if cause := causes.get(task["task_instance_id"]):
                    task["reason"], task["message"] = cause.cause, cause.sentence
        self._send_page(explained.request_id, page, ctx)

    def _send_page(self, request_id: str, page: dict[str, Any], ctx: Context) -> None:
        is_watch = isinstance(self.open[request_id].request, InstanceWatch)
        kind: Any = InstanceChanged if is_watch else InstancePage
        self._reply(request_id, kind(request_id=request_id, page=page), ctx)

    def _ask_log(self, request: LogRead, ctx: Context) -> None:
        ctx.query("log_place", request.request_id, request.task_instance_id, request.attempt)

    def _ask_changes(self, opened: Open, ctx: Context) -> None:
        request: InstanceWatch = opened.request
        opened.querying, opened.stale = True, False
        name = _query_of(request)
        ctx.query(name, request.request_id, request.workflow_instance_id, request.after)

    def _count_live(self, workflow_instance_id: int, ctx: Context) -> None:
        assert self.live is not None  # nothing starts before all are recovered
        self.live.add(workflow_instance_id)
        self.used_ms = ctx.now_ms

    def _take_touch(self, workflow_instance_id: int, ended: bool, ctx: Context) -> None:
        """Something was written about an instance; who waits for its end looks at nothing else."""
        if ended and self.live is not None:
            self.live.discard(workflow_instance_id)
            self.used_ms = ctx.now_ms
        watches = self.watched.get(workflow_instance_id, ())
        if ended or not all(opened.request.until_end for opened in watches):
            self._touch(workflow_instance_id, ctx)
        if ended and workflow_instance_id in self.touched:
            self.ended[workflow_instance_id] = None

    def _touch(self, workflow_instance_id: int, ctx: Context) -> None:
        """A reader would not see it yet: look when it is on disk."""
        if workflow_instance_id in self.touched:
            self.touched[workflow_instance_id] = True
        elif workflow_instance_id in self.watched:
            self.touched[workflow_instance_id] = False
            ctx.perform(TellWhenOnDisk(workflow_instance_id))

    def _look_again(self, workflow_instance_id: int, ctx: Context) -> None:
        more, ended = self.touched.pop(workflow_instance_id), False
        if more:
            self._touch(workflow_instance_id, ctx)
        elif workflow_instance_id in self.ended:
            del self.ended[workflow_instance_id]
            ended, self.looked_ms = True, ctx.now_ms - WATCH_MS_MIN  # an end is seen at once
        for opened in self.watched.get(workflow_instance_id, ()):
            opened.stale |= ended or opened.is_new or not opened.request.until_end
            opened.is_new = opened.is_new and more
            if opened.stale and ended and not opened.querying:
                self._ask_changes(opened, ctx)
            else:
                self._arm(opened, ctx)

    def _look_at_waiting(self, ctx: Context) -> None:
        """Watches whose instance changed, and whatever has waited long enough."""
        self.look_ms, self.looked_ms = None, ctx.now_ms
        for request_id, opened in list(self.open.items()):
            over = opened.until_ms and ctx.now_ms >= opened.until_ms
            match opened.request:
                case InstanceWatch(counts=True) if over and not opened.querying:
                    self._ask_changes(opened, ctx)
                case InstanceWatch() if over and not opened.querying:
                    page = NOTHING_NEW | {"last": opened.request.after}
                    self._reply(request_id, InstanceChanged(request_id=request_id, page=page), ctx)
                case InstanceWatch() if opened.stale and not opened.querying:
                    self._ask_changes(opened, ctx)
                case LogRead() if over:
                    self._say_last_words(opened, *_away(opened.worker, "does not answer"), ctx)
                case InstanceWatch() | LogRead():
                    self._arm(opened, ctx)

    def _arm(self, opened: Open, ctx: Context) -> None:
        """One timer for the earliest; never put off, or a busy instance would never be seen."""
        if opened.querying:
            return
        soon_ms = max(ctx.now_ms, self.looked_ms + WATCH_MS_MIN)
        due_ms = soon_ms if opened.stale else max(opened.until_ms, soon_ms)
        if self.look_ms is None or due_ms < self.look_ms:
            self.look_ms = due_ms
            ctx.set_timer("waiting", due_ms - ctx.now_ms)

    def _count_relayed(self, relayed: Relayed, ctx: Context) -> None:
        opened = self.open.get(relayed.request_id)
        if opened is None:
            return
        if isinstance(opened.request, LogRead):
            if relayed.count == 0:
                self._say_last_words(opened, *_away(opened.worker, "is not connected"), ctx)
            return
        opened.awaited = relayed.count
        if relayed.count == 0:
            self._end_debug(opened, ctx)

    def _say_last_words(
        self, opened: Open, exit_code: int, code: str, message: str, ctx: Context
    ) -> None:
        """The log cannot be had: what came with the result stands for it; else the refusal."""
        request: LogRead = opened.request
        if not opened.words:
            self._refuse(request.request_id, exit_code, code, message, ctx)
            return
        words = opened.words.encode()
        chunk = LogChunk(
            request_id=request.request_id,
            attempt=request.attempt,
            offset=min(request.offset, len(words)),
            data=words[request.offset : request.offset + request.limit],
            size=len(words),
            complete=True,
        )
        self._reply(request.request_id, chunk, ctx)

    def _take_relayed(self, reply: LogChunk | DebugReply | Refused, ctx: Context) -> None:
        """What a worker answers to a request that was passed on to it, and nothing else."""
        opened = self.open.get(reply.request_id)
        if opened is None:
            return
        match opened.request, reply:
            case LogRead(), LogChunk() if opened.worker == ctx.sender:
                complete = msgspec.structs.replace(reply, complete=not opened.live)
                self._reply(reply.request_id, complete, ctx)
            case LogRead(), Refused() if opened.worker == ctx.sender:
                code, text = reply.code, reply.message
                self._say_last_words(opened, reply.exit_code, code, text, ctx)
            case DebugRequest(kind="peek"), DebugReply() | Refused():
                if opened.worker == ctx.sender:
                    self._reply(reply.request_id, reply, ctx)
            case DebugRequest(kind="mailboxes"), DebugReply():
                opened.rows += reply.rows
                opened.awaited -= 1
                if opened.awaited == 0:
                    rows = opened.rows
                    gathered = DebugReply(request_id=reply.request_id, rows=rows)
                    self._reply(reply.request_id, gathered, ctx)

    def _watch_use(self, ctx: Context) -> None:
        """Leave when nothing is live, nobody asks, and that has lasted for ``linger_ms``."""
        if self.linger_ms is None or self.shutting_down:
            return
        is_used = self.live is None or self.live or self.open
        unused_ms = 0 if is_used else ctx.now_ms - self.used_ms
        if unused_ms < self.linger_ms:
            ctx.set_timer("use", self.linger_ms - unused_ms)
            return
        self.leaving_idle = True
        ctx.perform(Withdraw())
        self._shut_down(DrainAll("", 0, False), ctx)

    def _shut_down(self, drain: DrainAll, ctx: Context) -> None:
        self.shutting_down = True
        ctx.tell("dispatcher", drain)
        ctx.tell("registry", drain)

    def _send_status(self, status: Status, ctx: Context) -> None:
        master = {"id": self.master, "pid": self.pid, "endpoint": self.endpoint}
        masters = [master | {"version": __version__}]
        problem = _stall(ctx) if ctx.stalled_ms else None
        page = {
            "masters": masters,
            "workers": status.workers,
            "problem": problem,
            "time": ctx.wall_ms / 1_000,
        }
        answer = InstancePage(request_id=status.request_id, page=page)
        self._reply(status.request_id, answer, ctx)

    # --- answers --------------------------------------------------------------------------------

    def _reply(self, request_id: str, reply: Any, ctx: Context) -> None:
        opened = self.open.pop(request_id, None)
        if opened is None:
            return
        if isinstance(opened.request, ClientIntent):
            self.answered[request_id] = None
            if len(self.answered) > OPEN_MAX:
                del self.answered[next(iter(self.answered))]  # long said, or nobody could stall so
        if isinstance(opened.request, InstanceWatch):
            number = opened.request.workflow_instance_id
            self.watched[number].remove(opened)
            if not self.watched[number]:
                del self.watched[number]
        self.used_ms = ctx.now_ms
        if isinstance(opened.request, DebugRequest | StatusRead):
            ctx.send_now(opened.peer, reply)
        else:
            ctx.send(opened.peer, reply)

    def _refuse(
        self,
        request_id: str,
        exit_code: int,
        code: str,
        message: str,
        ctx: Context,
        problems: Any = (),
    ) -> None:
        refusal = Refused(
            request_id=request_id,
            exit_code=exit_code,
            code=code,
            message=message,
            problems=list(problems),
        )
        self._reply(request_id, refusal, ctx)

    def _refuse_now(self, request: Any, code: str, message: str, ctx: Context) -> None:
        """Reveals no task state, so it need not wait for a commit that may never come."""
        refusal = Refused(request_id=request.request_id, exit_code=6, code=code, message=message)
        ctx.send_now(ctx.peer, refusal)


def _stall(ctx: Context) -> str:
    """Since when nothing can be written, and why."""
    why = f" ({ctx.stalled_why})" if ctx.stalled_why else ""
    return f"the master could not write to its disk for {ctx.stalled_ms / 1000:.1f} s{why}"


def _away(worker: str, what: str) -> tuple[int, str, str]:
    """The refusal of a log whose worker cannot be asked."""
    text = f"the log is on {worker}, which {what}; it may come back: see `stenella worker ls`"
    return 6, "worker_away", text


def _not_found(request: Any) -> str:
    match request:
        case (
            InstanceRead(workflow_instance_id=0)
            | DefinitionRead(workflow="", workflow_instance_id=0)
        ):
            return "no workflow has run here yet"
        case DefinitionRead() if request.workflow:
            return f"no workflow {request.workflow!r} is registered; submitting a file does that"
        case InstanceRead() | InstanceWatch() | ExplainRead() | DefinitionRead():
            number = request.workflow_instance_id
            return f"no workflow instance {number}; `stenella ls` shows those there are"
        case _:
            return f"no task instance {request.task_instance_id} with that attempt"


def _asks(request: Any, query: str) -> bool:
    """Whether a request of this kind is answered by that query."""
    match request:
        case InstanceWatch():
            return query == _query_of(request)
        case ExplainRead():
            return query == "ended"
        case InstanceRead():
            return query == "instance_page"
        case InstanceList():
            return query == "instances"
        case DefinitionRead():
            return query == "definition_part"
        case LogRead():
            return query == "log_place"
        case _:
            return query in ("trace", "dead_letters")


def _query_of(request: InstanceWatch) -> str:
    """What a watch looks at."""
    if request.counts:
        return "progress"
    return "end" if request.until_end else "changes"


def _is_news(request: InstanceWatch, document: dict[str, Any]) -> bool:
    """Whether the watch is to be answered with it."""
    if document["instance"]["end_time"] is not None:
        return True
    return not request.until_end and (bool(document["tasks"]) or request.after == 0)
