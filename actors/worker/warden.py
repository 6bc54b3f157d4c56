"""The warden's rules: who starts, waits for, kills and records the task processes of one worker.

Performed by `runtime/warden_main.py` and by the simulation. Pure: no I/O, no clock, and it imports
nothing, because the warden's memory is paid once per worker. It owns what is known of every
attempt that the worker has not yet forgotten.

`Warden.receive` takes one message and returns effects, to be performed in this order. Whoever
performs may move a ``record`` forward, though not across a ``rewrite``, never back; what an effect
answers is received before anything later that concerns the same attempt.

From the worker, one JSON object a line, each with the ``connection`` it came by:

| do | fields | answered by |
|---|---|---|
| hello | worker, boot, journal, life | records, once the former connection is read to its end |
| start | IDENTITY, argv, env, cwd, log, the limits; traces | begun, ended; or never_began |
| lease | owner, until_ms (CLOCK_BOOTTIME; 0: none), grace_ms | |
| kill | dispatch_id, intent, grace_ms | killing, then ended or kill_failed; or the end; unknown |
| forget | dispatch_id, ended or lost (else ignored) | |
| leave | | the end of the warden when nothing runs |

Intents: person, timeout, limit, fence, shutdown. An unknown attempt that is killed can never begin.
The limits are limit_ms, grace_ms, processes_max: unless somebody was first, an attempt is killed
with intent timeout ``limit_ms`` after its begin (0: never) with the grace ``grace_ms``, and with
intent limit and no grace once it has more than ``processes_max`` processes (0: any number).
``traces`` are the files, beside the log, in which it may leave something; None or missing: who
knows. An attempt that left nothing in any of them was ``silent``: nobody need look.

A lease says until when this owner's attempts may run. When one has passed the warden stops them by
itself (TERM at once, KILL ``grace_ms`` after the deadline, intent fence), but for those that are to
be kept, and starts nothing of this owner until the lease is renewed.

From the world:

| do | fields | means |
|---|---|---|
| open | | the first message: the log has been read |
| clock | now_ms (CLOCK_BOOTTIME) | comes first of all that is received together |
| closed | connection | read to its end; nothing more comes from it |
| spawned | dispatch_id, pid, start_ticks, start_time | answers ``spawn`` |
| spawn_failed | dispatch_id, message, end_time | answers ``spawn`` |
| spawn_later | dispatch_id, start | answers ``spawn``: no process, memory or file just now |
| never_spawned | dispatch_id, end_time | answers ``spawn``, see `Warden.withdrawn` |
| signalled | dispatch_id | answers ``signal`` if the main process had not ended by then |
| exited | dispatch_id, code, signal, duration_ms, oom | the main process ended; one is None |
| counted | counts: dispatch_id → processes | answers ``count``; of those too many at least |
| swept | dispatch_id, sweep_no, left (pids), silent | answers ``sweep``: found alive, or unclear |
| grace_over, sweep_again, spawn_again | as given to ``timer`` | it fired |
| idle_over, count, logs_due | as given to ``timer`` | it fired |
| limit_over | dispatch_id | the time of ``limit`` is over |

Effects:

| effect | what is to be done |
|---|---|
| ("record", record) | append to the log |
| ("rewrite", records) | replace the log by these |
| ("spawn", start) | start the process of this `start` |
| ("signal", dispatch_id, pid) | TERM to the group, unless the main process has ended |
| ("sweep", fields) | one pass: KILL to all that is left of the attempt; see `Warden._sweep` |
| ("count", counts) | how many processes? each of ``counts`` as of a ``sweep``, with ``most`` |
| ("tell", connection, fact) | send; lost if the connection is gone |
| ("close", connection) | close it; no ``closed`` follows |
| ("cap", log, bytes_max) | make a hole in the middle of a log that is longer |
| ("timer", after_ms, message) | receive that message then; timers do not replace one another |
| ("limit", dispatch_id, after_ms) | receive ``limit_over`` then; None: call it off |
| ("alarm", at_ms) | receive ``clock`` by then (CLOCK_BOOTTIME); replaces the former |
| ("exit",) | end the process; nothing follows |

Facts, each with ``say`` and, but for the first, dispatch_id:

| say | fields |
|---|---|
| records | records: every attempt not forgotten, folded, with its phase |
| begun | pid, start_ticks, start_time |
| ended | code, signal, end_time, duration_ms, intent, oom, silent, problem (or None) |
| lost, killing, unknown, never_began | |
| kill_failed | pids |
| not_understood | do: a command that this warden does not know, or that lacks a field |

Log records are the facts begun, ended and lost, plus ``starting`` and ``forget``, with the word
under ``phase`` instead of ``say``. A ``problem`` has a reason and a message. Times are epoch
milliseconds; ``start_ticks`` is field 22 of /proc/<pid>/stat, which with the pid and the kernel's
boot id names a process for good. ``oom``: the main process, or what a shell ended with, got a KILL
that was not ours while the kernel killed for want of memory, in our memory group (group) or
somewhere (machine); else empty.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time `typing` would cost half a megabyte
    from typing import Any

    Fields = dict[str, Any]
    Effect = tuple[Any, ...]
else:
    Fields, Effect = dict, tuple

IDLE_MS = 30_000  # without process and without worker: time for a worker's restart (DESIGN §6)

#: Pauses between spawns that fail for a reason that passes (EAGAIN, ENOMEM, EMFILE): some other
#: process has to end first, and each try costs a millisecond.
SPAWN_PAUSES_MS = (50, 200, 1_000, 5_000)

#: Pauses between passes while something is left. KILL takes effect within milliseconds; whatever
#: outlasts a second of it is reported, and tried again every second.
SWEEP_PAUSES_MS = (2, 8, 20, 50, 120, 300, 500, 1_000)

#: Between two counts of processes, while anything with a limit runs. A shell forks some 2,000 a
#: second; on an ordinary machine a count is one read of /proc/loadavg.
COUNT_MS = 1_000

#: Forgotten attempts (some 4 lines and 1 KB of log each) that are worth a rewrite.
FORGOTTEN_MAX = 1_000

#: Logs are bounded so often: what is written in between comes on top of their limit. A look is one
#: stat for each running task.
LOGS_LOOK_MS = 250

TOMBSTONES_MAX = 10_000  # kills that came before their start; the oldest go first

NUMBERS = ("dispatch_id", "task_instance_id", "workflow_instance_id", "attempt")
#: ``owner``: the master by whose lease it lives; ``keep``: it outlives that (`on_isolation: keep`).
IDENTITY = (*NUMBERS, "marker", "owner", "keep")

#: What each command must carry. One that does not is answered, never acted upon: a warden outlives
#: its worker's upgrade and may hear what it does not know.
COMMANDS: dict[str, dict[str, type]] = {
    "hello": {"worker": str, "boot": str, "journal": str, "life": int},
    "start": dict.fromkeys((*NUMBERS, "limit_ms", "grace_ms", "processes_max"), int)
    | {"marker": str, "owner": int, "keep": bool}
    | {"argv": list, "env": dict, "cwd": str, "log": str},
    "lease": {"owner": int, "until_ms": int, "grace_ms": int},
    "kill": {"dispatch_id": int, "intent": str, "grace_ms": int},
    "forget": {"dispatch_id": int},
    "leave": {},
}
TERM = 15  # signal(7): as what ended a process that was told to end before it began

TOLD = {  # the fields of the facts that are also records
    "begun": ("pid", "start_ticks", "start_time"),
    "ended": ("code", "signal", "end_time", "duration_ms", "intent", "oom", "problem", "silent"),
}


class Live:
    """What only matters while an attempt has, or may have, processes."""

    def __init__(self, abandoned: bool) -> None:
        self.abandoned = abandoned  # a former warden began it, or was about to
        self.spawns = 0  # that failed for a reason that passes
        self.asked: str | None = None  # the first kill's intent
        self.intent: str | None = None  # the same, once its signal has gone out in time
        self.grace_ms = 0  # the shortest asked for
        self.log, self.log_bytes_max = "", 0  # 0: not bounded
        self.traces: list[str] | None = None  # the log is one of them
        self.limit_ms = self.limit_grace_ms = 0  # of its time, 0: none; of the kill at its end
        self.processes_max = 0  # that it may have at once, 0: any number
        self.hard = False  # the grace is over: sweeping until nothing is left
        self.result: Fields | None = None  # the main process has ended: sweeping what it left
        self.sweep_no = 0  # of the latest sweep; answers to earlier ones are stale
        self.passes = 0  # since the sweeping began
        self.clean = False  # the latest pass found nothing
        self.stuck: list[int] = []  # told in the last kill_failed


class Lease:
    """Until when an owner's attempts may run, and how long they may then take to end."""

    def __init__(self, until_ms: int, grace_ms: int) -> None:
        self.until_ms = until_ms
        self.grace_ms = grace_ms
        self.over = False  # it has passed, and what it held was told to end


def newest_of(hellos: dict[int, Fields]) -> int | None:
    """By connection: of the journal that came last (the folder's lock lets in one life at a time),
    the latest life.
    """
    if not hellos:
        return None
    journal = hellos[max(hellos)]["journal"]
    return max((h["life"], c) for c, h in hellos.items() if h["journal"] == journal)[1]


class Warden:
    """All decisions of one warden. ``live`` holds the unended ones among ``attempts``.

    Promises: a fact is recorded before it is told; ``starting`` is recorded before the spawn;
    ``ended`` and ``lost`` only when nothing of the attempt is left; one spawn per dispatch_id.
    """

    def __init__(self, records: list[Fields], kernel_boot: str) -> None:
        self.kernel_boot = kernel_boot
        self.attempts: dict[int, Fields] = {}
        for record in records:
            self._fold(record)
        self.live = {
            dispatch_id: Live(abandoned=True)
            for dispatch_id, facts in self.attempts.items()
            if facts["phase"] in ("starting", "begun")
        }
        self.connection: int | None = None  # of the worker's present life
        self.journal, self.life = "", 0  # of the latest greeted; lives count within a journal
        self.waiting: dict[int, list[Fields]] = {}  # connection → its hello and what came after
        self.tombstones: dict[int, None] = {}
        self.now_ms = 0  # CLOCK_BOOTTIME, as the last `clock` had it
        self.leases: dict[int, Lease] = {}  # by owner; one that is watched has none
        self.alarm_ms = 0  # when `clock` comes at the latest; 0: when it may
        self.counting = False  # a count of processes is under way or planned
        self.leaving = False
        self.idle = False  # an idle timer runs
        self.looking = False  # a timer for the logs runs
        self.idle_no = 0
        self.forgotten = 0

    def receive(self, message: Fields) -> list[Effect]:
        """Take one message of the tables above, by the method of its name."""
        command = "connection" in message and message["do"] != "closed"
        return (self._command(message) if command else self._take(message)) + self._rest()

    def _take(self, message: Fields) -> list[Effect]:
        effects: list[Effect] = getattr(self, "_" + message["do"])(message)
        return effects

    def _command(self, message: Fields) -> list[Effect]:
        connection = message["connection"]
        required = COMMANDS.get(message["do"])
        if required is None or not all(isinstance(message.get(f), t) for f, t in required.items()):
            fact = {"say": "not_understood", "do": message["do"]}
            return [("tell", connection, fact | {"dispatch_id": message.get("dispatch_id")})]
        if connection in self.waiting:
            self.waiting[connection].append(message)
            return []
        if message["do"] != "hello" and connection != self.connection:
            return []  # it was never greeted
        return self._take(message)

    def _hello(self, message: Fields) -> list[Effect]:
        connection = message["connection"]
        is_older = message["journal"] == self.journal and message["life"] < self.life
        if connection != self.connection and is_older:
            return [("close", connection)]
        if self.connection not in (None, connection):
            self.waiting[connection] = [message]
            return []
        self.connection = connection
        self.journal, self.life = message["journal"], message["life"]
        self.leaving = False
        for live in self.live.values():
            live.stuck = []  # the new life has not heard of it
        records = [dict(facts) for facts in self.attempts.values()]
        return [("tell", connection, {"say": "records", "records": records})]

    def _closed(self, message: Fields) -> list[Effect]:
        connection = message["connection"]
        self.waiting.pop(connection, None)
        if connection != self.connection:
            return []
        self.connection = None
        waiting, self.waiting = self.waiting, {}
        newest = newest_of({c: held[0] for c, held in waiting.items()})
        effects: list[Effect] = [("close", c) for c in waiting if c != newest]
        for held in waiting[newest] if newest is not None else ():
            effects += self._command(held)
        return effects

    def _start(self, message: Fields) -> list[Effect]:
        dispatch_id = message["dispatch_id"]
        if dispatch_id in self.attempts:
            return self._tell_latest(dispatch_id)
        if self._has_passed(message["owner"]):
            self._bury(dispatch_id)
        if dispatch_id in self.tombstones:
            return self._tell("never_began", dispatch_id)
        record = {"phase": "starting", "kernel_boot": self.kernel_boot}
        record |= {name: message[name] for name in IDENTITY}
        live = self.live[dispatch_id] = Live(abandoned=False)
        live.limit_ms, live.limit_grace_ms = message["limit_ms"], message["grace_ms"]
        live.processes_max = message["processes_max"]
        live.log, live.log_bytes_max = message["log"], message.get("log_bytes_max", 0)
        if isinstance(message.get("traces"), list):
            live.traces = [message["log"], *message["traces"]]
        return [self._record(record), ("spawn", message)]

    def _kill(self, message: Fields) -> list[Effect]:
        dispatch_id = message["dispatch_id"]
        if dispatch_id not in self.attempts:
            self._bury(dispatch_id)
            return self._tell("unknown", dispatch_id)
        live = self.live.get(dispatch_id)
        if live is None:
            return self._tell_latest(dispatch_id)
        effects = self._ask(dispatch_id, live, message["intent"], message["grace_ms"])
        return effects + self._tell("killing", dispatch_id)

    def _bury(self, dispatch_id: int) -> None:
        """It can never begin."""
        self.tombstones[dispatch_id] = None
        if len(self.tombstones) > TOMBSTONES_MAX:
            del self.tombstones[next(iter(self.tombstones))]

    def _ask(self, dispatch_id: int, live: Live, intent: str, grace_ms: int) -> list[Effect]:
        """It is to end: the first intent stays, the shortest grace counts."""
        first = live.asked is None
        if not first and grace_ms >= live.grace_ms:
            return []
        live.asked = live.asked or intent
        live.grace_ms = grace_ms
        return self._terminate(dispatch_id, live, first)

    def _terminate(self, dispatch_id: int, live: Live, first: bool) -> list[Effect]:
        """TERM and its grace; only the grace if a longer one is running already."""
        facts = self.attempts[dispatch_id]
        if facts["phase"] != "begun" or live.abandoned or live.result or live.hard:
            return []  # not yet begun: `spawned` comes back here; else the sweep is under way
        effects: list[Effect] = [("signal", dispatch_id, facts["pid"])] if first else []
        grace_over = {"do": "grace_over", "dispatch_id": dispatch_id}
        return [*effects, ("timer", live.grace_ms, grace_over)]

    def _lease(self, message: Fields) -> list[Effect]:
        owner, until_ms = message["owner"], message["until_ms"]
        known = self.leases.pop(owner, None)
        if until_ms:
            latest_ms = max(until_ms, known.until_ms if known is not None else 0)
            self.leases[owner] = Lease(latest_ms, message["grace_ms"])
        return self._stop_overdue()

    def _clock(self, message: Fields) -> list[Effect]:
        self.now_ms = message["now_ms"]
        return self._stop_overdue()

    def _has_passed(self, owner: int) -> bool:
        lease = self.leases.get(owner)
        return lease is not None and lease.until_ms <= self.now_ms

    def _stop_overdue(self) -> list[Effect]:
        """Stop what has outlived its owner's lease; be woken at the next deadline."""
        effects: list[Effect] = []
        for owner, lease in self.leases.items():
            if lease.over or not self._has_passed(owner):
                continue
            lease.over = True
            grace_ms = max(0, lease.until_ms + lease.grace_ms - self.now_ms)
            for dispatch_id, live in self.live.items():
                facts = self.attempts[dispatch_id]
                if facts.get("owner") == owner and not facts.get("keep"):
                    effects += self._ask(dispatch_id, live, "fence", grace_ms)
        next_ms = min((x.until_ms for x in self.leases.values() if not x.over), default=0)
        if next_ms and next_ms != self.alarm_ms:
            effects.append(("alarm", next_ms))
        self.alarm_ms = next_ms
        return effects

    def _forget(self, message: Fields) -> list[Effect]:
        dispatch_id = message["dispatch_id"]
        self.tombstones.pop(dispatch_id, None)
        if dispatch_id not in self.attempts or dispatch_id in self.live:
            return []
        forget = self._record({"phase": "forget", "dispatch_id": dispatch_id})
        self.forgotten += 1
        return [forget, self._rewrite()] if self.forgotten >= FORGOTTEN_MAX else [forget]

    def _leave(self, message: Fields) -> list[Effect]:
        self.leaving = True
        return []

    def _open(self, message: Fields) -> list[Effect]:
        """Take over what a former warden left: what it did not record as ended is swept."""
        effects: list[Effect] = [self._rewrite()]
        for dispatch_id in list(self.live):
            if self.attempts[dispatch_id]["kernel_boot"] == self.kernel_boot:
                effects.append(self._sweep(dispatch_id))
            else:
                effects += self._conclude(dispatch_id)  # no process outlives its kernel
        return effects

    def _spawned(self, message: Fields) -> list[Effect]:
        dispatch_id = message["dispatch_id"]
        live = self.live[dispatch_id]
        begun = {"phase": "begun", "dispatch_id": dispatch_id}
        begun |= {name: message[name] for name in TOLD["begun"]}
        effects = [self._record(begun), *self._tell_latest(dispatch_id), *self._look_later()]
        if live.limit_ms:
            effects.append(("limit", dispatch_id, live.limit_ms))
        if live.processes_max and not self.counting:
            self.counting = True
            effects.append(("timer", COUNT_MS, {"do": "count"}))
        if live.asked is not None:
            effects += self._terminate(dispatch_id, live, first=True)
        return effects

    def _count(self, message: Fields) -> list[Effect]:
        limited = {d: live for d, live in self.live.items() if live.processes_max}
        self.counting = bool(limited)
        if not limited:
            return []
        counts = [
            self._mark(d, live) | {"most": live.processes_max}
            for d, live in limited.items()
            if self.attempts[d]["phase"] == "begun" and not live.result
        ]
        again: Effect = ("timer", COUNT_MS, {"do": "count"})
        return [("count", counts), again] if counts else [again]

    def _counted(self, message: Fields) -> list[Effect]:
        effects: list[Effect] = []
        for dispatch_id, count in message["counts"].items():
            live = self.live.get(dispatch_id)
            if live is not None and count > live.processes_max:
                effects += self._ask(dispatch_id, live, "limit", 0)
        return effects

    def withdrawn(self, start: Fields, wall_ms: int) -> Fields | None:
        """What answers a ``spawn`` instead of its performing: it was told to end meanwhile.

        The disk may have held it back for long, beyond the owner's lease.
        """
        dispatch_id = start["dispatch_id"]
        if self.live[dispatch_id].asked is None:
            return None
        return {"do": "never_spawned", "dispatch_id": dispatch_id, "end_time": wall_ms}

    def _never_spawned(self, message: Fields) -> list[Effect]:
        live = self.live[message["dispatch_id"]]
        live.intent = live.asked
        live.result = _nothing_ran(message["end_time"]) | {"signal": TERM}
        return self._conclude(message["dispatch_id"])

    def _spawn_later(self, message: Fields) -> list[Effect]:
        """It keeps its slot, costs no try, and is looked at again before each further spawn."""
        live = self.live[message["dispatch_id"]]
        pause_ms = SPAWN_PAUSES_MS[min(live.spawns, len(SPAWN_PAUSES_MS) - 1)]
        live.spawns += 1
        return [("timer", pause_ms, {"do": "spawn_again", "start": message["start"]})]

    def _spawn_again(self, message: Fields) -> list[Effect]:
        start = message["start"]
        return [("spawn", start)] if start["dispatch_id"] in self.live else []

    def _spawn_failed(self, message: Fields) -> list[Effect]:
        dispatch_id = message["dispatch_id"]
        problem = {"reason": "spawn", "message": message["message"]}
        self.live[dispatch_id].result = _nothing_ran(message["end_time"]) | {"problem": problem}
        return self._conclude(dispatch_id)

    def _signalled(self, message: Fields) -> list[Effect]:
        live = self.live.get(message["dispatch_id"])
        if live is not None and live.result is None:
            live.intent = live.asked
        return []

    def _exited(self, message: Fields) -> list[Effect]:
        dispatch_id = message["dispatch_id"]
        live = self.live[dispatch_id]
        live.result = {
            "code": message["code"],
            "signal": message["signal"],
            # The duration is measured; a second look at the wall clock might find that it jumped.
            "end_time": self.attempts[dispatch_id]["start_time"] + message["duration_ms"],
            "duration_ms": message["duration_ms"],
            "oom": message["oom"],
            "problem": None,
        }
        live.passes = 0
        off: list[Effect] = [("limit", dispatch_id, None)] if live.limit_ms else []
        return [*off, self._sweep(dispatch_id)]

    def _limit_over(self, message: Fields) -> list[Effect]:
        live = self.live.get(message["dispatch_id"])
        if live is None or live.result or live.asked is not None:
            return []
        live.asked, live.grace_ms = "timeout", live.limit_grace_ms
        return self._terminate(message["dispatch_id"], live, first=True)

    def _grace_over(self, message: Fields) -> list[Effect]:
        live = self.live.get(message["dispatch_id"])
        if live is None or live.result or live.hard:
            return []  # ended in time
        live.hard = True
        live.intent = live.asked  # TERM may not have been allowed; now comes the signal that is
        return [self._sweep(message["dispatch_id"])]

    def _sweep_again(self, message: Fields) -> list[Effect]:
        live = self.live.get(message["dispatch_id"])
        current = live is not None and live.sweep_no == message["sweep_no"]
        return [self._sweep(message["dispatch_id"])] if current else []

    def _swept(self, message: Fields) -> list[Effect]:
        dispatch_id, left = message["dispatch_id"], message["left"]
        live = self.live.get(dispatch_id)
        if live is None or live.sweep_no != message["sweep_no"]:
            return []
        sure = live.clean or not live.abandoned  # not our child: it may flee from one look
        live.clean = not left
        if not left and sure:
            if live.result:
                live.result["silent"] = message["silent"]  # nothing is left that could write
            done = live.result or live.abandoned  # else its exit is still to come, and sweeps
            return self._conclude(dispatch_id) if done else []
        effects: list[Effect] = []
        last = len(SWEEP_PAUSES_MS) - 1
        if left and live.passes >= last and left != live.stuck:
            live.stuck = left
            effects = self._tell("kill_failed", dispatch_id, pids=left)
        pause_ms = SWEEP_PAUSES_MS[min(live.passes, last)]
        live.passes += 1
        again = {"do": "sweep_again", "dispatch_id": dispatch_id, "sweep_no": live.sweep_no}
        return [*effects, ("timer", pause_ms, again)]

    def _logs_due(self, message: Fields) -> list[Effect]:
        self.looking = False
        bounded = [live for live in self.live.values() if live.log_bytes_max]
        return [("cap", live.log, live.log_bytes_max) for live in bounded] + self._look_later()

    def _look_later(self) -> list[Effect]:
        if self.looking or not any(live.log_bytes_max for live in self.live.values()):
            return []
        self.looking = True
        return [("timer", LOGS_LOOK_MS, {"do": "logs_due"})]

    def _idle_over(self, message: Fields) -> list[Effect]:
        return [("exit",)] if self.idle and message["idle_no"] == self.idle_no else []

    def _sweep(self, dispatch_id: int) -> Effect:
        """One pass: KILL to everything alive of this attempt, then `swept` with what was found.

        Of an own attempt: its group and session, descendants that came to the warden (a subreaper),
        and theirs. ``abandoned``: the group of ``pid`` if that started at ``start_ticks``.
        ``everywhere``: whatever carries the marker too; a look at every process of the machine,
        spared to an attempt that ended by itself. ``traces``: what to look at afterwards, to tell
        whether it was silent; None: that cannot be told.
        """
        live = self.live[dispatch_id]
        live.sweep_no += 1
        everywhere = live.abandoned or live.asked is not None
        sweep = {"sweep_no": live.sweep_no, "everywhere": everywhere, "traces": live.traces}
        return ("sweep", self._mark(dispatch_id, live) | sweep)

    def _mark(self, dispatch_id: int, live: Live) -> Fields:
        """By what the processes of an attempt are known."""
        facts = self.attempts[dispatch_id]
        return {
            "dispatch_id": dispatch_id,
            "marker": facts["marker"],
            "pid": facts.get("pid"),  # None: the spawn was never recorded
            "start_ticks": facts.get("start_ticks"),
            "abandoned": live.abandoned,
        }

    def _conclude(self, dispatch_id: int) -> list[Effect]:
        """Nothing is left of it: ended, or lost if a former warden's."""
        live = self.live.pop(dispatch_id)
        record: Fields = {"phase": "lost", "dispatch_id": dispatch_id}
        if live.result is not None:
            record |= {"phase": "ended", "intent": live.intent, **live.result}
        return [self._record(record), *self._tell_latest(dispatch_id)]

    def _rest(self) -> list[Effect]:
        """Leave when told to and nothing runs; wait for a worker when alone."""
        if self.leaving and not self.live:
            return [("exit",)]
        alone = not self.live and self.connection is None and not self.waiting
        begins, self.idle = alone and not self.idle, alone
        if not begins:
            return []
        self.idle_no += 1
        return [("timer", IDLE_MS, {"do": "idle_over", "idle_no": self.idle_no})]

    def _record(self, record: Fields) -> Effect:
        self._fold(record)
        return ("record", record)

    def _fold(self, record: Fields) -> None:
        dispatch_id = record["dispatch_id"]
        if record["phase"] == "forget":
            self.attempts.pop(dispatch_id, None)
        elif dispatch_id in self.attempts or "marker" in record:  # else a damaged log
            self.attempts.setdefault(dispatch_id, {}).update(record)

    def _rewrite(self) -> Effect:
        self.forgotten = 0
        return ("rewrite", [dict(facts) for facts in self.attempts.values()])

    def _tell(self, say: str, dispatch_id: int, **fields: object) -> list[Effect]:
        if self.connection is None:
            return []  # the next hello is answered with all records
        return [("tell", self.connection, {"say": say, "dispatch_id": dispatch_id, **fields})]

    def _tell_latest(self, dispatch_id: int) -> list[Effect]:
        facts = self.attempts[dispatch_id]
        live = self.live.get(dispatch_id)
        if facts["phase"] == "starting" or (live is not None and live.abandoned):
            return []  # begun, ended or lost follows
        told = {name: facts[name] for name in TOLD.get(facts["phase"], ()) if name in facts}
        return self._tell(facts["phase"], dispatch_id, **told)


def _nothing_ran(end_time: int) -> Fields:
    ended = {"code": None, "signal": None, "end_time": end_time, "duration_ms": 0, "oom": ""}
    return ended | {"problem": None, "silent": True}
