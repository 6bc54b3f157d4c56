"""Worker actor: starts, watches and kills attempts through the warden, and adopts what it finds.

The master's requests and membership's questions come in; facts go to the callback sender, starts
and kills to the warden. Invariants: an attempt is in the journal before it is acknowledged or
handed to the warden; a dispatch_id is answered once and every copy alike; nothing is registered
before journal and warden have both answered; nothing is accepted before a Welcome said by whose
lease it lives; free slots = slots - attempts without a result; ``unended`` are exactly these.
"""

import json
import logging
from typing import Any, assert_never

from ...protocol.commands import (
    AttemptReport,
    TaskExecuteRequest,
    TaskExecuteRequestAck,
    TaskExecuteResponse,
    TaskExecuteRunning,
    TaskKillRequest,
    TaskKillResponse,
    clipped,
)
from ...protocol.launch import INSTANT_TYPES, Collection, Launch
from ...protocol.rows import JournalAttempt
from ..base import (
    Boot,
    Collect,
    Collected,
    Context,
    Discard,
    Loaded,
    Prepare,
    Prepared,
    Timer,
    ToWarden,
    WardenSaid,
)
from .ends import by_code, by_intent, exit_code
from .identity import Identity
from .log_reader import log_name
from .messages import (
    Acknowledged,
    Adjust,
    BesideWelcome,
    Callback,
    CountSlots,
    Drain,
    Drained,
    Drop,
    EpochRose,
    Fenced,
    FreeSlots,
    Judged,
    Leased,
    ListAttempts,
    Listing,
    Recovered,
    Report,
    SettledBelow,
    WardenMet,
    ids_of,
)

log = logging.getLogger(__name__)

#: The drain's progress is looked at so often; it is for people, not for speed.
DRAIN_CHECK_MS = 200
#: A preparation that lasts longer is told to the master as RUNNING without a process; as a rule it
#: takes a millisecond, and a word more for each attempt would cost more than it says.
PREPARING_MS = 200
#: RUNNING is told of a process that has lived so long. Of one that ends sooner it goes with RESULT,
#: in one commit and one frame on either side. Nobody sees the difference.
RUNNING_MS = 50
#: How often it is told that something cannot be killed, while it lasts: no answer tells us that
#: the master knows, and people need not know it sooner.
STUCK_REPEAT_MS = 10_000
#: For the master to take the last results of a drain; what it does not take is in the journal and
#: is told by the next life (of an instance that NEEDS_ATTENTION nothing is taken).
UNHEARD_MS = 10_000

Inbox = (
    Boot
    | Loaded
    | WardenSaid
    | TaskExecuteRequest
    | TaskKillRequest
    | Prepared
    | Collected
    | ListAttempts
    | CountSlots
    | BesideWelcome
    | EpochRose
    | Leased
    | Judged
    | SettledBelow
    | Drain
    | Adjust
    | Acknowledged
    | Fenced
    | Timer
)


class Attempt:
    """One attempt of this worker, from its acceptance to its result's acknowledgement."""

    def __init__(self, row: JournalAttempt, request: TaskExecuteRequest | None) -> None:
        self.row = row
        self.request = request  # None: accepted by a former life, whose request is gone
        self.launch: Launch | None = None  # set once it is handed to the warden
        self.ended: dict[str, Any] | None = None  # the warden's last word, while it is collected
        self.unwanted = False  # the master fenced it: kill it, say nothing
        self.accepted_ms: int | None = None  # by this life, on its own clock
        self.stuck: list[int] = []  # pids that KILL does not end


class Executor:
    """Owns the slots and every attempt that the journal has."""

    def __init__(
        self, identity: Identity, master: bytes, kill_grace_ms: int, processes_max: int = 0
    ) -> None:
        self.identity = identity
        self.master = master
        self.kill_grace_ms = kill_grace_ms
        self.processes_max = processes_max
        self.epoch = 0
        self.settled_below = 0
        self.adjusted = Adjust(draining=False, no_disk=False, slots=identity.slots)
        self.attempts: dict[int, Attempt] = {}
        self.unended: dict[int, int] = {}  # dispatch_id → task instance id
        #: dispatch_id → refusal, "" for accepted, never_began for a kill that came first.
        self.answered: dict[int, str] = {}
        self.journal_read = False
        self.warden = (0, 0)  # pid and start of the one that was met last
        self.warden_is_new = False  # nothing begins until the master has taken it
        self.warden_records: dict[int, dict[str, Any]] | None = None
        self.early: list[dict[str, Any]] = []  # said before we had recovered
        self.recovered = False
        self.lease: Leased | None = None  # as the warden was told last, or is to be told
        self.drain: Drain | None = None
        self.drain_until_ms = 0
        self.preparing: dict[int, Attempt] = {}  # not yet told to be RUNNING, the oldest first
        self.begun: dict[int, int] = {}  # dispatch_id → begin by ``now_ms``, RUNNING not yet told

    def held(self) -> int:
        """Attempts whose result is not yet acknowledged."""
        return len(self.attempts)

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case TaskExecuteRequest():
                if self._is_welcome(message):
                    self._answer(message, ctx)
                elif message.to_boot == self.identity.boot and message.epoch >= self.epoch:
                    ctx.tell("executor", BesideWelcome(message))
            case BesideWelcome():
                if self._is_welcome(message.request):  # else its Welcome was lost on the way
                    self._answer(message.request, ctx)
            case Acknowledged():
                self._forget(message.dispatch_id, ctx)
            case Boot():
                ctx.load("attempts")
            case Loaded():
                for row in message.rows:
                    self.attempts[row.dispatch_id] = Attempt(row, None)
                    self.answered[row.dispatch_id] = ""  # by a former life
                    if row.phase != "ended":
                        self.unended[row.dispatch_id] = row.task_instance_id
                self.journal_read = True
                self._meet_warden(ctx)
            case WardenSaid():
                self._hear_warden(message.message, ctx)
            case TaskKillRequest():
                if message.to_boot == self.identity.boot and message.epoch == self.epoch:
                    self._answer_kill(message, ctx)
            case Prepared():
                self._hand_over(message, ctx)
            case Collected():
                self._conclude(message.dispatch_id, message.collection, ctx)
            case ListAttempts():
                ctx.tell("membership", Listing([self._listed(a) for a in self.attempts.values()]))
            case CountSlots():
                ctx.tell("membership", FreeSlots(self._free_slots()))
            case EpochRose():
                if message.epoch != self.epoch:
                    self.drain = None  # who ordered it is gone; the next one does not go down
                self.epoch = message.epoch
                self.settled_below = 0
            case Leased():
                self.lease, self.warden_is_new = message, False
                self._pass_on_lease(ctx)
            case Judged():
                for verdict in message.verdicts:
                    if verdict.verdict != "keep":
                        self._fence(verdict.dispatch_id, ctx)
                self._start_held(ctx)
            case SettledBelow():
                self._settle(message.dispatch_id)
            case Drain():
                self._begin_drain(message, ctx)
            case Adjust():
                self.adjusted = message
            case Fenced():
                self._fence(message.dispatch_id, ctx)
            case Timer(name="stuck"):
                self._tell_stuck(ctx)
            case Timer(name="drain"):
                self._go_on_draining(ctx)
            case Timer(name="running"):
                self._look_at_begun(ctx)
            case Timer():
                self._look_at_preparing(ctx)
            case _:
                assert_never(message)

    # --- requests -------------------------------------------------------------------------------

    def _is_welcome(self, request: TaskExecuteRequest) -> bool:
        """Whether its master has taken this life for the worker."""
        mine = request.to_boot == self.identity.boot and request.epoch == self.epoch
        return mine and self.lease is not None

    def _answer(self, request: TaskExecuteRequest, ctx: Context) -> None:
        dispatch_id = request.dispatch_id
        refusal = self.answered.get(dispatch_id)
        if refusal is None:
            refusal = self._refusal(request)
            if refusal != "fenced":
                self.answered[dispatch_id] = refusal
            if not refusal and dispatch_id not in self.attempts:
                self._accept(request, ctx)
                return  # its RUNNING or RESULT says that it has come; a copy is answered below
        ctx.send(
            self.master,
            TaskExecuteRequestAck(**ids_of(request), accepted=not refusal, reason=refusal),
        )

    def _refusal(self, request: TaskExecuteRequest) -> str:
        """Why this request cannot be taken; empty if it can."""
        if request.dispatch_id in self.attempts:
            return ""
        if request.dispatch_id < self.settled_below:
            return "fenced"
        if self.drain is not None or self.adjusted.draining:
            return "draining"
        if self.adjusted.no_disk:
            return "no_disk"
        if request.task_type not in self.identity.types:
            return "unknown_type"
        if request.task_instance_id in self.unended.values():
            return "no_slot"  # an older attempt still dies here: two never run at the same time
        return "no_slot" if not self._is_instant(request) and self._free_slots() <= 0 else ""

    def _is_instant(self, request: TaskExecuteRequest) -> bool:
        """It ends in the turn in which it begins, and needs no slot."""
        return request.dry_run or request.task_type in INSTANT_TYPES

    def _accept(self, request: TaskExecuteRequest, ctx: Context) -> None:
        row = JournalAttempt(
            **ids_of(request),
            life=self.identity.life,
            type=request.task_type,
            outputs=json.dumps(request.outputs) if request.outputs else "{}",
            required=json.dumps(request.required) if request.required else "[]",
            phase="accepted",
            log=log_name(request.workflow_instance_id, request.task_instance_id, request.attempt),
        )
        attempt = self.attempts[request.dispatch_id] = Attempt(row, request)
        attempt.accepted_ms = ctx.now_ms
        if self._is_instant(request):
            self._finish_at_once(attempt, request, ctx)
            return
        self.unended[request.dispatch_id] = request.task_instance_id
        ctx.put(row)
        # Beside the commit: what it makes is cleared away if that fails.
        ctx.perform_now(Prepare(request))
        self.preparing[request.dispatch_id] = attempt
        if len(self.preparing) == 1:
            ctx.set_timer("preparing", PREPARING_MS)

    def _answer_kill(self, request: TaskKillRequest, ctx: Context) -> None:
        dispatch_id = request.dispatch_id
        attempt = self.attempts.get(dispatch_id)
        if attempt is None:
            # What is not here has no result to come: whoever still asks would wait for ever.
            outcome = "ended" if self.answered.get(dispatch_id) == "" else "never_began"
            if outcome == "never_began" and dispatch_id >= self.settled_below:
                self.answered[dispatch_id] = outcome  # a tombstone
        elif attempt.row.phase == "ended":
            outcome = "ended"
        elif self._is_untouched(attempt):
            outcome = self.answered[dispatch_id] = "never_began"
            self._forget(dispatch_id, ctx)
        else:
            outcome = "killing"
            self._kill(attempt, request.reason, request.grace_ms, ctx)
        ctx.send(self.master, TaskKillResponse(**ids_of(request), outcome=outcome))

    def _kill(self, attempt: Attempt, intent: str, grace_ms: int, ctx: Context) -> None:
        if attempt.row.kill_reason is None:
            attempt.row.kill_reason = intent
            ctx.put(attempt.row)
        dispatch_id = attempt.row.dispatch_id
        kill = {"do": "kill", "dispatch_id": dispatch_id, "intent": intent, "grace_ms": grace_ms}
        # Beside the commit: it may be this very task that fills the disk.
        ctx.perform_now(ToWarden(kill))

    def _settle(self, below: int) -> None:
        if below <= self.settled_below:
            return
        self.settled_below = below
        for dispatch_id in [d for d in self.answered if d < below]:
            del self.answered[dispatch_id]

    def _is_untouched(self, attempt: Attempt) -> bool:
        """Neither handed to the warden nor told to be RUNNING: as if it had never come."""
        unbegun = attempt.row.phase == "accepted" and attempt.row.start_time is None
        return unbegun and attempt.request is not None and attempt.launch is None

    # --- starting and ending --------------------------------------------------------------------

    def _finish_at_once(self, attempt: Attempt, request: TaskExecuteRequest, ctx: Context) -> None:
        """A task without a process, or a dry run: its RESULT says all, so there is no RUNNING.

        It gives the declared defaults. What has none is empty in a dry run, else a problem.
        """
        attempt.row.start_time = ctx.wall_ms
        attempt.ended = {"end_time": ctx.wall_ms}
        status, reason, message = "SUCCESS", "", ""
        outputs = request.outputs
        if request.dry_run:
            outputs = outputs | dict.fromkeys(request.required, "")
        elif request.required:
            status, reason, outputs = "FAILURE", "bad_output", {}
            message = (
                f"a {request.task_type} task gives its outputs their defaults, and there is none "
                f"for {', '.join(request.required)}: declare one, or use another type"
            )
        exit_code = None if request.dry_run else 0
        self._report_end(attempt, status, reason, message, Collection(outputs, ""), exit_code, ctx)

    def _look_at_preparing(self, ctx: Context) -> None:
        """Tell RUNNING of what has been in preparation for long."""
        for dispatch_id, attempt in list(self.preparing.items()):
            assert attempt.accepted_ms is not None
            waits_ms = attempt.accepted_ms + PREPARING_MS - ctx.now_ms
            if waits_ms > 0:
                ctx.set_timer("preparing", waits_ms)
                return
            del self.preparing[dispatch_id]
            self._tell_unprepared(attempt, ctx)

    def _tell_unprepared(self, attempt: Attempt, ctx: Context) -> None:
        """RUNNING of an attempt without a process."""
        if self._count_as_begun(attempt, ctx):
            self._report(attempt, [], ctx)

    def _count_as_begun(self, attempt: Attempt, ctx: Context) -> bool:
        """From its acceptance on, unless its begin was told already."""
        row, since_ms = attempt.row, attempt.accepted_ms
        if row.phase != "accepted" or row.start_time is not None:
            return False
        row.start_time = ctx.wall_ms - (0 if since_ms is None else ctx.now_ms - since_ms)
        self.begun[row.dispatch_id] = ctx.now_ms
        return True

    def _hand_over(self, prepared: Prepared, ctx: Context) -> None:
        attempt = self.attempts.get(prepared.dispatch_id)
        self.preparing.pop(prepared.dispatch_id, None)
        if attempt is None or attempt.request is None or attempt.row.phase == "ended":
            return  # killed before it began
        if prepared.problem:
            self._fail(attempt, "preflight", prepared.problem, ctx)
        elif prepared.launch is None:
            self._run_without_process(attempt, ctx)
        else:
            attempt.launch = prepared.launch
            self._start(attempt, prepared.launch, ctx)

    def _start_held(self, ctx: Context) -> None:
        """The master has taken the new warden: what waited for that begins, or has begun."""
        for attempt in self.attempts.values():
            unbegun = attempt.row.phase == "accepted" and attempt.row.kill_reason is None
            if unbegun and attempt.launch is not None:
                self._start(attempt, attempt.launch, ctx)

    def _start(self, attempt: Attempt, launch: Launch, ctx: Context) -> None:
        row = attempt.row
        assert attempt.request is not None, "only what this life prepared has a launch"
        assert self.lease is not None, "nothing is accepted without"
        if self.warden_is_new:
            return  # `_start_held` comes back here
        start = {
            "do": "start",
            "dispatch_id": row.dispatch_id,
            "task_instance_id": row.task_instance_id,
            "workflow_instance_id": row.workflow_instance_id,
            "attempt": row.attempt,
            "marker": self._marker(row),
            "owner": self.lease.owner,
            "keep": attempt.request is not None and attempt.request.keep,
            "argv": launch.argv,
            "env": launch.env,
            "cwd": launch.cwd,
            "log": row.log,
            "traces": launch.traces,
            "limit_ms": self._time_left_ms(attempt, attempt.request, ctx),
            "grace_ms": attempt.request.kill_grace_ms,
            "processes_max": self.processes_max,
        }
        ctx.perform(ToWarden(start, only=self.warden))

    def _time_left_ms(self, attempt: Attempt, request: TaskExecuteRequest, ctx: Context) -> int:
        """Of the attempt's limit when its process starts, 0: none. A long preparation counts."""
        counts = attempt.row.start_time is not None and attempt.accepted_ms is not None
        if not request.limit_ms or not counts:
            return request.limit_ms
        assert attempt.accepted_ms is not None
        return max(1, request.limit_ms - (ctx.now_ms - attempt.accepted_ms))

    def _marker(self, row: JournalAttempt) -> str:
        me = self.identity
        return f"{me.cluster}.{me.worker}.{row.task_instance_id}.{row.attempt}"

    def _run_without_process(self, attempt: Attempt, ctx: Context) -> None:
        self._begin(attempt, ctx.wall_ms, 0, ctx)
        outputs = json.loads(attempt.row.outputs)
        attempt.ended = {"code": 0, "signal": None, "end_time": ctx.wall_ms, "intent": None}
        self._conclude(attempt.row.dispatch_id, Collection(outputs, ""), ctx)

    def _begin(self, attempt: Attempt, start_time: int, pid: int, ctx: Context) -> None:
        """The journal need not have it before it is told: the warden's log has it."""
        row = attempt.row
        row.phase, row.pid = "begun", pid
        if row.start_time is None:  # else a long preparation is a part of the attempt
            row.start_time = start_time
        self.begun[row.dispatch_id] = ctx.now_ms
        if len(self.begun) == 1:
            ctx.set_timer("running", RUNNING_MS)

    def _look_at_begun(self, ctx: Context) -> None:
        """Tell RUNNING of what has run for a while."""
        for dispatch_id, since_ms in list(self.begun.items()):
            waits_ms = since_ms + RUNNING_MS - ctx.now_ms
            if waits_ms > 0:
                ctx.set_timer("running", waits_ms)
                return
            self._report(self.attempts[dispatch_id], [], ctx)

    def _report(self, attempt: Attempt, facts: list[Callback], ctx: Context) -> None:
        """To the master, with the RUNNING that it was not yet told."""
        row = attempt.row
        ctx.put(row)
        if self.begun.pop(row.dispatch_id, None) is not None:
            facts = [self._running(row), *facts]
        if not attempt.unwanted:
            ctx.tell("callback_sender", Report(facts))

    def _running(self, row: JournalAttempt) -> TaskExecuteRunning:
        assert row.start_time is not None
        return TaskExecuteRunning(
            **ids_of(row),
            seq=0,
            start_time=row.start_time,
            host=self.identity.host,
            pid=row.pid,
            log=row.log,
        )

    def _collect(self, attempt: Attempt, ended: dict[str, Any], ctx: Context) -> None:
        if attempt.row.phase == "ended" or attempt.ended is not None:
            return
        if ended.get("problem"):
            self._fail(attempt, "preflight", ended["problem"]["message"], ctx)
            return
        attempt.ended = ended
        row = attempt.row
        outputs, required = json.loads(row.outputs), json.loads(row.required)
        if ended.get("silent") and not (outputs or required):
            self._conclude(row.dispatch_id, Collection({}, ""), ctx)
            return
        ctx.perform(
            Collect(
                dispatch_id=row.dispatch_id,
                task_type=row.type,
                log=row.log,
                exit_code=exit_code(ended),
                outputs=outputs,
                required=required,
            )
        )

    def _conclude(self, dispatch_id: int, collection: Collection, ctx: Context) -> None:
        attempt = self.attempts.get(dispatch_id)
        if attempt is None or attempt.ended is None or attempt.row.phase == "ended":
            return
        ended, code = attempt.ended, exit_code(attempt.ended)
        status, reason, message = "SUCCESS", "", ""
        if ended["intent"] is not None:
            status, reason, message = by_intent(ended["intent"], self.processes_max)
        elif code != 0:
            status, reason, message = by_code(ended)
        elif collection.problem:
            status, reason, message = "FAILURE", "bad_output", collection.problem
        message = "; ".join(filter(None, (message, collection.note)))
        self._report_end(attempt, status, reason, message, collection, code, ctx)

    def _fail(self, attempt: Attempt, reason: str, message: str, ctx: Context) -> None:
        self._count_as_begun(attempt, ctx)
        attempt.ended = {"end_time": ctx.wall_ms}
        self._report_end(attempt, "FAILURE", reason, message, Collection({}, ""), None, ctx)

    def _lose(self, attempt: Attempt, ctx: Context) -> None:
        if attempt.row.phase == "ended":
            return
        attempt.ended = {"end_time": ctx.wall_ms}
        status, reason = "NEED_FAULT_TOLERANCE", "lost"
        message = "the process was lost: its warden ended without recording how it ended"
        if attempt.row.kill_reason is not None:  # journalled before: it decides
            status, reason, _ = by_intent(attempt.row.kill_reason, self.processes_max)
        self._report_end(attempt, status, reason, message, Collection({}, ""), None, ctx)

    def _report_end(
        self,
        attempt: Attempt,
        status: str,
        reason: str,
        message: str,
        collection: Collection,
        exit_code: int | None,
        ctx: Context,
    ) -> None:
        row = attempt.row
        if attempt.unwanted:
            self._forget(row.dispatch_id, ctx)
            return
        assert attempt.ended is not None
        row.phase = "ended"
        self.unended.pop(row.dispatch_id, None)
        response = TaskExecuteResponse(
            **ids_of(row),
            seq=0,
            status=status,
            exit_code=exit_code,
            reason=reason,
            message=clipped(message),
            start_time=row.start_time,
            # The wall clock may have been set back since the start.
            end_time=max(attempt.ended["end_time"], row.start_time or 0),
            host=self.identity.host,
            pid=row.pid,
            log=row.log,
            outputs=collection.outputs,
            tail=clipped(collection.tail),
        )
        self._report(attempt, [response], ctx)

    def _forget(self, dispatch_id: int, ctx: Context) -> None:
        """The attempt leaves the journal, the warden's log and the disk; its log stays."""
        attempt = self.attempts.pop(dispatch_id, None)
        self.preparing.pop(dispatch_id, None)
        self.begun.pop(dispatch_id, None)
        self.unended.pop(dispatch_id, None)
        if attempt is None:
            return
        ctx.delete(JournalAttempt, dispatch_id)
        if attempt.request is None or not self._is_instant(attempt.request):
            ctx.perform(ToWarden({"do": "forget", "dispatch_id": dispatch_id}))
            ctx.perform(Discard(dispatch_id, brief=self._was_brief(attempt)))

    def _was_brief(self, attempt: Attempt) -> bool:
        """Whether another attempt may get its folder. That saves longer ones nothing, and what they
        had somebody else start (a container, a unit, a login) may still write there.
        """
        ended = attempt.ended or {}
        return bool(ended.get("duration_ms", RUNNING_MS) < RUNNING_MS)

    def _fence(self, dispatch_id: int, ctx: Context) -> None:
        """The master does not want it: nothing is said of it any more, and it must not run."""
        ctx.tell("callback_sender", Drop(dispatch_id))
        attempt = self.attempts.get(dispatch_id)
        if attempt is None:
            return
        is_ours = attempt.request is not None or attempt.row.life != self.identity.life
        never_handed = is_ours and attempt.launch is None and attempt.row.phase == "accepted"
        if attempt.row.phase == "ended" or never_handed:
            self._forget(dispatch_id, ctx)
        elif not attempt.unwanted:
            attempt.unwanted = True
            self._kill(attempt, "fence", 0, ctx)

    # --- the warden, and what a former life left ------------------------------------------------

    def _pass_on_lease(self, ctx: Context) -> None:
        if self.lease is not None:
            of = self.lease
            until = {"until_ms": of.until_ms, "grace_ms": of.fence_grace_ms}
            # Beside the commit: a disk that is full for longer than a lease must not end what the
            # master hears of. It is the master's promise, whatever this journal comes to hold.
            ctx.perform_now(ToWarden({"do": "lease", "owner": of.owner, **until}))

    def _hear_warden(self, said: dict[str, Any], ctx: Context) -> None:
        if said["say"] == "records":
            self._change_warden((said["pid"], said["start_ticks"]))
            self._pass_on_lease(ctx)  # a new warden knows of none, and is to start nothing without
            ctx.tell("membership", WardenMet(said["pid"], said["start_ticks"]))
            self.warden_records = {record["dispatch_id"]: record for record in said["records"]}
            self._meet_warden(ctx)
            return
        if not self.recovered:
            self.early.append(said)
            return
        attempt = self.attempts.get(said.get("dispatch_id", 0))
        if attempt is None:
            if said["say"] in ("ended", "lost"):  # it was fenced or acknowledged before
                forget = {"do": "forget", "dispatch_id": said["dispatch_id"]}
                ctx.perform(ToWarden(forget))
            return
        match said["say"]:
            case "never_began" if attempt.row.kill_reason is None:  # the lease had passed
                attempt.row.kill_reason = "fence"
                ctx.put(attempt.row)
                self._end_unbegun(attempt, ctx)
            case "unknown" | "never_began":
                self._end_unbegun(attempt, ctx)
            case "begun":
                if attempt.row.phase == "accepted":
                    self._begin(attempt, said["start_time"], said["pid"], ctx)
            case "ended":
                self._collect(attempt, said, ctx)
            case "lost":
                self._lose(attempt, ctx)
            case "kill_failed":
                attempt.stuck = said["pids"]
                log.warning(
                    "cannot be killed task=%s attempt=%s pids=%s",
                    attempt.row.task_instance_id,
                    attempt.row.attempt,
                    attempt.stuck,
                )
                self._tell_stuck(ctx)

    def _change_warden(self, warden: tuple[int, int]) -> None:
        """Without a lease its master watches the warden, and may have seen the former one go.

        Then this worker may be dead to it: nothing begins here until it has taken the new one.
        """
        if warden != self.warden and self.lease is not None and not self.lease.until_ms:
            self.warden_is_new = True
        self.warden = warden

    def _tell_stuck(self, ctx: Context) -> None:
        """Of all that cannot be killed, as long as that is so: the master forgets nothing."""
        attempts = [a for a in self.attempts.values() if not a.unwanted]
        stuck = [a for a in attempts if a.stuck and a.row.phase != "ended"]
        for attempt in stuck:
            ids = ids_of(attempt.row) | {"epoch": self.epoch}
            answer = TaskKillResponse(**ids, outcome="kill_failed", pids=attempt.stuck)
            ctx.send(self.master, answer)
        if stuck:
            ctx.set_timer("stuck", STUCK_REPEAT_MS)

    def _meet_warden(self, ctx: Context) -> None:
        """Compare the journal with all that the warden has; at start, and for each new warden."""
        if not self.journal_read or self.warden_records is None:
            return
        records, self.warden_records = self.warden_records, None
        for attempt in list(self.attempts.values()):
            self._adopt(attempt, records.pop(attempt.row.dispatch_id, None), ctx)
        for record in records.values():  # acknowledged or fenced before; only the warden knows it
            dispatch_id = record["dispatch_id"]
            kill = {"do": "kill", "dispatch_id": dispatch_id, "intent": "fence", "grace_ms": 0}
            if record["phase"] not in ("ended", "lost"):
                ctx.perform_now(ToWarden(kill))
            ctx.perform(ToWarden({"do": "forget", "dispatch_id": dispatch_id}))
        if not self.recovered:
            self.recovered = True
            ctx.tell("membership", Recovered())
            early, self.early = self.early, []
            for said in early:
                self._hear_warden(said, ctx)

    def _end_unbegun(self, attempt: Attempt, ctx: Context) -> None:
        """Killed, and the warden promises that it never began and never will."""
        row = attempt.row
        if row.kill_reason is None or row.phase == "ended":
            return
        attempt.ended = {"end_time": ctx.wall_ms}
        status, reason, message = by_intent(row.kill_reason, self.processes_max)
        self._report_end(attempt, status, reason, message, Collection({}, ""), None, ctx)

    def _adopt(self, attempt: Attempt, record: dict[str, Any] | None, ctx: Context) -> None:
        row = attempt.row
        if row.phase == "ended":
            return
        if record is None:
            if row.phase == "begun":
                if attempt.ended is None:
                    self._lose(attempt, ctx)
            elif row.kill_reason is not None:
                self._end_unbegun(attempt, ctx)
            elif attempt.launch is not None:  # the former warden never read our start
                self._start(attempt, attempt.launch, ctx)
            return
        if row.life != self.identity.life:
            row.life = self.identity.life  # it is ours now, and not abandoned
            ctx.put(row)
        if row.phase == "accepted" and record.get("pid"):
            self._begin(attempt, record["start_time"], record["pid"], ctx)
        if record["phase"] == "ended":
            self._collect(attempt, record, ctx)
        elif record["phase"] == "lost":
            self._lose(attempt, ctx)
        elif row.kill_reason is not None:
            self._kill(attempt, row.kill_reason, self.kill_grace_ms, ctx)

    def _listed(self, attempt: Attempt) -> AttemptReport:
        row = attempt.row
        phase = row.phase
        if phase == "accepted" and row.life != self.identity.life:
            phase = "abandoned"
        return AttemptReport(
            row.task_instance_id, row.workflow_instance_id, row.attempt, row.dispatch_id, phase
        )

    def _free_slots(self) -> int:
        return max(0, self.adjusted.slots - len(self.unended))

    # --- draining -------------------------------------------------------------------------------

    def _begin_drain(self, drain: Drain, ctx: Context) -> None:
        until_ms = ctx.now_ms + drain.wait_ms
        is_first, self.drain = self.drain is None, drain
        self.drain_until_ms = until_ms if is_first else min(until_ms, self.drain_until_ms)
        if is_first:
            self._go_on_draining(ctx)

    def _go_on_draining(self, ctx: Context) -> None:
        drain = self.drain
        if drain is None:
            return
        running = [a for a in self.attempts.values() if a.row.phase != "ended"]
        unheard = not running and ctx.now_ms >= self.drain_until_ms + UNHEARD_MS
        if not self.attempts or unheard or (drain.keep and len(running) == len(self.attempts)):
            ctx.tell("membership", Drained())
            return
        if ctx.now_ms >= self.drain_until_ms and not drain.keep:
            for attempt in running:
                if attempt.row.kill_reason is None:
                    self._kill(attempt, "shutdown", self.kill_grace_ms, ctx)
        ctx.set_timer("drain", DRAIN_CHECK_MS)
