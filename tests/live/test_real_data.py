"""The workflows of ``examples/``, judged by what they hand on; it is computed here another way."""

import sqlite3
import sys
import unicodedata
import zoneinfo
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
YEAR = 2024
LINES_MAX = 100  # of an example, so that it is read; the first one is older


def tasks(document: Any) -> dict[str, Any]:
    return {task["name"]: task for task in document["tasks"]}


def test_an_example_is_short_enough_to_be_read() -> None:
    lines = {path.name: path.read_text().count("\n") for path in EXAMPLES.iterdir()}
    del lines["stdlib-report.yaml"]

    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}


@pytest.mark.skipif(not zoneinfo.available_timezones(), reason="no tzdata on this machine")
def test_time_zones_finds_the_changes_of_the_clocks(home: LiveHome) -> None:
    done = home.json("run", str(EXAMPLES / "time-zones.toml"), "-p", f"year={YEAR}")

    found = tasks(done)
    names = found["find"]["outputs"]["zones"]
    dates = found["changes"]["outputs"]["dates"]
    assert "Europe/Berlin" in names
    assert dates[f"{YEAR}-03-31"] == changing(names, date(YEAR, 3, 31))
    assert sum(found["offsets"]["outputs"]["offsets"].values()) == len(names)
    assert len(found["history"]["outputs"]["restless"]) == 4
    report = home.run("logs", "last/report")
    assert f"in {YEAR}" in report
    assert f"{YEAR}-10-27" in report


def changing(names: list[str], day: date) -> int:
    """How many zones have another offset at noon of ``day`` than a day before."""
    noon = datetime(day.year, day.month, day.day, 12)  # noqa: DTZ001 - each zone is put in below
    zones = [zoneinfo.ZoneInfo(name) for name in names]
    return sum(
        noon.replace(tzinfo=zone).utcoffset()
        != (noon - timedelta(days=1)).replace(tzinfo=zone).utcoffset()
        for zone in zones
    )


def test_unicode_needs_its_retries_while_another_has_the_database(cluster: LiveHome) -> None:
    file = cluster.folder / "letters.db"
    loads = [f"load_{number}" for number in range(1, 5)]
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE letter (code INTEGER PRIMARY KEY, script, category)")
        other.execute("BEGIN IMMEDIATE")
        submitted = cluster.json(
            "submit", str(EXAMPLES / "unicode.yaml"), "-p", f"database={file}", "-p", "top=3"
        )
        number = str(submitted["workflow_instance_id"])

        def all_are_tried_again() -> bool:
            now = tasks(cluster.json("show", number))
            return all(now[name]["attempt"] >= 2 for name in loads)

        until(all_are_tried_again, "every load has failed once")
        other.execute("ROLLBACK")
        done = cluster.json("wait", number)

    found = tasks(done)
    letters = sum(is_named_letter(chr(code)) for code in range(sys.maxunicode + 1))
    assert "database is locked" in cluster.run("logs", f"{number}/load_1", "--attempt", "1")
    assert found["report"]["outputs"]["letters"] == str(letters)
    assert sum(int(found[name]["outputs"]["loaded"]) for name in loads) == letters
    assert "LATIN" in cluster.run("logs", f"{number}/report")
    with closing(sqlite3.connect(file)) as after:
        assert after.execute("SELECT script FROM letter WHERE code = 946").fetchone() == ("GREEK",)


def is_named_letter(character: str) -> bool:
    return unicodedata.category(character).startswith("L") and bool(unicodedata.name(character, ""))
