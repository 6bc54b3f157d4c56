"""I18, I22: what is to wait waits, what has a limit is ended or warned of in time and not before.

Looks at the processes, at the events and at the instances' rows; measures by the world's time.
"""

from typing import TYPE_CHECKING, Any

from stenella.protocol.states import WORKFLOW_FINAL, Event, TaskState, WorkflowState
from stenella.workflow.definition import Task, Timeout

from .story import Violation

if TYPE_CHECKING:
    from .machine import Process
    from .rows import Rows

Fields = dict[str, Any]
E, T, W = Event, TaskState, WorkflowState
#: The warden polls, and looks for what TERM left alive.
WARDEN_MS = 30
#: Of a master that comes up: to read its rows, each read and commit as slow as it may be.
RECOVERY_CYCLES = 60


class Limits:
    """What is limited, and what became of it."""

    def __init__(self, rows: "Rows") -> None:
        self.rows = rows
        self.world = rows.world
        self.ran_since: dict[tuple[int, int], tuple[int, int]] = {}  # attempt → life, world's time
        self.warned: dict[tuple[int, int], int] = {}  # attempt → how often
        self.seen: dict[int, tuple[int, int]] = {}  # instance → life, world's time of its start
        self.let_go: dict[int, int] = {}  # instance → the life after which it goes on
        self.over: dict[int, None] = {}  # instances that were stopped because of their time
        self.due: dict[int, None] = {}  # tasks whose delay is over
        self.tries: dict[int, int] = {}  # task → its present try

    @property
    def slack_ms(self) -> int:
        """Of what is due at the master, until it is on disk; timers wait while it is ahead."""
        options = self.world.options
        return 10 * (options.cycle_ms_max + options.commit_ms_max) + 200

    def stretched(self, ms: int, by: int) -> float:
        """So long by a clock that runs at its worst: ``by`` +1 slow, -1 fast."""
        return ms * (1 + by * 2 * self.world.options.drift)

    def task(self, number: int) -> Task:
        """What the definition says of a task."""
        row = self.rows.tasks[number]
        definition, _ = self.rows.definition(self.rows.instances[row["workflow_instance_id"]])
        return definition.tasks[row["node"]]

    def of_task(self, number: int) -> Timeout | None:
        """Its timeout."""
        return self.task(number).timeout

    # --- the warden's -----------------------------------------------------------------------------

    def on_spawn(self, process: "Process") -> None:
        """Its limit is known to the warden, and holds. Raises `Violation`."""
        start = process.start
        number, limit_ms = start["task_instance_id"], start["limit_ms"]
        timeout = self.of_task(number)
        meant_ms = timeout.after_ms if timeout is not None and timeout.fails else 0
        if not (limit_ms == 0 == meant_ms or 0 < limit_ms <= meant_ms):
            raise Violation("I22 the warden knows the limit", f"{start}, {meant_ms}", number)
        if not limit_ms:
            return

        def late() -> None:
            warden = process.parent
            # Else the next one sweeps, or the machine has its first moments awake for it.
            guarded = warden is not None and warden.alive and not process.machine.has_slept
            if process.alive and process.killed_ms is None and guarded:
                text = f"pid {process.pid} runs after {limit_ms} ms: {start}"
                raise Violation("I22 no attempt outlives its limit", text, number)

        self.world.after(limit_ms + start["grace_ms"] + WARDEN_MS, late)

    def on_record(self, record: Fields, start: Fields) -> None:
        """Nobody is ended by a timeout before its time. Raises `Violation`."""
        early = record["duration_ms"] < start["limit_ms"]
        if record["intent"] == "timeout" and (early or not start["limit_ms"]):
            number = start["task_instance_id"]
            raise Violation("I22 not before its time", f"{record} of {start}", number)

    # --- the master's -----------------------------------------------------------------------------

    def look(self, kind: Event, event: Fields) -> None:
        """An event is on disk. Raises `Violation`."""
        number, life = event["task_instance_id"], self.world.master.life
        attempt = number, event["attempt"]
        now_ms = self.rows.waits.thought_ms[event["at"]]
        if kind is E.RUNNING and event["from_state"] != event["to_state"]:
            self.ran_since[attempt] = life, now_ms
        self._look_at_wait(kind, event)
        if kind is not E.TIMEOUT:
            return
        self.warned[attempt] = self.warned.get(attempt, 0) + 1
        timeout = self.of_task(number)
        if timeout is None or not timeout.warns or self.warned[attempt] > 1:
            raise Violation("I22 warned of once, if at all", f"{event}", number)
        began_by, began_ms = self.ran_since.get(attempt, (0, 0))
        over = self._took_ms(*attempt) >= timeout.after_ms
        waited_ms = now_ms - began_ms
        if began_by == life and not over and waited_ms + 2 < self.stretched(timeout.after_ms, -1):
            text = f"after {waited_ms} of {timeout.after_ms} ms: {event}"
            raise Violation("I22 no warning before its time", text, number)

    def _look_at_wait(self, kind: Event, event: Fields) -> None:
        """A delay comes once and before all else, a backoff before each try after a failure."""
        number, task = event["task_instance_id"], self.task(event["task_instance_id"])
        if kind is E.DELAY and (event["attempt"] > 1 or number in self.due):
            raise Violation("I18 a delay is waited for once", f"{event}", number)
        if kind is E.DUE:
            self.due[number] = None
        if kind is E.DISPATCH and task.delay_ms and number not in self.due:
            raise Violation("I18 a delay is waited for", f"{event}", number)
        if kind is E.SUBMIT:
            former: int = self.tries[number] if number in self.tries else event["try_no"]
            self.tries[number] = event["try_no"]
            if event["try_no"] > former:
                wait_ms = max(0, event["eligible_at"] - event["at"])
                retry = task.retry
                least_ms = int(retry.interval_ms * retry.backoff ** (former - 1))
                if not least_ms <= wait_ms <= least_ms * (1 + retry.jitter) + 1:
                    text = f"{wait_ms} for {least_ms} ms: {event}"
                    raise Violation("I18 the configured backoff", text, number)

    def look_at_instance(self, row: Fields) -> None:
        """An instance's row is new or has changed. Raises `Violation`."""
        definition, _ = self.rows.definition(row)
        timeout, number = definition.timeout, row["id"]
        if timeout is None:
            return
        if number not in self.seen:
            began_ms = self.rows.waits.thought_ms[row["start_time"]]
            self.seen[number] = self.world.master.life, began_ms
            due_ms = began_ms + int(self.stretched(timeout.after_ms, 1)) + self.slack_ms
            self.world.at(due_ms, lambda: self._is_over(number, timeout))
        former = self.rows.instances.get(number, row)
        if former["attention"] and not row["attention"]:
            self.let_go[number] = self.world.master.life
        struck = row["warned_at"] is not None or row["reason"] == "timeout"
        began_by, began_ms = self.seen[number]
        jumped = began_by != self.world.master.life and self.world.options.clock_jump_ms
        took_ms = self.world.now_ms - began_ms
        if struck and not jumped and took_ms + 2 < self.stretched(timeout.after_ms, -1):
            raise Violation("I22 no instance is ended before its time", f"{took_ms} ms: {row}")
        if row["reason"] == "timeout":
            self.over[number] = None
        if number in self.over and row["state"] == W.STOP:
            raise Violation("I22 over its time is a FAILURE", f"{row}")

    def _is_over(self, number: int, timeout: Timeout) -> None:
        """Its time has passed: it has ended, is being stopped, or was warned of."""
        row, world = self.rows.instances[number], self.world
        if row["state"] in WORKFLOW_FINAL or not world.options.is_prompt:
            return
        settling_ms = RECOVERY_CYCLES * (world.options.cycle_ms_max + world.options.commit_ms_max)
        # Left alone until a person acts, and then taken up by the next life.
        parked = row["attention"] or self.let_go.get(number) == world.master.life
        if (
            parked
            or not world.master.alive
            or world.now_ms < world.master.risen_ms + settling_ms + 2_000
        ):
            world.after(1_000, lambda: self._is_over(number, timeout))
            return
        if self.seen[number][0] != world.master.life and world.options.clock_jump_ms:
            return  # a later life has the wall clock only
        ends = not timeout.fails or row["state"] == W.READY_STOP
        warns = not timeout.warns or row["warned_at"] is not None
        if not ends or not warns:
            raise Violation("I22 no instance outlives its limit", f"{row}, {timeout}")

    def at_end(self) -> None:
        """Whatever took longer than it may was warned of. Raises `Violation`."""
        for (number, attempt), event in self.rows.ends.items():
            timeout = self.of_task(number)
            if timeout is None or not timeout.warns or event["event"] != E.RESULT:
                continue
            over = self._took_ms(number, attempt) >= timeout.after_ms
            if over and not self.warned.get((number, attempt)):
                raise Violation("I22 what took too long was warned of", f"{event}", number)

    def _took_ms(self, number: int, attempt: int) -> int:
        """What was measured, -1 if nothing was: of the present attempt, or of an earlier one."""
        row = self.rows.tasks[number]
        if row["attempt"] != attempt:
            sql = "SELECT * FROM task_attempt WHERE task_instance_id = ? AND attempt = ?"
            row = dict(self.rows.read(sql, number, attempt)[0])
        if row["start_time"] is None or row["end_time"] is None:
            return -1
        took_ms: int = row["end_time"] - row["start_time"]
        return took_ms
