"""A version in the master: of each task its kind, of the graph its edges."""

from stenella.actors.master.version import Version
from stenella.workflow.definition import Definition, Output, Retry, Task


def test_every_task_is_as_it_was_defined_but_for_name_and_edges() -> None:
    tasks = (
        Task("a", script="true"),
        Task("b", script="true", depends_on=("a",)),
        Task("c", script="true", params={"n": 1}),
        Task("d", script="true", params={"n": True}),
        Task("e", outputs=(Output("rows"),), retry=Retry(2)),
    )

    version = Version("d", Definition("w", tasks, timeout=None))

    assert [version.graph.names[node] for node in range(5)] == ["a", "b", "c", "d", "e"]
    for node, task in enumerate(tasks):
        held = version.task(node)
        assert (held.script, held.params, held.retry) == (task.script, task.params, task.retry)
    assert version.task(0) is version.task(1)
    assert isinstance(version.task(3).params["n"], bool)
    assert version.declared("e") == (Output("rows"),)
    assert (version.definition.name, version.definition.tasks) == ("w", ())


def test_what_cannot_be_stored_is_held_for_the_check_to_refuse() -> None:
    tasks = (Task("a", script="\ud800"), Task("b", delay_ms=2**70), Task("c", delay_ms=2**71))

    version = Version("d", Definition("w", tasks))

    assert [version.task(node).delay_ms for node in range(3)] == [0, 2**70, 2**71]
