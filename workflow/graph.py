"""The graph of a definition, by index: small enough for 100,000 nodes, and without recursion."""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from .definition import Task

#: References checked per walk over the graph: 128 bytes of flags a node, 12 MB for 100,000 nodes.
TARGETS_PER_WALK = 1_024


class Edges:
    """The neighbours of each node on one side: 4 bytes an edge and 4 a node, in two arrays."""

    def __init__(self, first: "array[int]", ends: "array[int]") -> None:
        self._first = first  # where each node's begin in ``ends``; one entry more than nodes
        self._ends = ends

    def __len__(self) -> int:
        return len(self._first) - 1

    def __getitem__(self, node: int) -> "array[int]":
        return self._ends[self._first[node] : self._first[node + 1]]

    def __iter__(self) -> Iterator["array[int]"]:
        return map(self.__getitem__, range(len(self)))

    def counts(self) -> "array[int]":
        """How many each node has."""
        return array("I", (end - begin for begin, end in pairwise(self._first)))

    def reversed(self) -> "Edges":
        """The same edges seen from the other side, in the order of the nodes."""
        first = array("I", bytes(4 * (len(self) + 1)))
        for end in self._ends:
            first[end + 1] += 1
        for node in range(len(self)):
            first[node + 1] += first[node]
        ends, free = array("I", bytes(4 * len(self._ends))), first[:-1]
        for node, others in enumerate(self):
            for other in others:
                ends[free[other]] = node
                free[other] += 1
        return Edges(first, ends)


class Graph:
    """Nodes are positions in ``tasks``; edges run from parent to child.

    Total: unknown parents are left out and of two equal names the first counts, because
    `validation` reports those. ``order`` holds what is neither on a cycle nor behind one.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.names = [task.name for task in tasks]
        self.index: dict[str, int] = {}
        for node, name in enumerate(self.names):
            self.index.setdefault(name, node)
        first, ends, index = array("I", (0,)), array("I"), self.index
        for task in tasks:
            above = task.depends_on
            if above:
                ends.extend(index[name] for name in dict.fromkeys(above) if name in index)
            first.append(len(ends))
        self.parents = Edges(first, ends)
        self.children = self.parents.reversed()
        self.roots = tuple(node for node, count in enumerate(self.parents.counts()) if not count)

    @cached_property
    def order(self) -> "array[int]":
        """Parents before children; among equals, as written."""
        waiting = self.parents.counts()
        order = array("I", self.roots)
        for node in order:  # grows while it is read
            for child in self.children[node]:
                waiting[child] -= 1
                if waiting[child] == 0:
                    order.append(child)
        return order

    def stages(self) -> list[list[int]]:
        """Nodes by the length of the longest path that leads to them."""
        level = [0] * len(self.names)
        stages: list[list[int]] = []
        for node in self.order:
            level[node] = 1 + max((level[parent] for parent in self.parents[node]), default=-1)
            if level[node] == len(stages):
                stages.append([])
            stages[level[node]].append(node)
        return stages

    def ancestors(self, node: int) -> set[int]:
        """All nodes from which a path leads to ``node``."""
        found: set[int] = set()
        pending = [node]
        while pending:
            for parent in self.parents[pending.pop()]:
                if parent not in found:
                    found.add(parent)
                    pending.append(parent)
        return found

    def unreached(self, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of ``(target, node)`` where target is no ancestor of node.

        Nodes outside ``order`` are left out: their ancestors mean nothing before the cycle is gone.
        """
        sound = set(self.order)
        doubtful: dict[int, list[int]] = {}
        for target, node in pairs:
            if node in sound and target not in self.parents[node]:
                doubtful.setdefault(target, []).append(node)
        missing: set[tuple[int, int]] = set()
        targets = list(doubtful)
        for start in range(0, len(targets), TARGETS_PER_WALK):
            bits = {t: 1 << bit for bit, t in enumerate(targets[start : start + TARGETS_PER_WALK])}
            above = [0] * len(self.names)
            for node in self.order:
                flags = 0
                for parent in self.parents[node]:
                    flags |= above[parent] | bits.get(parent, 0)
                above[node] = flags
            missing |= {
                (target, node)
                for target, bit in bits.items()
                for node in doubtful[target]
                if not above[node] & bit
            }
        return missing

    def cycles(self) -> list[list[int]]:
        """One shortest cycle of each knot of cycles, first node repeated at the end."""
        found = []
        for knot in self._knots():
            first = min(knot)
            if path := self._way_back(first, knot):
                found.append(path)
        return found

    def _knots(self) -> list[set[int]]:
        """Strongly connected components among the nodes outside ``order`` (Tarjan, iterative)."""
        number: dict[int, int] = {}
        lowest: dict[int, int] = {}
        stack: list[int] = []
        stacked: set[int] = set()
        knots: list[set[int]] = []
        sound = set(self.order)
        for root in range(len(self.names)):
            if root in sound or root in number:
                continue
            number[root] = lowest[root] = len(number)
            stack.append(root)
            stacked.add(root)
            path = [(root, iter(self.children[root]))]
            while path:
                node, below = path[-1]
                for child in below:
                    if child not in number:
                        number[child] = lowest[child] = len(number)
                        stack.append(child)
                        stacked.add(child)
                        path.append((child, iter(self.children[child])))
                        break
                    if child in stacked:
                        lowest[node] = min(lowest[node], number[child])
                else:
                    path.pop()
                    if path:
                        lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
                    if lowest[node] == number[node]:
                        knot = set()
                        while node not in knot:
                            knot.add(stack.pop())
                        stacked -= knot
                        knots.append(knot)
        return knots

    def _way_back(self, first: int, knot: set[int]) -> list[int]:
        """Shortest path from ``first`` to itself inside ``knot``; empty if there is none."""
        came_from: dict[int, int] = {}
        pending = deque([first])
        while pending:
            node = pending.popleft()
            for child in self.children[node]:
                if child == first:
                    path = [node]
                    while path[-1] != first:
                        path.append(came_from[path[-1]])
                    return [*reversed(path), first]
                if child in knot and child not in came_from:
                    came_from[child] = node
                    pending.append(child)
        return []
