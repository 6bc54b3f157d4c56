"""Waits for a next attempt or a delay, by the world's time: no wall clock makes them shorter."""

from typing import TYPE_CHECKING, Any

from stenella.protocol.states import Event

from .story import Violation

if TYPE_CHECKING:
    from .world import World

Fields = dict[str, Any]
SLACK_MS = 2  # rounding of two clocks


class Waits:
    """When each turn of the master was thought, and since when each task waits."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.thought_ms: dict[int, int] = {}  # the master's wall clock in a turn → world's time
        self.clock_ms: dict[int, int] = {}  # → the master's monotonic clock
        self.since: dict[int, tuple[int, int, int]] = {}  # task → master's life, world's time, wait

    def on_think(self) -> None:
        """The master thinks a turn."""
        master = self.world.master
        self.thought_ms[master.wall_ms()] = self.world.now_ms
        self.clock_ms[master.wall_ms()] = master.now_ms()

    def look(self, kind: Event, event: Fields) -> None:
        """An event is on disk. Raises `Violation`."""
        number, life = event["task_instance_id"], self.world.master.life
        if kind in (Event.SUBMIT, Event.DELAY) and event["eligible_at"]:
            wait_ms = event["eligible_at"] - event["at"]
            self.since[number] = (life, self.thought_ms[event["at"]], wait_ms)
        elif kind in (Event.DISPATCH, Event.DUE) and number in self.since:
            asked_by, began_ms, wait_ms = self.since.pop(number)
            if asked_by != life and self.world.options.clock_jump_ms:
                return  # a later life has the wall clock only
            waited_ms = self.thought_ms[event["at"]] - began_ms
            if waited_ms + SLACK_MS < wait_ms * (1 - 2 * self.world.options.drift):
                text = f"{waited_ms} of {wait_ms} ms before {event}"
                raise Violation("I18, I34 waits its time", text, number)
