"""One process of an operating system, in all its lives: clocks, time, standing still, ending."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .network import HEARTBEAT_TIMEOUT_MS

if TYPE_CHECKING:
    from .world import World

EPOCH_MS = 1_764_000_000_000  # of the wall clocks at the world's begin


class Crash(Exception):
    """The process ends here and now."""


class OsProcess:
    """What a node is before it is a node of ours."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = False
        self.life = 0
        spread_ms = world.options.clock_offset_ms_max
        self.clock_ms = world.random.randint(0, 1_000_000)  # its monotonic clock at the begin
        self.wall_offset_ms = world.random.randint(-spread_ms, spread_ms)
        self.rate = 1 + world.random.uniform(-world.options.drift, world.options.drift)
        self.stands_still = False
        self.stands_whole = False  # with its threads and its socket: SIGSTOP
        self.stillness = 0  # counts them
        self.went_on_ms = 0  # after the last of them
        self.backlog: deque[Callable[[], object]] = deque()  # what waits for it to go on

    def crash(self, why: str) -> None:
        """End at once."""
        raise NotImplementedError

    def now_ms(self) -> int:
        """Its monotonic clock."""
        return int(self.world.now_ms * self.rate) + self.clock_ms

    def wall_ms(self) -> int:
        """Its wall clock."""
        return EPOCH_MS + int(self.world.now_ms * self.rate) + self.wall_offset_ms

    # --- standing still ---------------------------------------------------------------------------

    def stand_still(self, for_ms: int, *, whole: bool) -> None:
        """Nothing is done for a while; not ``whole``: only the loop does not come round."""
        if not self.alive or self.stands_still:
            return
        self.note("stands still", f"for {for_ms} ms", "whole" if whole else "its loop")
        self.stands_still, self.stands_whole = True, whole
        self.stillness += 1
        number = self.stillness
        self.world.after(for_ms, lambda: self.go_on(number))
        if whole and for_ms > HEARTBEAT_TIMEOUT_MS:
            self.world.after(HEARTBEAT_TIMEOUT_MS, lambda: self._given_up(number))

    def go_on(self, number: int = 0) -> None:
        """What waited happens now, in order; ``number`` 0: whichever stillness it was."""
        if not self.stands_still or number not in (0, self.stillness):
            return
        self.note("goes on")
        self.stands_still, self.went_on_ms = False, self.world.now_ms
        while self.backlog and not self.stands_still:
            self.backlog.popleft()()

    def _given_up(self, number: int) -> None:
        if self.stands_still and number == self.stillness:
            self.network_lost()

    def network_lost(self) -> None:
        """The other ends have heard nothing of this process for too long."""
        raise NotImplementedError

    def when_awake(self, action: Callable[[], object]) -> None:
        """Do it now, or when this process runs again."""
        if self.stands_still:
            self.backlog.append(action)
        else:
            action()

    # --- what it does by and by -------------------------------------------------------------------

    def note(self, kind: str, *things: Any) -> None:
        """Write into the trace."""
        self.world.trace.add(self.world.now_ms, self.name, kind, *things)

    def later(self, wait_ms: int, action: Callable[[], object], *, in_thread: bool = False) -> None:
        """Do something in this life, if it lasts so long; by its loop or by a thread."""
        life = self.life

        def act() -> None:
            if self.alive and self.life == life:
                try:
                    action()
                except Crash as crash:
                    self.crash(str(crash))

        def due() -> None:
            if in_thread and not self.stands_whole:
                act()
            else:
                self.when_awake(act)

        self.world.after(wait_ms, due)

    def soon(self, longest_ms: int, action: Callable[[], object]) -> None:
        """Do something in this life within a time."""
        self.later(self.world.random.randint(0, longest_ms), action)

    def gap(self, before: str) -> None:
        """Between two effects: here the process may end."""
        weather = self.world.weather
        self.world.gaps += 1
        if self.world.gaps == weather.crash_at:
            raise Crash(f"before {before}")
        if weather.crash_point and self.world.random.random() < weather.crash_point:
            raise Crash(f"before {before}")
