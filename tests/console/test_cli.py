"""How commands end: exit codes, where errors are told, and what a command costs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import stenella
from stenella import cli
from stenella.bench.figures import BENCHES
from stenella.home.layout import Home

from .conftest import Call

PROGRAM = [sys.executable, "-m", "stenella"]


def leaves(command: click.Command, *words: str) -> dict[tuple[str, ...], click.Command]:
    """Every command that does something, by its words."""
    if not isinstance(command, click.Group):
        return {words: command}
    ctx = click.Context(command)
    found: dict[tuple[str, ...], click.Command] = {}
    for name in command.list_commands(ctx):
        child = command.get_command(ctx, name)
        assert child is not None
        found |= leaves(child, *words, name)
    return found


COMMANDS = """
bench all
bench compare
bench soak
completion
config show
debug bundle
debug dead-letters drop
debug dead-letters list
debug dead-letters retry
debug dead-letters show
debug mailboxes
debug peek
debug trace
doctor
down
explain
import wfformat
init
key ls
key new
key revoke
kill
logs
ls
master start
plan
run
schema
show
status
stop
submit
up
validate
version
wait
watch
worker drain
worker ls
worker resize
worker restart
worker resume
worker rm
worker start
"""


def test_every_command_of_this_version_is_there() -> None:
    measured = [f"bench {name}" for name in BENCHES]

    assert sorted(" ".join(words) for words in leaves(cli.stenella)) == sorted(
        [*COMMANDS.strip().splitlines(), *measured]
    )


@pytest.mark.parametrize("words", leaves(cli.stenella))
def test_the_help_of_a_command_has_one_example(words: tuple[str, ...], call: Call) -> None:
    outcome = call(*words, "--help")

    assert outcome.code == 0
    assert outcome.out.count("Example: stenella " + " ".join(words)) == 1


@pytest.mark.parametrize("words", leaves(cli.stenella))
def test_every_option_of_a_command_says_what_it_is(words: tuple[str, ...]) -> None:
    options = [one for one in leaves(cli.stenella)[words].params if isinstance(one, click.Option)]

    assert [option.name for option in options if not option.help] == []


def test_the_version_is_the_packages(call: Call) -> None:
    assert call("version").out == f"stenella {stenella.__version__}\n"
    assert call("version", "--json").document == {"version": stenella.__version__}


@pytest.mark.parametrize(
    "line",
    [
        "bogus",
        "ls --bogus",
        "ls --limit 0",
        "show",
        "show x",
        "show 0",
        "show 7/",
        "show 7/a",
        "logs last/",
        "wait 1 --timeout 5",
        "down --wait soon",
        "down --wait 1s --keep",
        "worker drain worker-1 --timeout 1s",
        "debug trace last",
    ],
)
def test_what_makes_no_sense_is_a_usage_error(line: str, call: Call) -> None:
    outcome = call(*line.split())

    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("stenella: ")
    assert outcome.err.count("\n") == 1


def test_a_usage_error_is_a_document_where_documents_are_wanted(call: Call) -> None:
    outcome = call("show", "x", "--json")

    assert outcome.code == 2
    assert outcome.err == ""
    assert outcome.document["error"]["code"] == "usage"


def test_a_group_before_its_command_takes_no_json(call: Call) -> None:
    outcome = call("debug", "dead-letters", "--json", "list")

    assert outcome.code == 2
    assert "dead-letters list … --json" in outcome.document["error"]["message"]


def test_an_error_about_a_name_that_is_no_utf8_is_a_document(call: Call) -> None:
    outcome = call("validate", "\udcff.yaml", "--json")

    assert outcome.code == 3
    assert json.loads(outcome.out)["error"]["message"] == "there is no file \udcff.yaml"


@pytest.mark.parametrize(
    "line", ["status", "stop 1", "stop last", "kill 1/a", "debug mailboxes", "submit {file}"]
)
def test_what_needs_a_cluster_says_how_to_start_one(line: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("name: w\ntasks: [{name: a, type: noop}]\n")

    outcome = call(*line.format(file=tmp_path / "w.yaml").split())

    assert outcome.code == 5
    assert "stenella up --detach" in outcome.err
    assert outcome.err.count("\n") == 1


def test_where_nothing_is_up_nothing_is_taken_down_and_nobody_is_told_to_start_it(
    call: Call,
) -> None:
    outcome = call("down")

    assert outcome.code == 5
    assert "nothing to take down" in outcome.err
    assert "stenella up" not in outcome.err


def test_a_home_that_is_a_file_is_told_as_such(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    monkeypatch.setenv("STENELLA_HOME", str(file))

    for words in ((), ("ls",), ("doctor",)):
        outcome = call(*words)
        assert (outcome.code, outcome.err.count("STENELLA_HOME")) == (8, 1)


def test_a_home_that_others_can_read_is_not_used(call: Call, home: Home) -> None:
    home.root.chmod(0o755)

    outcome = call("ls")

    assert outcome.code == 8
    assert "chmod 700" in outcome.err


def test_a_wrong_setting_is_a_usage_error(call: Call, home: Home) -> None:
    home.conf.write_text("[worker]\nslotz = 1\n")

    outcome = call("master", "start")

    assert outcome.code == 2
    assert "worker.slots" in outcome.err


def modules_after(arguments: str) -> set[str]:
    program = (
        "import sys; from stenella import cli; cli.perform(sys.argv[1:]);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *arguments.split()]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


@pytest.mark.live
@pytest.mark.slow
def test_the_version_loads_no_library_but_clicks_and_msgspec() -> None:
    heavy = {"gevent", "peewee", "sqlite3", "zmq", "yaml", "rich", "psutil"}

    assert not modules_after("version") & heavy


@pytest.mark.live
@pytest.mark.slow
def test_a_reading_loads_neither_gevent_nor_rich(home: Home) -> None:
    heavy = {"gevent", "rich", "psutil", "peewee", "zmq", "yaml"}

    assert not modules_after("ls") & heavy
    assert not modules_after("") & heavy


@pytest.mark.live
@pytest.mark.slow
def test_all_of_the_help_loads_neither_gevent_nor_a_database() -> None:
    assert not modules_after("--help") & {"gevent", "peewee", "sqlite3"}


@pytest.mark.live
@pytest.mark.slow
def test_a_reader_that_leaves_early_gets_no_traceback(home: Home) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)

    with os.fdopen(write_end, "wb") as broken:
        ended = subprocess.run([*PROGRAM, "ls"], stdout=broken, stderr=subprocess.PIPE, text=True)

    assert ended.stderr == ""
    assert ended.returncode == 141


@pytest.mark.live
@pytest.mark.slow
def test_public_names_of_the_package_are_there_when_asked_for() -> None:
    for name in stenella.__all__:
        assert getattr(stenella, name) is not None
    assert stenella.Refused.exit_code == 6
    with pytest.raises(AttributeError):
        _ = stenella.bogus


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", [["version"], ["version", "--json"], ["--help"], ["show", "9", "--json"]], ids=" ".join
)
def test_a_full_disk_below_stdout_is_no_bug(home: Home, words: list[str], unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
        )

    assert ended.returncode == 6
    assert ended.stderr.startswith("stenella: its output cannot be written: No space left")
    assert ended.stderr.count("\n") == 1


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code"),
    [("version >&-", 0), ("version >&- 2>&- <&-", 0), ("show 9 >&-", 3), ("validate - <&-", 4)],
)
def test_a_stream_that_is_closed_is_as_good_as_none(home: Home, line: str, code: int) -> None:
    shell = ["bash", "-c", f'"$0" -m stenella {line}', sys.executable]
    ended = subprocess.run(shell, stderr=subprocess.PIPE, text=True)

    assert ended.returncode == code
    assert "bug" not in ended.stderr
