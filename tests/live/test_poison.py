"""Rows that crash a real master's recovery: it is back within seconds, and the rest goes on."""

import contextlib
import sqlite3

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]


def sql(home: LiveHome, text: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(home.root / "stenella.db")) as connection:
        connection.execute(text, values)
        connection.commit()


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
    sql(home, "ALTER TABLE workflow_version ADD COLUMN kept BLOB")
    sql(home, "UPDATE workflow_version SET kept = definition, definition = ?", b'{"name":')
    sql(home, "CREATE TABLE kept AS SELECT digest, kept FROM workflow_version")
    sql(home, "ALTER TABLE workflow_version DROP COLUMN kept")

    home.run("up", "--detach")
    shown = until(
        lambda: [row for row in home.json("ls") if row["attention"]], "the instance is parked"
    )
    other = home.json("run", home.definition("other", home.noting(1)))

    assert [row["workflow_instance_id"] for row in shown] == [number]
    assert "crashed the master 2 times" in shown[0]["attention"]
    assert "NEEDS_ATTENTION" in home.run("ls")
    assert other["state"] == "SUCCESS"
    assert "left alone" in home.json("stop", str(number), code=6)["error"]["message"]
    [letter] = home.json("debug", "dead-letters")
    assert (letter["workflow_instance_id"], letter["quarantined"]) == (number, True)

    sql(
        home,
        "UPDATE workflow_version SET definition = (SELECT kept.kept FROM kept "
        "WHERE kept.digest = workflow_version.digest) WHERE definition = ?",
        b'{"name":',
    )
    home.run("debug", "dead-letters", "retry", str(letter["id"]))
    (home.folder / "go").touch()

    assert home.json("wait", str(number))["state"] == "SUCCESS"
    assert home.ledger_lines() == ["t0000", "t0000"]  # one by each workflow: it never ran again
    assert home.json("debug", "dead-letters") == []
