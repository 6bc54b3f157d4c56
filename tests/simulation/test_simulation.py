"""The whole cluster under faults, one world a seed; ``--seeds N`` plays more of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .options import draw
from .planted import PLANTED
from .story import Violation
from .world import World, play

ROOT = Path(__file__).parents[2]
DIGEST = "from tests.simulation.digest import digest; import sys; sys.stdout.write(digest(7))"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--seeds")))


def test_every_promise_holds_under_faults_and_everything_ends_after_them(seed: int) -> None:
    play(draw(seed))


def digest_under(hash_seed: str) -> str:
    command = [sys.executable, "-c", DIGEST]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_a_seed_replays_exactly_whatever_the_hash_seed() -> None:
    assert digest_under("1") == digest_under("2")


def test_a_violation_tells_seed_options_and_the_story_of_the_task() -> None:
    world = World(draw(3))
    world.play()
    world.close()
    task = next(iter(world.checkers.rows.dispatches.values()))["task_instance_id"]

    story = world.trace.story(task)

    assert "seed=3 workers=" in world.options.text()
    assert "database  commits" in story
    assert "TaskExecuteRequest" in story
    assert Violation("I1", "lost", task).task_instance_id == task


def test_what_is_left_over_when_all_has_ended_is_told() -> None:
    (bug,) = (bug for bug in PLANTED if bug.breaks == "I35")

    with pytest.raises(Violation, match="I35 nothing is left over"):
        play(draw(0, **bug.weather), bug.parts)
