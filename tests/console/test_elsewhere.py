"""$STENELLA_KEY names a cluster elsewhere: what is asked there, and what is about the home."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stenella.console import completion
from stenella.home import endpoints, keyring
from stenella.home.endpoints import MasterEndpoints
from stenella.home.layout import Home, open_home
from stenella.protocol.states import WorkflowState

from ..client.door import CLUSTER
from .conftest import Call
from .playing import WORKFLOW, Playing
from .test_beginning import remember

pytestmark = pytest.mark.live

LETTER = {"id": 1, "quarantined": True, "workflow_instance_id": 7, "reason": "its rows crashed"}


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Playing]:
    """A cluster of another home."""
    playing = Playing(open_home(tmp_path / "there"), "SUCCESS")
    yield playing
    playing.close()


@pytest.fixture
def key(home: Home, there: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one that commands of this test go there with."""
    door = there.door
    made = keyring.issue(
        door.home, "client", "ci", cluster=CLUSTER, address=door.endpoint, now_s=0.0
    )
    path = tmp_path / "c.key"
    path.write_bytes(msgspec.json.encode(made))
    path.chmod(0o600)
    monkeypatch.setenv("STENELLA_KEY", str(path))
    return path


def test_alone_it_tells_of_the_cluster_that_is_named(call: Call, key: Path, home: Home) -> None:
    remember(home, WorkflowState.SUCCESS)

    document, text = call("--json").document, call().out

    assert (document["cluster"], document["elsewhere"]) == ("up", f"STENELLA_KEY={key}")
    assert [one["workflow_instance_id"] for one in document["instances"]] == [7]
    assert document["next"][0] == "stenella watch 7"
    assert f"elsewhere: STENELLA_KEY={key}" in text
    assert "up: 1 worker, 1 of 2 slots free" in text


def test_alone_it_says_why_the_cluster_that_is_named_cannot_be_asked(
    call: Call, key: Path, there: Playing
) -> None:
    there.close()

    outcome = call()

    assert outcome.code == 5
    assert "STENELLA_MASTER" in outcome.err
    assert "stenella up" not in outcome.err


def test_a_first_workflow_is_submitted_there(
    call: Call, key: Path, there: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.cluster.listed = False
    (tmp_path / "workflow.yaml").write_text(WORKFLOW)
    monkeypatch.chdir(tmp_path)

    command = call("--json").document["next"][0]

    assert command == "stenella submit workflow.yaml --wait"
    assert call(*command.split()[1:], "-p", "day=1").code == 0


@pytest.mark.parametrize("words", [["nightly"], ["w.yaml", "-p", "day=1"], ["--", "ls"]])
def test_a_run_is_of_a_home_and_refused(
    call: Call, key: Path, there: Playing, words: list[str]
) -> None:
    outcome = call("run", *words)

    assert outcome.code == 2
    assert f"STENELLA_KEY={key}" in outcome.err
    assert "stenella submit --wait" in outcome.err
    assert there.door.requests == []


def test_dead_letters_elsewhere_are_not_the_doctors_business(
    call: Call, key: Path, there: Playing, home: Home
) -> None:
    remember(home, WorkflowState.SUCCESS)
    there.cluster.letters = [LETTER]

    rows = call("doctor", "--json").document

    assert [row["state"] for row in rows if row["check"] == "letters"] == ["ok"]
    assert there.door.requests == []
    assert len(call("debug", "dead-letters", "--json").document) == 1


def test_a_shell_is_not_offered_the_ids_of_the_home(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(home, WorkflowState.SUCCESS)
    assert [item.value for item in completion.instance_ids("")] == ["last", "1"]

    monkeypatch.setenv("STENELLA_KEY", "c.key")

    assert completion.instance_ids("") == []


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_new_key_is_a_document(call: Call, home: Home, more: list[str]) -> None:
    endpoints.write(home, MasterEndpoints(1, 1, "tcp://10.0.0.1:7", "tcp://10.0.0.1:8", "", "c1"))

    made = call("key", "new", "client", *more).document

    assert (made["role"], made["address"]) == ("client", "tcp://10.0.0.1:7")
