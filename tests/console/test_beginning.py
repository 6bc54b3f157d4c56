"""``stenella`` alone, ``init``, ``config show`` and ``completion``: a newcomer's first minutes."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from stenella.client.loading import load
from stenella.client.yaml_file import read_yaml
from stenella.console.beginning import what_is_next
from stenella.home import locks
from stenella.home.layout import Home
from stenella.protocol.states import TaskState, WorkflowState
from stenella.storage.journal import Journal
from stenella.workflow.findings import Findings

from ..storage.rows import WALL_MS, batch, instance, task, version
from .conftest import Call

PROGRAM = [sys.executable, "-m", "stenella"]


def remember(home: Home, *states: WorkflowState) -> None:
    """Instances 1, 2, … with tasks a and b."""
    journal = Journal.open(home.database)
    journal.start(boot="b", pid=1, wall_ms=WALL_MS, new_cluster="c")
    rows = [
        instance(
            number, state=state, end_time=None if state.name.endswith("EXECUTION") else WALL_MS
        )
        for number, state in enumerate(states, start=1)
    ]
    tasks = [task(number, state=TaskState.SUCCESS) for number in (1, 2)]
    journal.commit(batch(1, version(), *rows, *tasks))
    journal.close()


def next_command(call: Call) -> str:
    command: str = call("--json").document["next"][0]
    assert command in call().out
    return command


def test_in_a_fresh_home_the_first_workflow_is_written_then_run(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STENELLA_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)

    assert next_command(call) == "stenella init"
    assert call("init").code == 0
    assert next_command(call) == "stenella run workflow.yaml"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("states", "command"),
    [
        ([WorkflowState.SUCCESS], "stenella show last"),
        ([WorkflowState.SUCCESS, WorkflowState.FAILURE], "stenella show last"),
        ([WorkflowState.RUNNING_EXECUTION, WorkflowState.SUCCESS], "stenella up --detach"),
    ],
)
def test_what_is_next_follows_from_what_has_run(
    call: Call, home: Home, states: list[WorkflowState], command: str
) -> None:
    remember(home, *states)

    assert next_command(call) == command
    document = call("--json").document
    assert (document["home"], document["cluster"]) == (str(home.root), "down")
    assert [one["workflow_instance_id"] for one in document["instances"]][-1] == 1


@pytest.mark.parametrize(
    ("attention", "free", "command"),
    [
        (None, 1, "stenella watch 7"),
        (None, 2, "stenella explain 7"),
        ("NEEDS_ATTENTION", 2, "stenella debug dead-letters"),
    ],
)
def test_what_is_next_of_what_has_not_ended(attention: str | None, free: int, command: str) -> None:
    live = {"workflow_instance_id": 7, "state": "RUNNING_EXECUTION", "attention": attention}
    status = {"workers": [{"slots": 2, "free": free}]}

    assert what_is_next(True, status, [live])[0] == command


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_said_to_be_there(call: Call, home: Home) -> None:
    lock = locks.hold(home.supervisor_lock, "the supervisor")
    try:
        document = call("--json").document
    finally:
        lock.release()

    assert document["cluster"] == "silent"
    assert document["next"][0] == "stenella status"


def test_a_misspelt_command_is_answered_with_the_nearest(call: Call) -> None:
    outcome = call("shwo", "last")

    assert outcome.code == 2
    assert outcome.err == "stenella: there is no command 'shwo'; did you mean show?\n"


def test_the_first_workflow_is_sound_and_its_schema_takes_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = call("init", "nightly.yaml", "--json")

    file, schema = (tmp_path / name for name in outcome.document["files"])
    text = file.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={schema.name}\n")
    assert load(file).name == "nightly"
    judge = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    judge.validate(read_yaml(text, Findings()))


def test_nothing_is_overwritten(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")

    outcome = call("init", file)

    assert (outcome.code, file.read_text()) == (6, "mine")
    assert list(tmp_path.glob("*.json")) == []


def test_only_what_was_written_is_listed_and_a_schema_that_is_there_can_be_renewed(
    call: Call, tmp_path: Path
) -> None:
    schema = tmp_path / "stenella.schema.json"
    first = call("init", tmp_path / "one.yaml", "--json").document
    schema.write_text("mine")

    second = call("init", tmp_path / "two.yaml", "--json").document
    third = call("init", tmp_path / "three.yaml").out

    assert first == {"files": [str(tmp_path / "one.yaml"), str(schema)]}
    assert second == {"files": [str(tmp_path / "two.yaml")]}
    assert f"{schema} was there: `stenella schema > {schema}` renews it" in third
    assert schema.read_text() == "mine"


def test_a_workflow_whose_name_is_no_utf8_is_refused_before_it_is_there(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = call("init", "x\udcff.yaml")

    assert outcome.code == 2
    assert "x\\udcff.yaml" in outcome.err
    assert list(tmp_path.glob("*.*")) == []


@pytest.mark.live
@pytest.mark.slow
def test_a_workflow_for_which_there_is_no_room_is_not_left_half_written(
    home: Home, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 0; exec "$0" -m stenella init w.yaml', sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (
        6,
        "stenella: w.yaml cannot be written: File too large\n",
    )
    assert not (tmp_path / "w.yaml").exists()


@pytest.mark.live
@pytest.mark.slow
def test_a_file_whose_name_is_no_utf8_is_told_of_in_escapes(home: Home, tmp_path: Path) -> None:
    name = "\udcff.yaml"
    (tmp_path / name).write_text("name: w\ntasks: [{name: a, type: noop}]\n")

    done = subprocess.run([*PROGRAM, "validate", name], cwd=tmp_path, capture_output=True)

    assert (done.returncode, done.stdout) == (0, b"\\udcff.yaml is fine: w, 1 task\n")


@pytest.mark.parametrize(("name", "code"), [("w.toml", 2), ("no/folder/w.yaml", 3)])
def test_a_first_workflow_that_cannot_be_written_says_why(
    call: Call, tmp_path: Path, name: str, code: int
) -> None:
    outcome = call("init", tmp_path / name)

    assert outcome.code == code
    assert outcome.err.count("\n") == 1


def test_the_settings_are_shown_with_where_they_come_from(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.conf.write_text("[worker]\nslots = 3\n")
    monkeypatch.setenv("STENELLA_WORKER__GROUPS", "big,default")

    document = call("config", "show", "--json").document

    assert document["worker.slots"] == {"value": 3, "origin": str(home.conf)}
    assert document["worker.groups"]["value"] == ["big", "default"]
    assert document["worker.groups"]["origin"] == "STENELLA_WORKER__GROUPS"
    lines = {line.split()[0]: line for line in call("config", "show", "--origin").out.splitlines()}
    assert lines["worker.slots"].split() == ["worker.slots", "3", str(home.conf)]
    assert "packaged conf.toml" not in call("config", "show").out


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    script = (
        'eval "$("$0" -m stenella completion bash)"; COMP_WORDS=("$@");'
        "COMP_CWORD=$(($#-1)); compopt() { :; }; stenella() { :; };"
        '_stenella_completion "$FAKE" ; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    program = folder / "stenella"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stenella "$@"\n')
    program.chmod(0o755)
    command = [
        "bash",
        "--norc",
        "-c",
        script.replace("$FAKE", str(program)),
        sys.executable,
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.live
@pytest.mark.slow
def test_bash_completes_commands_ids_tasks_and_workflows_from_the_home(
    home: Home, tmp_path: Path
) -> None:
    remember(home, WorkflowState.SUCCESS, WorkflowState.FAILURE)
    (tmp_path / "sales.yaml").touch()

    assert completed(tmp_path, "stenella", "comp") == ["completion"]
    assert completed(tmp_path, "stenella", "show", "") == ["last", "2", "1"]
    assert completed(tmp_path, "stenella", "logs", "1/") == ["1/a", "1/b", "1/c"]
    assert completed(tmp_path, "stenella", "run", "sa") == ["sales", "sales.yaml"]
    assert completed(tmp_path, "stenella", "logs", "7/") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_us(call: Call, shell: str) -> None:
    assert "_STENELLA_COMPLETE" in call("completion", shell).out


@pytest.mark.live
@pytest.mark.slow
def test_a_terminal_without_our_characters_gets_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "größe.yaml").write_text("name: größe\ntasks: []\n", encoding="utf-8")
    environment = {"PYTHONIOENCODING": "ascii", "STENELLA_HOME": str(tmp_path / "home")}

    done = subprocess.run(
        [*PROGRAM, "validate", "größe.yaml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
