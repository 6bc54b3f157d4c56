"""Debug requests under faults, with disks that stall for seconds and narrow bounds."""

import pytest

from stenella.actors.turn import Turn
from stenella.protocol.commands import Command, DebugReply

from .looking import Looker
from .options import draw
from .parts import Parts
from .world import World

#: More with ``--seeds``, of which every thirtieth is taken.
SEEDS = 10
STALLED = {"commit_stall": 0.2, "commit_slow": 0.1, "worker_crash_ms": 4_000, "down_ms_max": 4_000}
#: Not one message a turn, and ten turns a second: what is urgent would wait for what is urgent.
STALLED |= {"turn_messages": 100, "cycle_ms_max": 5}
PLANTED_SEEDS_MAX = 60


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--seeds") // 30
        metafunc.parametrize("number", range(max(SEEDS, wanted)))


def looked_at(number: int, parts: Parts | None = None) -> Looker:
    """Play a world; its looker."""
    world = World(draw(number, **STALLED), parts)
    looker = Looker(world)
    try:
        world.play()
    except AssertionError as error:
        error.add_note(f"seed {number}, at {world.now_ms} ms; options: {world.options.text()}")
        raise
    finally:
        world.close()
    return looker


@pytest.mark.slow
def test_what_the_actors_do_is_told_in_time_whatever_the_disk_does(number: int) -> None:
    looker = looked_at(number)

    assert looker.answered > 20
    assert looker.refused <= {"not_found", "node_away", "shutting_down"}


class AnswersBehindTheDisk(Turn):
    def send_now(self, peer: bytes, command: Command) -> None:
        (self.send if isinstance(command, DebugReply) else super().send_now)(peer, command)


class WaitsForSilentNodes(Turn):
    def set_timer(self, name: str, after_ms: int) -> None:
        super().set_timer(name, after_ms * 100 if name == "debug" else after_ms)


class TakesDebugInItsTurn(Turn):
    """At the bound, what was asked waits like everything else."""

    def has_work(self, now_ms: int) -> bool:
        return super().has_work(now_ms) and not (self.stalled_ms or self.is_ahead)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [AnswersBehindTheDisk, WaitsForSilentNodes, TakesDebugInItsTurn])
def test_a_planted_bug_is_caught(turn: type[Turn]) -> None:
    for number in range(PLANTED_SEEDS_MAX):
        try:
            looked_at(number, Parts(turn=turn))
        except AssertionError as error:
            caught = str(error)
            break
    else:
        caught = f"not within {PLANTED_SEEDS_MAX} seeds"
    assert "told in time" in caught
