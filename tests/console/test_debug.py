"""What `stenella debug` prints: it fits, says why, and gives no secret away."""

import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import click
import pytest

from stenella.console import bundle, mailboxes, peeked, trace_chart
from stenella.console.checks import Patient
from stenella.home.layout import Home, open_home
from stenella.protocol.errors import RefusedInState
from stenella.protocol.rows import DeadLetter
from stenella.protocol.states import Event, TaskState, WorkflowState
from stenella.storage.journal import Journal

from ..storage.rows import WALL_MS, batch, event, instance, task, version
from .conftest import Call

MAILBOX = {
    "node": "worker-12",
    "actor": "workflow_executor",
    "depth": 10_000,
    "high_water": 10_000,
    "held": 12,
    "oldest_ms": 12_000,
    "handled": 1_000_000,
    "busy_us_p99": 12_345,
    "rejected": {"full": 3},
}
WIRE = MAILBOX | {"actor": "wire", "frames_out": 5_000, "rejected": {"garbage": 2}}
STORAGE = MAILBOX | {
    "actor": "storage",
    "commit_ms_last": 1.25,
    "commit_ms_p99": 80.5,
    "oldest_ms": 7_000,
    "stalled_ms": 6_500,
    "stalled_why": "the disk is full",
    "ahead_bytes": 16_000_000,
    "ahead_bytes_max": 16_777_216,
}
AT = 1_764_000_000.0
EVENT: dict[str, Any] = {
    "event_no": 1,
    "event": "SUBMIT",
    "from": None,
    "to": "SUBMITTED_SUCCESS",
    "at": AT,
    "actor": "workflow_executor",
    "attempt": 1,
    "dispatch_id": None,
    "callback_seq": None,
    "host": None,
    "worker": None,
    "worker_time": None,
    "detail": None,
}


def happened(name: str, ms: int, before: str, after: str, **fields: Any) -> dict[str, Any]:
    return EVENT | {"event": name, "at": AT + ms / 1_000, "from": before, "to": after} | fields


def a_run(dispatch: int = 5) -> list[dict[str, Any]]:
    ran = {"host": "far", "dispatch_id": dispatch}
    return [
        EVENT,
        happened(
            "DISPATCH", 1, "SUBMITTED_SUCCESS", "DISPATCH", dispatch_id=dispatch, worker="worker-1"
        ),
        happened(
            "RUNNING",
            9,
            "DISPATCH",
            "RUNNING_EXECUTION",
            callback_seq=1,
            worker_time=AT + 0.004,
            **ran,
        ),
        happened(
            "RESULT",
            1_009,
            "RUNNING_EXECUTION",
            "SUCCESS",
            callback_seq=2,
            worker_time=AT + 1.005,
            **ran,
        ),
    ]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


# --- mailboxes -----------------------------------------------------------------------------------


def test_mailboxes_fit_and_say_why_something_was_rejected_and_not_written() -> None:
    lines = mailboxes.lines(mailboxes.Reading([MAILBOX, WIRE, STORAGE], 1.0, None))

    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("full 3")
    assert not [line for line in lines if "wire" in line]
    [node] = [line for line in lines if "garbage 2" in line]
    assert node.split()[:7] == ["worker-12", "1000000", "1.2", "80.5", "7000", "16000", "kB"]
    assert lines[-1] == "worker-12 could not write for 6.5 s (the disk is full)"


def test_rates_are_the_difference_of_two_readings() -> None:
    before = mailboxes.Reading([MAILBOX, WIRE, STORAGE], 10.0, None)
    rows = [row | {"handled": 1_000_500} for row in (MAILBOX, WIRE, STORAGE)]
    reading = mailboxes.Reading(rows, 12.0, before)

    lines = mailboxes.lines(reading)

    assert "PER S" in lines[0]
    assert lines[1].split()[6] == "250"
    assert max(map(len, lines)) <= 80


def test_a_node_that_began_anew_has_no_rate() -> None:
    before = mailboxes.Reading([MAILBOX], 10.0, None)
    reading = mailboxes.Reading([MAILBOX | {"handled": 3}], 11.0, before)

    assert reading.rate(reading.rows[0], "handled") is None


def test_a_node_of_another_version_is_shown_without_what_it_does_not_say() -> None:
    old = {name: value for name, value in WIRE.items() if name != "frames_out"}

    lines = mailboxes.lines(mailboxes.Reading([old], 1.0, None))

    assert lines[-1].startswith("worker-12")


# --- peek ----------------------------------------------------------------------------------------


def test_a_peek_is_told_a_message_a_line_and_steers_no_terminal() -> None:
    row = {
        "node": "master",
        "actor": "dispatcher",
        "state": "waiting",
        "age_ms": 12,
        "from": "worker-1\x1b[2J",
        "message": "TaskExecuteRequestAck",
        "fields": {"dispatch_id": 7, "reason": "x" * 200, "more": [1, {"message": "A", "b": None}]},
    }

    lines = peeked.lines([row, row | {"state": "received", "age_ms": None}])

    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert lines[0] == "waiting, oldest first:"
    assert lines[1] == "  TaskExecuteRequestAck from worker-1\\x1b[2J, for 12 ms"
    assert "dispatch_id=7" in lines[2]
    assert "A(b=-)" in " ".join(lines)
    assert peeked.lines([]) == ["nothing waits"]


# --- trace ---------------------------------------------------------------------------------------


def test_a_trace_is_a_chart_with_the_step_from_line_to_line() -> None:
    lines = trace_chart.lines(a_run(), None)

    assert max(len(click.unstyle(line)) for line in lines) <= 80
    assert lines[1] == "attempt 1"
    assert [line[13:21].strip() for line in lines[2:8]] == [
        "",
        "+1 ms",
        "",
        "~3 ms",
        "~5 ms",
        "~996 ms",
    ]
    assert [line[9:12] for line in lines[2:4]] == ["000", "001"]
    assert "── SUBMIT ──" in lines[2]
    assert "DISPATCH 5 " in lines[3]
    assert "▶" in lines[3]
    assert "to worker-1" in lines[4]
    assert "start─▶" in lines[5]
    assert "RUNNING seq 1" in lines[6]
    assert "◀ended─" in lines[7]
    assert "RESULT SUCCESS seq 2" in lines[8]
    assert lines[9].startswith("~ between two clocks")


def test_a_trace_on_one_machine_has_one_clock() -> None:
    lines = trace_chart.lines(a_run(), "far")

    assert not [line for line in lines if "~" in line]


def test_a_running_that_came_with_its_result_is_drawn_after_the_end_it_tells_of() -> None:
    *before, running, result = a_run()
    running = running | {"at": result["at"]}

    drawn = trace_chart.lines([*before, running, result], "far")

    words = [
        word for line in drawn for word in ("start", "ended", "RUNNING", "RESULT") if word in line
    ]
    assert words == ["start", "ended", "RUNNING", "RESULT"]


def test_a_trace_of_long_numbers_and_every_event_fits() -> None:
    rows = a_run(dispatch=123_456_789)
    for number, kind in enumerate(Event):
        for after in TaskState:
            rows.append(happened(kind.name, number * 10**7, "DISPATCH", after.name, attempt=number))

    lines = trace_chart.lines(rows, None)

    assert max(map(len, lines)) <= 80
    for kind in Event:
        assert [line for line in lines if kind.name[:6] in line], kind


def test_a_trace_names_what_could_not_be_killed() -> None:
    state = "RUNNING_EXECUTION"
    failed = happened("KILL_FAILED", 5, state, state, detail="KILL does not end process 99\x1b[2J")

    lines = trace_chart.lines([EVENT | {"detail": "late"}, failed], None)

    assert lines[-1] == "KILL_FAILED: KILL does not end process 99\\x1b[2J"
    assert not [line for line in lines if "late" in line]


def test_a_terminal_without_our_characters_gets_a_chart_of_ascii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trace_chart, "is_ascii_only", lambda: True)

    assert all(line.isascii() for line in trace_chart.lines(a_run(), None))


# --- bundle --------------------------------------------------------------------------------------

SECRETS = ["hunter2-script", "hunter2-param", "hunter2-output", "hunter2-body", "hunter2-log"]


@pytest.fixture
def used(home: Home) -> Home:
    """A home with a live instance, whose files hold secrets wherever users' words are kept."""
    journal = Journal.open(home.database)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    written = version()
    written.definition = b'{"name":"w","tasks":[{"name":"a","script":"hunter2-script"}]}'
    rows = [
        written,
        instance(state=WorkflowState.RUNNING_EXECUTION, params='{"p":"hunter2-param"}'),
        task(outputs='{"o":"hunter2-output"}', tail="hunter2-log"),
        event(detail="hunter2-output"),
        DeadLetter(at=1, actor="a", sender="s", reason="unknown", body='{"b":"hunter2-body"}'),
    ]
    journal.commit(batch(1, *rows))
    journal.close()
    place = home.worker(1)
    place.create()
    (place.logs / "1").mkdir()
    (place.logs / "1" / "1.1.log").write_text("hunter2-log")
    (place.work / "script.sh").write_text("hunter2-script")
    place.key.write_text("hunter2-script")
    (place.folder / "worker.log").write_text("the worker says this\n")
    (home.run / "master.log").write_text("x" * bundle.LOG_BYTES + "the master's last words\n")
    return home


def unpacked(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name.removeprefix("stenella-bundle/")] = file.read()
    return found


def test_a_bundle_holds_what_a_report_needs_and_no_secret(
    used: Home, call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "b.tar.gz"
    os.environ["STENELLA_TEST_TOKEN"] = "hunter2-env"
    try:
        outcome = call("debug", "bundle", path, "--json")
    finally:
        del os.environ["STENELLA_TEST_TOKEN"]

    files = unpacked(path)
    whole = b"\n".join(files.values())
    for secret in (*SECRETS, "hunter2"):
        assert secret.encode() not in whole
    for key in used.keys.glob("*"):
        assert key.read_bytes() not in whole
    assert outcome.code == 0
    assert [file["name"] for file in outcome.document["files"]] == list(files)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files["logs/run/master.log"].endswith(b"the master's last words\n")
    assert len(files["logs/run/master.log"]) == bundle.LOG_BYTES
    assert b"the worker says this" in files["logs/workers/1/worker.log"]
    assert json.loads(files["database.json"])["tables"]["task_event"]["rows"] == 1
    [row] = json.loads(files["database.json"])["events"]
    assert (row["workflow_instance_id"], row["event"], row["at"]) == (1, "SUBMIT", WALL_MS / 1_000)
    [letter] = json.loads(files["dead-letters.json"])
    assert letter["reason"] == "unknown"
    assert json.loads(files["settings.json"])["worker.slots"]["origin"] == "packaged conf.toml"
    assert {row["check"] for row in json.loads(files["doctor.json"])} > {"disk", "stuck"}
    assert json.loads(files["versions.json"])["libraries"]["gevent"]


def test_a_bundle_is_made_of_a_home_whose_database_and_settings_are_broken(
    used: Home, call: Call, tmp_path: Path
) -> None:
    used.database.write_bytes(b"no database" * 1000)
    used.conf.write_text("[worker]\nslots = 'hunter2-conf'\n")
    used.conf.chmod(0o600)

    assert call("debug", "bundle", tmp_path / "b.tar.gz").code == 0

    files = unpacked(tmp_path / "b.tar.gz")
    assert "error" in json.loads(files["database.json"])
    assert json.loads(files["settings.json"])["problems"][0]["line"] == 2
    assert b"hunter2" not in files["settings.json"]


def test_a_bundle_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_text("mine")
    home = open_home(tmp_path / "home")

    with pytest.raises(RefusedInState, match="is there already"):
        bundle.write(path, bundle.collected(home, Patient(home, held=False)))

    assert path.read_text() == "mine"


def test_a_bundle_without_a_home_says_what_is_missing(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STENELLA_HOME", str(tmp_path / "nowhere"))

    assert call("debug", "bundle").code == 3
