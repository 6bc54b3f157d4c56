"""A version as the actors hold it: decoded once, frozen, shared by all its live instances."""

from array import array

import msgspec

from ...workflow.definition import Definition, Output, Task, kind_of
from ...workflow.graph import Graph


class Version:
    """A definition and its graph, small: a task keeps its name, its edges and the number of its
    kind, which is all that it has in common with others.
    """

    def __init__(self, digest: str, definition: Definition) -> None:
        self.digest = digest
        self.graph = Graph(definition.tasks)
        self._kinds: list[Task] = []
        self._kind_of = array("I")
        known: dict[bytes, int] = {}
        for task in definition.tasks:
            key, kind = kind_of(task)
            number = known.setdefault(key, len(self._kinds)) if key else len(self._kinds)
            if number == len(self._kinds):
                self._kinds.append(kind)
            self._kind_of.append(number)
        #: All but its tasks.
        self.definition: Definition = msgspec.structs.replace(definition, tasks=())

    def task(self, node: int) -> Task:
        """What the definition says of a node; its name and what it depends on are the graph's."""
        return self._kinds[self._kind_of[node]]

    def kind(self, node: int) -> int:
        """Equal for nodes that differ in name and edges only."""
        return self._kind_of[node]

    def declared(self, name: str) -> tuple[Output, ...]:
        """The outputs of the task of that name."""
        return self.task(self.graph.index[name]).outputs
