"""What a benchmark is: a question, how a sample of its answer is taken, and its limits."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from ..workflow.definition import TASKS_MAX
from .cluster import Cluster
from .loads import LAYER

Parameters = dict[str, Any]  # name → value
Sample = dict[str, float]  # figure → its value in one run


@dataclass(frozen=True)
class Parameter:
    """An option of the command: a whole number of ``low`` to ``high``, or one of ``choices``.

    ``high``: the most tasks of a workflow, if it is not said.
    """

    name: str
    default: int | str
    help: str
    low: int = 1
    high: int = TASKS_MAX
    choices: tuple[str, ...] = ()

    def at(self, default: int | str) -> "Parameter":
        """The same with another default."""
        return replace(self, default=default)


@dataclass(frozen=True)
class Figure:
    """What one run measures: ``name`` in the sample, ``unit``, and the limit it is held against.

    ``limit`` is one of `limits.limits`; None: the machine by itself has no such limit.
    """

    name: str
    unit: str
    limit: str | None = None
    higher_is_better: bool = True


TYPE = Parameter(
    "type",
    "noop",
    "noop: no process, the scheduler alone; shell: the command true.",
    choices=("noop", "shell"),
)
WORKERS = Parameter("workers", 2, "Workers.", high=100)
#: Of `loads.layers`.
EDGES = Parameter(
    "edges",
    3,
    f"Tasks of the {LAYER} before that each waits for; the first {LAYER} wait for none.",
    low=0,
    high=LAYER,
)
SLOTS = Parameter("slots", 16, "Of each worker.", high=10_000)


def cluster_of(parameters: Parameters) -> Cluster:
    """A fresh cluster of that many workers and slots."""
    return Cluster(parameters["workers"], parameters["slots"])


@dataclass(frozen=True)
class Bench:
    """One question.

    ``setup(parameters)`` is entered once, for the warm-up and all runs; ``sample(what it gave,
    parameters)`` is one run and gives a value for each of ``figures``, of which the first is the
    benchmark's own. ``example`` are the options of a run of a few seconds: tests type it.
    """

    name: str
    question: str  # its help's first line
    figures: tuple[Figure, ...]
    sample: Callable[[Any, Parameters], Sample]
    example: str
    detail: str = ""  # what its help says besides
    parameters: tuple[Parameter, ...] = (WORKERS, SLOTS)
    setup: Callable[[Parameters], AbstractContextManager[Any]] = cluster_of
    runs: int = 5

    def chosen(self, given: Parameters) -> Parameters:
        """A value for each parameter: the default where none is given."""
        return {one.name: given.get(one.name, one.default) for one in self.parameters}
