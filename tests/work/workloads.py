"""The fixed loads that are counted: each a list of definitions, submitted at once."""

import json
from collections.abc import Callable

from stenella.bench import loads
from stenella.workflow.definition import Definition, Retry, Task

#: As in the simulation: how long a process lives, how often it fails first, and nothing odd.
PLAN = {"ms": 2, "fails": 0, "deaf": False, "litters": False, "says": "", "outputs": [], "odd": ""}


def definition(document: loads.Document) -> Definition:
    """Of noops."""
    tasks = [
        Task(name=task["name"], type=task["type"], depends_on=tuple(task.get("depends_on", ())))
        for task in document["tasks"]
    ]
    return Definition(name=document["name"], tasks=tuple(tasks))


def shells(width: int, fails: int = 0) -> Definition:
    """Independent processes; each fails ``fails`` times on each of the two machines."""
    retry = Retry(times=2 * fails, interval_ms=1) if fails else Retry()
    script = json.dumps(PLAN | {"fails": fails})
    tasks = [Task(name=f"t{n}", type="shell", script=script, retry=retry) for n in range(width)]
    return Definition(name=f"shells-{width}-{fails}", tasks=tuple(tasks))


WORKLOADS: dict[str, Callable[[], list[Definition]]] = {
    "fanout": lambda: [definition(loads.fan(1_000, "noop"))],
    "chain": lambda: [definition(loads.chain(100, "noop"))],
    "lattice": lambda: [definition(loads.lattice(20, "noop"))],
    "workflows": lambda: [definition(loads.fan(10, "noop"))] * 50,
    "shell": lambda: [shells(200)],
    "retry": lambda: [shells(100, fails=1)],
}
