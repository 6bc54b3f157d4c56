"""A warden of the world: the real rules, performed as `runtime/warden_main.py` performs them.

It may die between any two effects; its log and the processes stay.
"""

import json
from math import ceil
from typing import TYPE_CHECKING, Any

from stenella.actors.worker.warden import Effect

from .story import Violation

if TYPE_CHECKING:
    from .machine import Machine, Process
    from .warden_line import Stream
    from .world import World

Fields = dict[str, Any]
AT_ONCE = ("signal", "sweep", "count", "cap", "timer", "limit", "alarm", "close")
POLL_MS_MAX = 2


class Died(Exception):
    """The warden's process ends here."""


class WardenProcess:
    """One life of a warden."""

    def __init__(self, world: "World", machine: "Machine", pid: int) -> None:
        self.world = world
        self.pid, self.start_ticks = pid, world.now_ms
        self.machine = machine
        self.name = f"warden-{machine.node.name[-1]}"
        self.alive = True
        records = [json.loads(line) for line in machine.log]
        self.rules = world.parts.warden(records, machine.kernel_boot)
        self.streams: dict[int, Stream] = {}
        self.numbers = 0
        self.arrived: list[Fields] = []
        self.exits: list[Fields] = []
        self.due: list[Fields] = []
        self.mains: dict[int, Process] = {}  # not reaped, by pid
        self.odd: dict[int, str] = {}  # dispatch → what is odd about its task
        self.polling = False
        self.limits: dict[int, int] = {}  # dispatch → how often it was set or called off
        self.ordered: dict[int, None] = {}  # dispatches that the worker wants ended
        self.note("starts")
        self.take(self.due, {"do": "open"})

    def note(self, kind: str, *things: Any) -> None:
        """Write into the trace."""
        self.world.trace.add(self.world.now_ms, self.name, kind, *things)

    def die(self) -> None:
        """SIGKILL."""
        if self.alive:
            self.note("crashes")
            self._end()

    def _end(self) -> None:
        self.alive = False
        self.machine.warden_ended()
        for stream in self.streams.values():
            stream.warden_closed()

    # --- what arrives -----------------------------------------------------------------------------

    def accept(self, stream: "Stream") -> int:
        """A connection; its number."""
        self.numbers += 1
        self.streams[self.numbers] = stream
        return self.numbers

    def reap(self, process: "Process", code: int | None, signal: int | None) -> None:
        """A main process has ended: what is left of its group goes too."""
        _, started_ms = self.mains[process.pid], process.start["started_ms"]
        exited: Fields = {"do": "exited", "dispatch_id": process.start["dispatch_id"]}
        exited |= {"code": code, "signal": signal, "pid": process.pid, "oom": process.oom}
        self.take(self.exits, exited | {"duration_ms": self.world.now_ms - started_ms})

    def take(self, queue: list[Fields], message: Fields) -> None:
        """Something for the next look around."""
        queue.append(message)
        self.look_around()

    def look_around(self) -> None:
        """Soon."""
        if self.alive and not self.polling:
            self.polling = True
            poll = lambda: self.machine.when_awake(self._poll)  # noqa: E731
            self.world.after(self.world.random.randint(0, POLL_MS_MAX), poll)

    def _poll(self) -> None:
        self.polling = False
        if not self.alive:
            return
        clock = {"do": "clock", "now_ms": self.machine.node.now_ms()}
        messages = [clock, *self.arrived, *self._reaped(), *self.due]
        self.ordered |= {m["dispatch_id"]: None for m in self.arrived if m["do"] == "kill"}
        self.arrived, self.exits, self.due = [], [], []
        try:
            self._think(messages)
            for stream in self.streams.values():
                self._gap()
                stream.flush()
        except Died:
            self.die()

    def _reaped(self) -> list[Fields]:
        for exited in self.exits:
            del self.mains[exited.pop("pid")]
        return self.exits

    def _gap(self) -> None:
        self.world.gaps += 1
        chance = self.world.weather.crash_point
        if self.world.gaps == self.world.weather.crash_at:
            raise Died
        if self.world.weather.warden_crash_ms and self.world.random.random() < 2 * chance:
            raise Died

    # --- what the rules say -----------------------------------------------------------------------

    def _think(self, messages: list[Fields]) -> None:
        effects = [effect for message in messages for effect in self.rules.receive(message)]
        while effects:
            answers = self._perform(effects)
            effects = [effect for answer in answers for effect in self.rules.receive(answer)]

    def _perform(self, effects: list[Effect]) -> list[Fields]:
        answers = [a for effect in effects if effect[0] in AT_ONCE for a in self._do(effect)]
        waiting = [effect for effect in effects if effect[0] not in AT_ONCE]
        while waiting and self.alive:
            if waiting[0][0] == "rewrite":
                self._gap()
                self.machine.log = [json.dumps(record) for record in waiting.pop(0)[1]]
                continue
            kinds = [effect[0] for effect in waiting]
            end = kinds.index("rewrite") if "rewrite" in kinds else len(kinds)
            for effect in waiting[:end]:
                if effect[0] == "record":
                    self._record(effect[1])
            for effect in waiting[:end]:
                if effect[0] != "record":
                    answers += self._do(effect)
            waiting = waiting[end:]
        return answers

    def _record(self, record: Fields) -> None:
        self._gap()
        if record.get("problem") and self.odd.get(record["dispatch_id"]) != "spawn":
            text = f"{record} of a sound task"
            raise Violation("F27 what passes ends no attempt", text, 0)
        self.machine.log.append(json.dumps(record))
        self.note("records", record)
        self.world.checkers.on_record(self.machine.node, record)

    def _do(self, effect: Effect) -> list[Fields]:
        self._gap()
        match effect:
            case ("spawn", start):
                withdrawn = self.rules.withdrawn(start, self.machine.node.wall_ms())
                return [withdrawn or self._spawn(start)]
            case ("signal", dispatch_id, pid):
                process = self.mains.get(pid)  # not reaped, so the pid is its own
                if process is None or not process.alive:
                    return []
                self._look_why(dispatch_id)
                self.machine.terminate(process)
                return [{"do": "signalled", "dispatch_id": dispatch_id}]
            case ("sweep", sweep):
                answer = {name: sweep[name] for name in ("dispatch_id", "sweep_no")}
                left = self._sweep(sweep)
                silent = self.machine.is_silent(sweep)
                return [answer | {"do": "swept", "left": left, "silent": silent}]
            case ("count", counts):
                found = {c["dispatch_id"]: self.machine.count(c["marker"]) for c in counts}
                return [{"do": "counted", "counts": found}]
            case ("cap", log, _):
                self.machine.capped[log] = self.world.now_ms
            case ("tell", number, fact):
                if number in self.streams:
                    self.streams[number].tell(json.dumps(fact))
            case ("close", number):
                if number in self.streams:
                    self.streams.pop(number).warden_closed()
            case ("timer", after_ms, message):
                self.world.after(after_ms, lambda: self.take(self.due, message))
            case ("limit", dispatch_id, after_ms):
                self._limit(dispatch_id, after_ms)
            case ("alarm", at_ms):
                left_ms = max(0, at_ms - self.machine.node.now_ms())
                self.world.after(ceil(left_ms / self.machine.node.rate), self.look_around)
            case _:
                assert effect == ("exit",), effect
                self.note("leaves")
                for stream in self.streams.values():
                    stream.flush()
                self._end()
        return []

    def _look_why(self, dispatch_id: int) -> None:
        """By itself a warden fences for a lease only."""
        live = self.rules.live.get(dispatch_id)
        if live is not None and live.asked == "fence" and dispatch_id not in self.ordered:
            self.world.checkers.leases.on_overdue(self.machine.node, dispatch_id)

    def _limit(self, dispatch_id: int, after_ms: int | None) -> None:
        """Only the latest of a dispatch counts."""
        number = self.limits[dispatch_id] = self.limits.get(dispatch_id, 0) + 1

        def over() -> None:
            if self.limits[dispatch_id] == number:
                self.take(self.due, {"do": "limit_over", "dispatch_id": dispatch_id})

        if after_ms is not None:
            self.world.after(after_ms, over)

    def _spawn(self, start: Fields) -> Fields:
        dispatch_id, wall_ms = start["dispatch_id"], self.machine.node.wall_ms()
        self.odd[dispatch_id] = json.loads(start["argv"][1])["odd"]
        if self.world.random.random() < self.world.weather.scarce:
            return {"do": "spawn_later", "dispatch_id": dispatch_id, "start": start}
        process = self.machine.spawn(start | {"started_ms": self.world.now_ms})
        if process is None:
            failed = {"do": "spawn_failed", "dispatch_id": dispatch_id, "end_time": wall_ms}
            return failed | {"message": "no such program"}
        self.machine.note("spawns", process, start["marker"])
        self._gap()
        self.mains[process.pid] = process
        spawned = {"do": "spawned", "dispatch_id": dispatch_id, "pid": process.pid}
        return spawned | {"start_ticks": process.start_ticks, "start_time": wall_ms}

    def _sweep(self, sweep: Fields) -> list[int]:
        own = not sweep["abandoned"]
        victims = [
            process
            for process in self.machine.carrying(sweep["marker"])
            if sweep["everywhere"] or (own and process.parent is self)
        ]
        for process in victims:
            self.machine.kill(process)
        return sorted(process.pid for process in victims)
