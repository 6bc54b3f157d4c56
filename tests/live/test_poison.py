"""Rows that crash a real node's recovery: it is back within seconds, and the rest goes on."""

import contextlib
import os
import signal
import sqlite3
from typing import Any

import pytest

from .home import LIMIT_S, LiveHome, until
from .test_life import WAIT_FOR_GATE

pytestmark = [pytest.mark.live, pytest.mark.slow]


def sql(home: LiveHome, text: str, *values: object, path: str = "stenella.db") -> None:
    with contextlib.closing(sqlite3.connect(home.root / path)) as connection:
        connection.execute(text, values)
        connection.commit()


def spoil(home: LiveHome) -> None:
    """A home that is down: nobody can read the definitions of its instances any more."""
    sql(home, "ALTER TABLE workflow_version ADD COLUMN kept BLOB")
    sql(home, "UPDATE workflow_version SET kept = definition, definition = ?", b'{"name":')
    sql(home, "CREATE TABLE kept AS SELECT digest, kept FROM workflow_version")
    sql(home, "ALTER TABLE workflow_version DROP COLUMN kept")


def mend(home: LiveHome) -> None:
    """As they were."""
    sql(
        home,
        "UPDATE workflow_version SET definition = (SELECT kept.kept FROM kept "
        "WHERE kept.digest = workflow_version.digest) WHERE definition = ?",
        b'{"name":',
    )


def parked(home: LiveHome) -> list[dict[str, Any]]:
    """The instances that are left alone, when there are any."""
    found: list[dict[str, Any]] = until(
        lambda: [row for row in home.json("ls") if row["attention"]], "the instance is parked"
    )
    return found


def go_on(home: LiveHome) -> None:
    """A person lets it."""
    [letter] = home.json("debug", "dead-letters")
    home.run("debug", "dead-letters", "retry", str(letter["id"]))


def test_an_instance_whose_rows_crash_recovery_is_parked_and_goes_on_when_mended(
    home: LiveHome,
) -> None:
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    waiting = home.definition(
        "waiting", home.noting(1, f'until [ -e "{home.folder}/go" ]; do :; done')
    )
    number = home.json("submit", waiting)["workflow_instance_id"]
    until(home.ledger_lines, "the task runs")
    home.run("down", "--keep")
    spoil(home)

    home.run("up", "--detach")
    shown = parked(home)
    other = home.json("run", home.definition("other", home.noting(1)))

    assert [row["workflow_instance_id"] for row in shown] == [number]
    assert "crashed the master 2 times" in shown[0]["attention"]
    assert "NEEDS_ATTENTION" in home.run("ls")
    [cause] = home.json("explain", str(number))["causes"]
    assert (cause["cause"], cause["owner"]) == ("needs_attention", "a person")
    assert "needs attention" in home.run("doctor", code=1)
    assert other["state"] == "SUCCESS"
    assert "left alone" in home.json("stop", str(number), code=6)["error"]["message"]
    [letter] = home.json("debug", "dead-letters")
    assert (letter["workflow_instance_id"], letter["quarantined"]) == (number, True)

    mend(home)
    go_on(home)
    (home.folder / "go").touch()

    assert home.json("wait", str(number))["state"] == "SUCCESS"
    assert home.ledger_lines() == ["t0000", "t0000"]  # one by each workflow: it never ran again
    assert home.json("debug", "dead-letters") == []


def test_what_a_worker_had_that_left_meanwhile_and_is_not_up_again_is_run_by_others(
    home: LiveHome,
) -> None:
    """Its result is in its journal, and nobody took it: it may still come, for lease and graces."""
    home.environment["STENELLA_CLUSTER__LEASE_S"] = "2"
    home.environment["STENELLA_CLUSTER__FENCE_GRACE_S"] = "0.5"
    home.run("up", "--workers", "2", "--slots", "1", "--detach")
    tasks = home.noting(2, WAIT_FOR_GATE.format(gate=home.folder / "gate"))
    number = str(home.json("submit", home.definition("w", tasks))["workflow_instance_id"])
    until(lambda: len(home.ledger_lines()) == 2, "both workers have one")
    home.run("down", "--keep")
    spoil(home)
    home.run("up", "--detach")
    parked(home)
    (home.folder / "gate").touch()
    home.run("down", "--wait", "0s")  # some 10 s: they wait for somebody to take what has ended
    mend(home)

    home.run("up", "--workers", "1", "--detach")
    go_on(home)
    done = home.json("wait", number)

    assert done["state"] == "SUCCESS"
    assert sorted(task["attempt"] for task in done["tasks"]) == [1, 2]
    assert {task["worker"] for task in done["tasks"]} == {"worker-1"}
    assert len(home.ledger_lines()) == 3


def test_a_journal_that_crashes_its_worker_costs_the_attempts_it_had_and_nothing_else(
    home: LiveHome,
) -> None:
    """The warden ends what is no longer known, before other attempts begin."""
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    script = f'exec 9> "{home.folder}/$STENELLA_TASK.lock"\nflock -n 9 || exit 9\n'
    script += f'until [ -e "{home.folder}/go" ]; do sleep 0.05; done'
    number = home.json("submit", home.definition("w", home.noting(2, script)))
    instance = str(number["workflow_instance_id"])
    ending, _ = until(
        lambda: (tasks := home.json("show", instance)["tasks"]) and all(_pids(tasks)) and tasks,
        "they have pids",
    )
    supervisor = int((home.root / "run" / "supervisor.lock").read_text())
    os.kill(supervisor, signal.SIGSTOP)
    try:
        home.kill(home.pids("workers")[0])
        sql(home, "UPDATE attempt SET outputs = '{'", path="workers/1/journal.db")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    os.kill(ending["pid"], signal.SIGKILL)  # its end is what the row is needed for

    until(lambda: len(home.ledger_lines()) == 4, "other attempts begin")
    (home.folder / "go").touch()
    done = home.json("wait", instance)["tasks"]
    other = home.json("run", home.definition("other", home.noting(1)))
    doctor, _ = home.start("doctor", "--json").communicate(timeout=LIMIT_S)

    assert [(task["state"], task["attempt"]) for task in done] == [("SUCCESS", 2)] * 2
    assert other["state"] == "SUCCESS"
    assert list(home.root.glob("workers/1/journal.db.aside-1"))
    assert "aside-1" in doctor


def _pids(tasks: list[dict[str, Any]]) -> list[int | None]:
    return [task["pid"] for task in tasks]
