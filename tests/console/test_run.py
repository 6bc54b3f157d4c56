"""``run``, ``submit``, ``wait`` and ``stop`` against a door that plays a cluster."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stenella.console import views
from stenella.home.layout import Home
from stenella.workflow.definition import decode

from .conftest import Call

pytestmark = pytest.mark.live


def write_log(home: Home, number: int, text: str) -> None:
    folder = home.worker(1).logs / "7"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.1.log").write_text(text)


def test_a_run_that_succeeds_shows_the_result_of_its_last_task(
    call: Call, home: Home, play: Any, file: Path
) -> None:
    play("SUCCESS")
    write_log(home, 1, "not the last\n")
    write_log(home, 2, "3 rows loaded\n")

    outcome = call("run", file, "-p", "day=1")

    assert outcome.code == 0
    assert outcome.err.splitlines() == ["1/2 done, 1 running", "2/2 done, 0 running"]
    assert "nightly  instance 7  SUCCESS in 1.0 s" in outcome.out
    assert "load\n  │ 3 rows loaded\n  rows = 5\n" in outcome.out
    assert "not the last" not in outcome.out
    assert "stenella logs 7/TASK" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_a_run_that_fails_shows_what_failed_and_its_last_words(
    call: Call, home: Home, play: Any, file: Path
) -> None:
    play("FAILURE")
    write_log(home, 2, "Traceback\n\x1b[31mno such table\n")

    outcome = call("run", file, "-p", "day=1")

    assert outcome.code == 1
    assert "load FAILURE: it ended with 3\n" in outcome.out
    assert "  │ \\x1b[31mno such table\n" in outcome.out


def test_a_run_for_programs_prints_one_document(call: Call, play: Any, file: Path) -> None:
    cluster = play("SUCCESS")

    outcome = call("run", file, "-p", "day=1", "--json")

    assert outcome.document == {**cluster.instance(), "tasks": cluster.tasks()}
    (submit,) = cluster.submits
    assert submit.params == {"day": "1"}
    assert submit.submit_dir == os.getcwd()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_who_waits_is_told_once_that_a_worker_is_away(
    call: Call, play: Any, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setattr(views, "LOOK_S", 0.0)
    play("SUCCESS").causes = [{"cause": "running"}, {"cause": "worker_silent"}]

    outcome = call("wait", 7, *more)

    assert outcome.code == 0
    assert outcome.err.count("not heard: `stenella explain 7` says what becomes of them") == 1


def test_a_submit_prints_the_number_and_does_not_wait(call: Call, play: Any, file: Path) -> None:
    cluster = play("SUCCESS")

    outcome = call("submit", file, "-p", "day=1", "--json")

    assert (outcome.code, outcome.document) == (0, {"workflow_instance_id": 7})
    assert cluster.watches == 0


def test_a_script_takes_the_options_of_the_command_line(
    call: Call, play: Any, tmp_path: Path
) -> None:
    cluster = play("SUCCESS")
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n#STENELLA --retry 1 --name own\nls\n")

    outcome = call("submit", script, "--retry", 2, "-p", "day=1", "--output", "rows")

    (submit,) = cluster.submits
    assert outcome.code == 0
    assert b'"times":2' in submit.definition
    assert b'"name":"own"' in submit.definition
    assert submit.params == {"day": "1"}


def test_b20_a_command_and_its_arguments_are_a_workflow_of_one_task(call: Call, play: Any) -> None:
    cluster = play("SUCCESS")
    words = ["/usr/bin/make", "-j", "$(nproc)", "--json", "-p", "a b"]

    outcome = call("submit", "--retry", 2, "-p", "day=1", "--", *words)

    (submit,) = cluster.submits
    definition = decode(submit.definition)
    [task] = definition.tasks
    assert outcome.code == 0
    assert (definition.name, task.name, task.command) == ("make", "make", tuple(words))
    assert (task.working_dir, task.retry.times) == (os.getcwd(), 2)
    assert (submit.params, submit.dry_run) == ({"day": "1"}, False)


def test_a_dry_run_is_asked_for(call: Call, play: Any, file: Path) -> None:
    cluster = play("SUCCESS")

    assert call("run", file, "-p", "day=1", "--dry-run").code == 0
    assert call("submit", "--dry-run", "--", "ls").code == 0
    assert [submit.dry_run for submit in cluster.submits] == [True, True]
    assert len({submit.digest for submit in cluster.submits}) == 2


@pytest.mark.parametrize("words", [[], ["x.yaml", "--", "ls"], ["--"]])
def test_what_to_run_is_one_file_or_one_command(call: Call, words: list[str]) -> None:
    outcome = call("submit", *words)

    assert outcome.code == 2
    assert "command" in outcome.err


def test_options_of_scripts_are_refused_for_other_files(call: Call, file: Path) -> None:
    outcome = call("submit", file, "--retry", 2)

    assert outcome.code == 2
    assert "--retry" in outcome.err


@pytest.mark.parametrize(("end", "code"), [("SUCCESS", 0), ("FAILURE", 1), ("STOP", 1)])
def test_waiting_ends_as_the_workflow_does(
    call: Call, play: Any, file: Path, end: str, code: int
) -> None:
    play(end)

    assert call("submit", file, "-p", "day=1", "--wait").code == code
    assert call("wait", 7).code == code
    assert call("wait", "last", "--json").document["state"] == end


def test_a_submit_that_waits_names_its_instance_first(call: Call, play: Any, file: Path) -> None:
    play("SUCCESS")

    outcome = call("submit", file, "-p", "day=1", "--wait", "--json")

    assert outcome.document["state"] == "SUCCESS"
    assert outcome.err.splitlines()[0] == "submitted as workflow instance 7"


def test_a_watch_shows_the_end_and_ends_as_the_workflow_does(call: Call, play: Any) -> None:
    play("FAILURE")

    outcome = call("watch")

    assert outcome.code == 1
    assert "load FAILURE: it ended with 3" in outcome.out
    assert outcome.out.endswith("more: stenella show 7 · stenella logs 7/load\n")
    assert "2/2 done, 0 running, 1 failed" in outcome.err


def test_a_watch_for_programs_is_a_document_a_line(call: Call, play: Any) -> None:
    play("SUCCESS")

    first, *_, last = map(msgspec.json.decode, call("watch", 7, "--json").out.splitlines())

    assert first["state"] == "RUNNING_EXECUTION"
    assert (last["state"], last["counts"]) == ("SUCCESS", {"SUCCESS": 2})
    assert {task["name"] for task in last["tasks"]} == {"extract", "load"}


def test_waiting_gives_up_at_its_time(call: Call, play: Any) -> None:
    play("never").end = "RUNNING_EXECUTION"

    outcome = call("wait", 7, "--timeout", "10ms")

    assert outcome.code == 7
    assert "it goes on" in outcome.err


def test_a_stop_names_what_it_stopped(call: Call, play: Any) -> None:
    cluster = play("SUCCESS")

    assert call("stop", "last", "--json").document == {"workflow_instance_id": 7}
    assert cluster.stopped


@pytest.mark.parametrize(
    ("address", "words"), [("last/load", "was killed"), ("7/extract", "is being killed")]
)
def test_a_kill_says_what_became_of_the_task(
    call: Call, play: Any, address: str, words: str
) -> None:
    cluster = play("SUCCESS")

    assert words in call("kill", address).out
    assert call("kill", address, "--json").document["workflow_instance_id"] == 7
    assert cluster.killed == [address.partition("/")[2]] * 2


def test_a_kill_wants_a_task(call: Call) -> None:
    outcome = call("kill", "last")

    assert outcome.code == 2
    assert "stenella stop last" in outcome.err


@pytest.mark.parametrize(("more", "code"), [([], 2), (["--wait", "0s"], 6), (["--keep"], 6)])
def test_bad_settings_do_not_keep_a_cluster_up(
    call: Call, home: Home, play: Any, more: list[str], code: int
) -> None:
    play("SUCCESS")
    home.conf.write_text("[worker]\nslotz = 1\n")

    outcome = call("down", *more)

    assert outcome.code == code
    assert ("plays no Shutdown" in outcome.err) == bool(more)  # it was told
