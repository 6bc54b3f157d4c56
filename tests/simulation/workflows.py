"""Random workflows: chains, fans, diamonds and tangles of tasks whose scripts are plans.

A plan says how long the process lives (ms, at most), how many of its first runs fail, whether it is
deaf to TERM, litters, outlasts KILL, says what in its log, writes which outputs, and what is odd
about it.
"""

import json
from random import Random
from typing import Any, get_args

from stenella.protocol.states import PRIORITIES
from stenella.workflow.definition import (
    Definition,
    Output,
    Parameter,
    Retry,
    Task,
    Timeout,
    TimeoutStrategy,
)

from .options import Options

PROBE = "probe"
SHAPES = ("chain", "fan", "diamond", "tangle")
#: In an uninterruptible sleep, as of a dead disk: longer than it takes to be told and told again.
STUBBORN_MS = 60_000
ODDITIES = ("prepare", "spawn", "outputs", "text", "oom", "bomb")
POISON = "poison"  # it takes its machine down, whenever it runs


def workflow(random: Random, options: Options, number: int) -> Definition:
    """A definition with up to ``tasks_max`` tasks."""
    count = random.randint(1, options.tasks_max)
    shape = random.choice(SHAPES)
    tasks: list[Task] = []
    for place in range(count):
        parents = [f"t{parent}" for parent in parents_of(shape, place, count, random)]
        tasks.append(one_task(random, options, place, parents, tasks))
    return Definition(
        name=f"w{number}",
        tasks=tuple(tasks),
        params={"day": Parameter(default="monday")},
        failure_strategy=random.choice(("continue", "end")),
        timeout=limit(random, options.limits / 2, (200, 5_000, 60_000)),
        **priority(random, options),
    )


def limit(random: Random, chance: float, lengths_ms: tuple[int, ...]) -> Timeout | None:
    """A timeout, sometimes."""
    drawn, after_ms = random.random(), random.choice(lengths_ms)
    strategy = random.choice(get_args(TimeoutStrategy))
    return Timeout(after_ms, strategy) if drawn < chance else None


def priority(random: Random, options: Options) -> dict[str, Any]:
    """The field, if priorities are drawn."""
    drawn = random.choice(PRIORITIES)
    return {"priority": drawn} if options.priorities else {}


def parents_of(shape: str, place: int, count: int, random: Random) -> list[int]:
    """Which of the earlier tasks this one waits for."""
    if place == 0:
        return []
    match shape:
        case "chain":
            return [place - 1]
        case "fan":
            return [0]
        case "diamond":
            return list(range(1, place)) if place == count - 1 and place > 1 else [0]
        case _:
            return sorted(random.sample(range(place), random.randint(0, min(3, place))))


def one_task(
    random: Random, options: Options, place: int, parents: list[str], earlier: list[Task]
) -> Task:
    """A task with a plan; it takes the outputs of its parents as parameters."""
    givers = [task for task in earlier if task.name in parents and task.outputs]
    noop = random.random() < options.noops
    failing = not noop and random.random() < options.failing
    retry = Retry(
        times=random.choice((0, 1, 1, 2)),
        interval_ms=random.choice((1, 200, 3_000)),
        backoff=random.choice((1.0, 2.0)),
        jitter=random.choice((0.0, 0.5)),
    )
    outputs = () if noop or random.random() < 0.5 else (Output(name="out"),)
    plan = {
        "ms": random.choice((1, options.task_ms_max)),
        "fails": random.choice((1, 2, 9)) if failing else 0,
        "deaf": random.random() < options.deaf,
        "litters": random.random() < options.littering,
        "stubborn_ms": random.randint(1, STUBBORN_MS) if random.random() < options.stubborn else 0,
        "says": "done" if place % 2 else "",
        "outputs": [output.name for output in outputs],
        "odd": random.choice(ODDITIES) if random.random() < options.odd else "",
    }
    if random.random() < options.poison:
        plan["odd"] = POISON
    return Task(
        name=f"t{place}",
        type="noop" if noop else "shell",
        script=None if noop else json.dumps(plan),
        depends_on=tuple(parents),
        params={f"in{n}": f"${{{task.name}.out}}" for n, task in enumerate(givers)},
        outputs=outputs,
        retry=retry if failing or random.random() < 0.5 else Retry(),
        **isolation(random, options),
        worker_group="big" if options.big and random.random() < options.big else "default",
        timeout=limit(random, options.limits, (1, 100, 1_000, 3_000)),
        delay_ms=random.choice((1, 500, 5_000)) if random.random() < options.delays else 0,
        **priority(random, options),
    )


def isolation(random: Random, options: Options) -> dict[str, Any]:
    """What becomes of it where nobody reaches its worker."""
    if not options.keeping or random.random() >= options.keeping:
        return {}
    goes = options.lose_ms or (options.shutdowns and options.dismissed)
    patient = () if goes else (None,)  # nobody is there to decide about it
    return {"on_isolation": "keep", "lost_after_ms": random.choice((1, 30_000, *patient))}


def wide(slots: int) -> Definition:
    """As many tasks at once as there are slots, each long enough to overlap with all others."""
    plan = {"ms": 1, "fails": 0, "deaf": False, "litters": False, "says": "", "outputs": []}
    tasks = tuple(
        Task(name=f"t{place}", script=json.dumps(plan | {"odd": "", "at_least_ms": 5_000}))
        for place in range(slots)
    )
    return Definition(name=PROBE, tasks=tasks)
