"""Keys that come and go while the master runs."""

import time
from pathlib import Path

import pytest

from stenella.home import keyring
from stenella.home.keys import Role
from stenella.home.layout import Home, open_home
from stenella.runtime.key_table import CLIENTS, LOOK_AGAIN_S, PEERS_MAX, WORKERS, KeyTable
from stenella.runtime.zap import NotYet


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def issue(home: Home, role: Role = "worker", name: str = "far") -> bytes:
    made = keyring.issue(home, role, name, cluster="c1", address="tcp://h:7", now_s=1.0)
    return made.public.encode()


def test_a_new_key_is_good_at_once_at_the_door_of_its_role(home: Home) -> None:
    table = KeyTable(home)
    table._looked_s = 0.0
    key = issue(home)

    assert table.admit(key, WORKERS) == f"worker:far:{key.decode()}"
    assert table.admit(key, CLIENTS) is None
    table._looked_s = 0.0
    assert table.admit(b"?" * 40, WORKERS) is None


def test_a_key_that_was_issued_since_the_last_look_is_not_refused(home: Home) -> None:
    table = KeyTable(home)
    key = issue(home)

    table._looked_s = time.monotonic() + 60  # just now, however slow this machine is
    with pytest.raises(NotYet):
        table.admit(key, WORKERS)
    table._looked_s -= 60 + LOOK_AGAIN_S

    assert table.admit(key, WORKERS) is not None


def test_an_observer_comes_in_by_the_clients_door(home: Home) -> None:
    key = issue(home, "observer", "eye")

    assert KeyTable(home).admit(key, CLIENTS) == f"observer:eye:{key.decode()}"


def test_a_revoked_keys_connections_are_cut_off(home: Home) -> None:
    keys = [issue(home), issue(home, name="stays")]
    table = KeyTable(home)
    for key in keys:
        user_id = table.admit(key, WORKERS)
        assert user_id is not None
        assert table.holder(b"w" + key, user_id) is not None
    keyring.revoke(home, "far", 2.0)

    assert table.look() == [b"w" + keys[0]]
    assert table.look() == []
    assert table.holder(b"w" + keys[0], f"worker:far:{keys[0].decode()}") is None
    assert table.holder(b"w" + keys[1], f"worker:stays:{keys[1].decode()}") is not None
    assert list(table.cut) == [b"w" + keys[0]]


def test_the_memory_of_connections_is_bounded(home: Home) -> None:
    key = issue(home)
    table = KeyTable(home)
    user_id = table.admit(key, WORKERS)
    assert user_id is not None

    for number in range(PEERS_MAX + 10):
        table.holder(b"w%d" % number, user_id)

    keyring.revoke(home, "far", 2.0)
    assert len(table.look()) == PEERS_MAX
