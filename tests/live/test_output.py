"""What tasks print and hand on: however much, and whatever bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .home import LiveHome

pytestmark = [pytest.mark.live, pytest.mark.slow]

MIB = 1024 * 1024
#: 1024 as the issue has it: STENELLA_TEST_OUTPUT_MIB=1024 pytest tests/live/test_output.py
OUTPUT_MIB = int(os.environ.get("STENELLA_TEST_OUTPUT_MIB", "200"))
GROWTH_KB_MAX = 10 * 1024


@pytest.fixture
def bounded(home: LiveHome) -> LiveHome:
    """One worker that keeps a mebibyte of each log."""
    home.environment["STENELLA_WORKER__LOG_BYTES_MAX"] = str(MIB)
    home.run("up", "--workers", "1", "--slots", "2", "--detach")
    return home


def test_b8_output_without_end_costs_neither_memory_nor_disk(bounded: LiveHome) -> None:
    """One line of NULs and ANSI codes, as long as it gets, between two that one can read."""
    script = f"echo first; head -c {OUTPUT_MIB}M /dev/zero; printf '\\033[31m'; echo; echo last"
    bounded.run(
        "run", bounded.definition("warm", [{"name": "t", "script": "head -c 3M /dev/zero"}])
    )
    [worker] = bounded.pids("workers")
    before_kb = _peak_kb(worker)

    [task] = bounded.json("run", bounded.definition("loud", [{"name": "t", "script": script}]))[
        "tasks"
    ]

    grown_kb = _peak_kb(worker) - before_kb
    [log] = bounded.root.glob("workers/1/logs/2/*.log")
    text = log.read_bytes()
    assert task["state"] == "SUCCESS"
    assert "worker.log_bytes_max" in task["message"]
    assert len(text) <= MIB
    assert text.startswith(b"first\n\0\0")
    assert text.split(b"\nstenella: ")[-2].endswith(b"\0\x1b[31m\nlast\n")
    assert grown_kb <= GROWTH_KB_MAX
    assert list(log.parent.iterdir()) == [log]


def test_b8_bytes_are_stored_raw_and_shown_escaped(bounded: LiveHome) -> None:
    script = r"printf 'a\0b\377\033[2J\r\n'; exit 3"
    file = bounded.definition("odd", [{"name": "t", "script": script}])
    raw = b"a\0b\xff\x1b[2J\r\n"

    shown = bounded.run("run", file, code=1)
    piped = subprocess.run(
        [sys.executable, "-m", "stenella", "logs", "last/t"],
        env=bounded.environment,
        capture_output=True,
        check=True,
    ).stdout

    [log] = bounded.root.glob("workers/1/logs/1/*.log")
    assert log.read_bytes() == piped == raw
    assert r"a\x00b" in shown
    assert r"\x1b[2J" in shown
    assert not set(shown) & {"\0", "\x1b", "\r"}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (r"printf 'rows=\377\n' >> $STENELLA_OUTPUT", "not UTF-8"),
        ("echo '{\"rows\": ' >> $STENELLA_OUTPUT", "no valid JSON object"),
        ("head -c 50M /dev/zero >> $STENELLA_OUTPUT", "52428800 bytes, the limit is"),
    ],
)
def test_b9_a_bad_output_fails_the_task_with_the_reason(
    home: LiveHome, script: str, why: str
) -> None:
    tasks = [{"name": "t", "script": script, "outputs": ["rows"]}]

    [task] = home.json("run", home.definition("bad", tasks), code=1)["tasks"]

    assert (task["state"], task["reason"], task["exit_code"]) == ("FAILURE", "bad_output", 0)
    assert why in task["message"]


def test_b5_a_script_of_10_mb_is_refused_and_nothing_is_stored(home: LiveHome) -> None:
    script = "#!/bin/sh\n" + "# x\n" * (10 * MIB // 4 - 100)
    path = home.folder / "big.sh"
    path.write_text(script)

    error = home.json("run", str(path), code=4)["error"]

    [problem] = error["problems"]
    assert problem["rule"] == "too_large"
    assert "put it into a file on the workers" in problem["message"]
    assert not (home.root / "stenella.db").exists()


@pytest.mark.parametrize(
    "address", ["1/../../key", "../1/t", "1/..%2f..%2fkey", "/etc/passwd", "1/t/../t", "1/\x01"]
)
def test_b17_a_log_is_named_by_ids_and_leads_nowhere_else(home: LiveHome, address: str) -> None:
    if not home.root.exists():
        home.run("run", home.definition("one", [{"name": "t", "script": "echo hello"}]))

    for command in ("logs", "show"):
        home.run(command, address, code=3 if address.startswith("1/") and command == "logs" else 2)


def test_b17_a_link_in_place_of_a_log_is_not_followed(home: LiveHome) -> None:
    home.run("run", home.definition("one", [{"name": "t", "script": "echo hello"}]))
    [log] = home.root.glob("workers/1/logs/1/*.log")
    log.unlink()
    log.symlink_to(home.root / "workers" / "1" / "key")

    process = home.start("logs", "last/t")
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 8
    assert "cannot be read" in output
    assert Path(home.root / "workers" / "1" / "key").read_text().strip() not in output


def _peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
