"""Definitions and instances that do not fit one answer."""

import pytest

from stenella.storage import queries, versions

from .rows import instance, task, version
from .store import Store


def test_a_definition_is_the_newest_of_its_name_or_that_of_an_instance(store: Store) -> None:
    store.write(version("d1"), version("d2"), version("d3", "stock", "x"))
    store.write(instance(1, version_digest="d1"), instance(2, version_digest="d3", name="stock"))

    assert store.queries.definition("sales") == {
        "workflow": "sales",
        "version": 2,
        "definition": version("d2").definition.decode(),
    }
    of_first, of_newest = store.queries.definition("", 1), store.queries.definition("", 0)
    assert of_first is not None
    assert of_first["version"] == 1
    assert of_newest is not None
    assert of_newest["workflow"] == "stock"
    assert store.queries.definition("sale") is None
    assert store.queries.definition("", 3) is None
    assert store.queries.workflow_names(10) == ["sales", "stock"]


def test_a_definition_is_read_in_parts_of_the_version_that_was_begun_with(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_BYTES", 40)
    store.write(version("d1", "sales", "ä" * 30))
    whole = version("d1", "sales", "ä" * 30).definition
    first = store.queries.definition_part("sales", 0, "", 0)
    assert first is not None
    store.write(version("d2", "sales", "newer"))

    read, page = first["part"], first
    while page["next_offset"] is not None:
        found = store.queries.definition_part("sales", 0, page["digest"], page["next_offset"])
        assert found is not None
        page = found
        read += page["part"]

    assert read == whole
    assert store.queries.definition_part("sales", 0, "", 2**63 - 1) == {
        "workflow": "sales",
        "version": 2,
        "digest": "d2",
        "part": b"",
        "next_offset": None,
    }
    assert store.queries.definition_part("", 9, "", 0) is None


@pytest.mark.parametrize(("nodes", "size"), [(2, 4 * 1024 * 1024), (100, 1)])
def test_an_instance_is_read_in_pages(
    store: Store, monkeypatch: pytest.MonkeyPatch, nodes: int, size: int
) -> None:
    monkeypatch.setattr(queries, "PAGE_NODES_MAX", nodes)
    monkeypatch.setattr(queries, "PAGE_BYTES", size)
    names = ["a", "b", "c", "d", "e"]
    store.write(version("d1", "sales", *names), instance(1))
    store.write(task(1, node=3, name="d"), task(2, node=1, name="b"))
    whole = store.queries.instance(1)
    assert whole is not None

    tasks, node, pages = [], 0, 0
    while node is not None:
        page = store.queries.instance_page(1, node)
        assert page is not None
        assert page["tasks"]
        tasks += page["tasks"]
        node, pages = page["next_node"], pages + 1

    assert tasks == whole["tasks"]
    assert [task["name"] for task in tasks] == names
    assert page["instance"] | {"tasks": tasks} == whole
    assert pages == (3 if nodes == 2 else 5)
    beyond = store.queries.instance_page(1, 2**63 - 1)
    assert beyond is not None
    assert (beyond["tasks"], beyond["next_node"]) == ([], None)


def test_more_versions_than_are_kept_are_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "GRAPH_NODES_MAX", 2)
    numbers = range(1, 5)
    store.write(
        *(version(f"d{number}", "many", f"t{number}") for number in numbers),
        *(instance(number, version_digest=f"d{number}") for number in numbers),
    )

    names = [
        document["tasks"][0]["name"]
        for number in [*numbers, *numbers]
        if (document := store.queries.instance(number))
    ]

    assert names == [f"t{number}" for number in [*numbers, *numbers]]
