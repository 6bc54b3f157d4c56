"""The graph: edges, order, cycles, and its size."""

import random
import time

import pytest

from stenella.workflow.definition import Task
from stenella.workflow.graph import TARGETS_PER_WALK, Graph


def graph(**depends_on: str) -> Graph:
    """``graph(a="", b="a")``: b depends on a."""
    return Graph(
        [Task(name, depends_on=tuple(above.split())) for name, above in depends_on.items()]
    )


def test_parents_and_children_mirror_each_other() -> None:
    diamond = graph(a="", b="a", c="a", d="b c")

    assert [list(above) for above in diamond.parents] == [[], [0], [0], [1, 2]]
    assert [list(below) for below in diamond.children] == [[1, 2], [3], [3], []]
    assert diamond.roots == (0,)


def test_order_has_parents_first() -> None:
    backwards = graph(d="b c", c="a", b="a", a="")

    assert [backwards.names[node] for node in backwards.order] == ["a", "c", "b", "d"]


def test_a_stage_holds_what_is_equally_far_by_the_longest_path() -> None:
    assert graph(a="", b="a", c="a b", d="").stages() == [[0, 3], [1], [2]]


def test_ancestors_are_all_above() -> None:
    assert graph(a="", b="a", c="b", d="").ancestors(2) == {0, 1}


def test_a_cycle_is_found_with_its_path() -> None:
    knot = graph(a="c", b="a", c="b", d="c")

    assert [[knot.names[node] for node in cycle] for cycle in knot.cycles()] == [
        ["a", "b", "c", "a"]
    ]


def test_a_self_edge_is_a_cycle() -> None:
    assert graph(a="a").cycles() == [[0, 0]]


def test_each_knot_is_reported_even_behind_another() -> None:
    assert graph(a="b c", b="a", c="d", d="c").cycles() == [[0, 1, 0], [2, 3, 2]]


def test_what_lies_behind_a_cycle_is_no_part_of_the_order() -> None:
    assert graph(a="a", b="a", c="").order.tolist() == [2]


def test_unreached_agrees_with_ancestors_on_random_graphs() -> None:
    seeded = random.Random(7)
    size = TARGETS_PER_WALK // 8
    tasks = [
        Task(f"t{n}", depends_on=tuple(f"t{seeded.randrange(n)}" for _ in range(min(n, 2))))
        for n in range(size)
    ]
    plain = Graph(tasks)
    pairs = [(seeded.randrange(size), seeded.randrange(size)) for _ in range(2_000)]

    missing = plain.unreached(pairs)

    assert missing == {(t, n) for t, n in pairs if t not in plain.ancestors(n)}


@pytest.mark.slow
def test_more_targets_than_one_walk_holds_are_all_judged() -> None:
    size = TARGETS_PER_WALK * 2 + 10
    chain = Graph([Task(f"t{n}", depends_on=(f"t{n - 1}",) if n else ()) for n in range(size)])

    missing = chain.unreached([(n, size - 1) for n in range(size)] + [(size - 1, 0)])

    assert missing == {(size - 1, size - 1), (size - 1, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("closed", [False, True])
def test_a_hundred_thousand_nodes_in_one_line_are_no_burden(closed: bool) -> None:
    size = 100_000
    tasks = [Task(f"t{n}", depends_on=(f"t{n - 1}",) if n else ()) for n in range(size)]
    if closed:
        tasks[0] = Task("t0", depends_on=(f"t{size - 1}",))
    began = time.monotonic()

    line = Graph(tasks)
    cycles = line.cycles()

    assert len(line.stages()) == (0 if closed else size)
    assert [len(cycle) for cycle in cycles] == ([size + 1] if closed else [])
    assert time.monotonic() - began < 10
