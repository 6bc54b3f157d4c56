"""The example in every command's help, given to a real cluster as it stands there."""

import json
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from stenella import cli
from stenella.bench.figures import TABLE

from ..docs.commands_page import helps
from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

EXAMPLES = [
    found[1] for _words, text in helps() for found in re.finditer(r"Example: stenella (.+)", text)
]
WITHOUT = [words for words, text in helps() if "Example: stenella " not in text]
UP = "up --workers 2 --detach"  # its child stays, so it is no call in this process
FIRST = [
    "submit job.sh --retry 2 --wait",
    "run nightly.yaml -p day=2026-01-31",  # what `last` is for all that follows
]
LAST = ["worker rm worker-2", "down --wait 5m"]
#: They stay in the foreground.
SERVICES = ["master start", "worker start --number 2 --slots 4 --group big"]
#: What an example names may not be there: 3. What it asks for may be refused in that state: 6.
MAY_END_WITH = {0, 3, 6}
SUCCEED = {"run", "submit", "up", "down", "show", "ls", "status", "logs", "plan", "watch", "wait"}

NIGHTLY = """\
name: nightly
params: {day: {type: string}}
tasks:
  - {name: extract, script: 'echo "extracting $day"', outputs: []}
"""
JOB = "#!/bin/sh\n#STENELLA --name job\necho done\n"
TRACE = Path(__file__).parents[1] / "client" / "traces" / "montage-like.json"


def test_every_help_has_an_example() -> None:
    assert WITHOUT == [("stenella",)]  # it lists the commands, and says with which to begin


def is_bench(example: str) -> bool:
    return example.startswith("bench ")


@pytest.fixture
def folder(home: LiveHome, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what the examples name is there; commands of this process use the test's home."""
    for name in [name for name in home.environment if name.startswith("STENELLA_")]:
        monkeypatch.setenv(name, home.environment[name])
    work = home.folder / "work"
    (work / "empty").mkdir(parents=True)
    (work / "nightly.yaml").write_text(NIGHTLY)
    (work / "job.sh").write_text(JOB)
    shutil.copy(TRACE, work / "montage.json")
    monkeypatch.chdir(work)
    return work


def test_every_example_of_a_help_does_what_it_says(
    home: LiveHome, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [e for e in EXAMPLES if not is_bench(e) and e not in (UP, *FIRST, *LAST, *SERVICES)]
    assert "worker-2" in home.run(*shlex.split(UP))

    for example in (*FIRST, *others, *LAST):
        monkeypatch.chdir(folder / "empty" if example.startswith("init") else folder)
        code = cli.perform(shlex.split(example))
        said = capfd.readouterr()
        allowed = {0} if example.split()[0] in SUCCEED else MAY_END_WITH
        assert code in allowed, (example, code, said)
        assert said.out or said.err, example
        assert "Traceback" not in said.err, example


def is_there(home: LiveHome, pid: int) -> bool:
    """Whether a master or worker is the process ``pid``."""
    if not (home.root / "run" / "endpoints.json").exists():
        return False
    document = home.json("status")
    return pid in [one["pid"] for one in (*document["masters"], *document["workers"])]


@pytest.mark.parametrize("example", SERVICES)
def test_the_example_of_a_service_starts_one_that_ends_when_it_is_told(
    home: LiveHome, folder: Path, example: str
) -> None:
    assert example in EXAMPLES
    if example.startswith("worker"):
        home.run("up", "--workers", "1", "--detach")
    service = home.start(*shlex.split(example))
    until(lambda: is_there(home, service.pid), f"{example} has begun")

    if example.startswith("worker"):  # the whole cluster, else its warden waits for 30 s
        home.run("down", "--wait", "0s")
    else:
        service.send_signal(signal.SIGTERM)
    said, _ = service.communicate(timeout=30)

    assert "Traceback" not in said
    assert service.returncode in (0, 143)


def test_the_example_of_all_benchmarks_measures_each_as_its_own_example_says(
    home: LiveHome, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    [example] = [one for one in EXAMPLES if one.startswith("bench all")]
    assert cli.perform(shlex.split(example)) == 0

    path = folder / shlex.split(example)[2]
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    assert [document["bench"] for document in documents] == [bench.name for bench in TABLE]
    for document in documents:
        for figure in (document, *document["further"].values()):
            assert figure["min"] <= figure["figure"] <= figure["max"]
    for name in ("before.json", "after.json"):
        shutil.copy(path, folder / name)
    capfd.readouterr()
    [compare] = [one for one in EXAMPLES if one.startswith("bench compare")]
    assert cli.perform(shlex.split(compare)) == 0
    assert len(capfd.readouterr().out.splitlines()) >= len(documents)


def test_the_example_of_a_soak_loses_nothing_and_leaves_its_evidence(
    home: LiveHome, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    [example] = [one for one in EXAMPLES if one.startswith("bench soak")]
    assert cli.perform(shlex.split(example)) == 0

    told = "holds", "does not hold: "  # half a second to an interval is too short for slopes
    assert capfd.readouterr().out.startswith(told)
    lines = (folder / shlex.split(example)[2]).read_text().splitlines()
    first, *measured, account, verdict = map(json.loads, lines)
    assert first["most_per_s"] > 0
    assert [set(line["processes"]) for line in measured] == [
        {"supervisor", "master", "worker-1", "worker-2", "warden-1", "warden-2", "soak"}
    ] * 12
    assert account["account"]["lost"] == account["account"]["doubled"] == 0
    assert verdict["verdict"]["account"] == account["account"]
    assert verdict["verdict"]["well"]
