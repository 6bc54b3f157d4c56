"""``plan`` and ``schema``, and which workflow is meant by FILE, NAME or `-`."""

import os
from pathlib import Path

import pytest

from stenella.home.layout import Home
from stenella.storage.journal import Journal
from stenella.workflow.definition import Definition, Task, digest, encode

from ..storage.rows import WALL_MS, batch, version
from .conftest import Call

WORKFLOW = """\
name: nightly
params: {day: monday, limit: {type: integer, default: 3}}
tasks:
  - {name: extract, script: ls, outputs: [rows]}
  - {name: load, script: ls, depends_on: [extract], params: {what: "${day} ${extract.rows}"}}
  - {name: check, script: ls, depends_on: [extract]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nightly.yaml").write_text(WORKFLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def registered(home: Home) -> Home:
    """A home in which the workflow ``stock`` was submitted before."""
    stock = Definition("stock", (Task("count", script="ls"),))
    journal = Journal.open(home.database)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    row = version(digest(stock), "stock")
    stored = type(row)(
        digest=row.digest, name="stock", definition=encode(stock), created_at=WALL_MS
    )
    journal.commit(batch(1, stored))
    journal.close()
    return home


def test_a_plan_has_stages_with_their_widths_and_parameters_as_tasks_get_them(
    call: Call, folder: Path
) -> None:
    document = call("plan", "nightly.yaml", "-p", "limit=5", "--json").document

    assert [stage["width"] for stage in document["stages"]] == [1, 2]
    assert (document["tasks"], document["width"]) == (3, 2)
    assert document["params"] == {
        "day": {"value": "monday", "origin": "workflow"},
        "limit": {"value": 5, "origin": "startup"},
    }
    load = document["stages"][1]["tasks"][0]
    assert (load["name"], load["depends_on"]) == ("load", ["extract"])
    assert load["params"]["what"] == {"value": "monday ${extract.rows}", "origin": "task"}


def test_a_plan_for_people_fits_on_a_terminal(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tasks = [f"  - {{name: task_number_{n}, type: noop}}\n" for n in range(500)]
    chain = "".join(
        f"  - {{name: link_{n}, type: noop, depends_on: [{f'link_{n - 1}' if n else 'a'}]}}\n"
        for n in range(200)
    )
    (folder / "big.yaml").write_text(
        "name: big\ntasks:\n  - {name: a, type: noop}\n" + "".join(tasks) + chain
    )

    text = call("plan", "big.yaml").out

    assert text.startswith("big: 701 tasks in 201 stages, at most 501 at once\n")
    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) <= 80


def test_a_plan_refuses_what_a_run_would_refuse(call: Call, folder: Path) -> None:
    assert call("plan", "nightly.yaml", "-p", "limit=many").code == 2
    assert call("plan", "nightly.yaml", "-p", "other=1").code == 2


def test_a_name_is_the_workflow_that_was_submitted(call: Call, registered: Home) -> None:
    assert call("plan", "stock", "--json").document["workflow"] == "stock"


def test_a_file_of_that_name_comes_before_a_registered_workflow(
    call: Call, registered: Home, folder: Path
) -> None:
    (folder / "stock").write_text("#!/bin/sh\n#STENELLA --name other\nls\n")

    assert call("plan", "stock", "--json").document["workflow"] == "other"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stok", "stock"),
        ("nightly", "nightly.yaml"),
        ("nigthly.yaml", "nightly.yaml"),
        (os.path.join("..", "nowhere", "x.yaml"), None),
        ("something-else", None),
    ],
)
def test_what_is_not_there_is_answered_with_what_was_probably_meant(
    call: Call, registered: Home, folder: Path, word: str, meant: str | None
) -> None:
    outcome = call("run", word)

    assert outcome.code == 3
    assert (f"did you mean {meant}?" in outcome.err) == (meant is not None)
    assert outcome.err.count("\n") == 1


def test_options_of_scripts_are_refused_for_a_registered_workflow(
    call: Call, registered: Home
) -> None:
    outcome = call("submit", "stock", "--retry", 2)

    assert outcome.code == 2
    assert "--retry" in outcome.err
