"""What a run of a definition would do, seen before it: stages, widths, parameters. Asks nobody."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..workflow.definition import Definition, Output, Task
from ..workflow.graph import Graph
from ..workflow.parameters import start_params, task_parameters, upstream


class Shape:
    """The graph of a definition as views draw it; tasks are known by name."""

    def __init__(self, definition: Definition) -> None:
        self._graph = graph = Graph(definition.tasks)
        self.names = tuple(graph.names)
        self.stages = tuple(tuple(graph.names[node] for node in stage) for stage in graph.stages())
        #: Name → number of its stage, from 0.
        self.stage_of = {name: n for n, stage in enumerate(self.stages) for name in stage}

    def needs(self, name: str) -> list[str]:
        """The tasks that it depends on itself."""
        return [self.names[node] for node in self._graph.parents[self._graph.index[name]]]

    def last_tasks(self) -> list[str]:
        """Tasks on which no other depends: what they say is the result."""
        has_children = {node for above in self._graph.parents for node in above}
        return [name for node, name in enumerate(self.names) if node not in has_children]

    def critical_path(self, ended: Mapping[str, float]) -> list[str]:
        """The chain of tasks that decided when the last one ended, first one first.

        ``ended``: when each task ended, as far as it did.
        """
        path: list[str] = []
        candidates: Sequence[str] = self.names
        while True:
            late = [name for name in candidates if name in ended]
            if not late:
                return path[::-1]
            path.append(max(late, key=lambda name: ended[name]))
            candidates = self.needs(path[-1])


def plan(definition: Definition, given: Mapping[str, object]) -> dict[str, Any]:
    """The JSON document of `stenella plan`. Raises Usage about ``given``."""
    params = start_params(definition, given)
    shape = Shape(definition)
    tasks = {task.name: task for task in definition.tasks}
    return {
        "workflow": definition.name,
        "tasks": len(shape.names),
        "params": {
            name: {"value": value, "origin": "startup" if name in given else "workflow"}
            for name, value in params.items()
        },
        "stages": [
            {
                "width": len(stage),
                "tasks": [
                    {
                        "name": name,
                        "type": tasks[name].type,
                        "depends_on": shape.needs(name),
                        "params": _of_task(tasks[name], params, given),
                    }
                    for name in stage
                ],
            }
            for stage in shape.stages
        ],
        "width": max(len(stage) for stage in shape.stages),
    }


def _of_task(task: Task, params: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """What the task would get; an output that is not there yet stands as its reference."""
    later = {before: _Later(before) for before in upstream(task)}
    resolved, problem = task_parameters(_none, task, params, given.keys(), later)
    assert problem is None, problem  # the definition was checked, and the outputs are there
    return {name: {"value": value, "origin": origin} for name, (value, origin) in resolved.items()}


def _none(_task: str) -> tuple[Output, ...]:
    """No default is looked for: every output is there."""
    return ()


class _Later(dict[str, Any]):
    """Outputs of a task that has not run."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self._task = task

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"${{{self._task}.{name}}}"
