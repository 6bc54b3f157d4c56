"""Who may connect: the home's own keys and those it issued, as long as they are not revoked."""

import os
from pathlib import Path

import msgspec
import pytest

from stenella.home import keyring, keys
from stenella.home.keys import KeyFile, Role, client_keys, server_keys, worker_keys
from stenella.home.layout import Home, open_home
from stenella.protocol.errors import NotAllowed, NotFound, RefusedInState, Usage

NOW_S = 1_764_000_000.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Home:
    return open_home(tmp_path / "elsewhere")


def issue(home: Home, role: Role, name: str | None) -> KeyFile:
    return keyring.issue(home, role, name, cluster="c1", address="tcp://10.0.0.1:7", now_s=NOW_S)


def holders(home: Home) -> list[tuple[str, str]]:
    return [(holder.role, holder.name) for holder in keyring.authorised(home).values()]


def issued_file(home: Home, folder: Path, role: Role = "worker", name: str = "far") -> Path:
    """A key on its way to another machine."""
    path = folder / "far.key"
    path.write_bytes(msgspec.json.encode(issue(home, role, name)))
    path.chmod(0o600)
    return path


def test_the_table_has_the_homes_clients_and_workers_and_not_the_server(home: Home) -> None:
    server, client, worker = server_keys(home), client_keys(home), worker_keys(home, 3)

    table = keyring.authorised(home)

    assert server.public not in table
    assert table[client.public].user_id == f"client:admin:{client.public.decode()}"
    assert holders(home) == [("client", "admin"), ("worker", "worker-3")]
    assert table[worker.public].name == "worker-3"


def test_an_issued_key_is_in_the_table_until_it_is_revoked(home: Home) -> None:
    before = keyring.signature(home)
    made = issue(home, "observer", "eye")
    issued = keyring.signature(home)

    assert keyring.authorised(home)[made.public.encode()].role == "observer"
    keyring.revoke(home, "eye", NOW_S + 5)

    assert holders(home) == []
    assert len({before, issued, keyring.signature(home)}) == 3
    assert [(record.name, record.revoked_at) for record in keyring.issued(home)] == [
        ("eye", NOW_S + 5)
    ]


def test_records_are_looked_at_one_by_one_only_while_their_folder_is_young(home: Home) -> None:
    issue(home, "client", "ci")
    young = keyring.signature(home)
    os.utime(home.keys / "issued", ns=(0, 0))

    settled = keyring.signature(home)
    keyring.revoke(home, "ci", NOW_S)

    assert len(settled) == len(young) - 1
    assert keyring.signature(home) not in (young, settled)


def test_the_secret_half_stays_with_its_holder(home: Home) -> None:
    made = issue(home, "client", "ci")

    [record] = (home.keys / "issued").iterdir()
    assert made.secret not in record.read_text()
    assert record.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "x" * 65, "a b", "é"])
def test_what_is_no_name_is_refused(home: Home, name: str) -> None:
    if not name:
        assert issue(home, "worker", None).name.startswith("worker-")
        return
    with pytest.raises(Usage, match="is no name"):
        issue(home, "worker", name)


@pytest.mark.parametrize("name", ["master", "admin", "worker-1", "gone", "there"])
def test_a_name_is_given_once(home: Home, name: str) -> None:
    issue(home, "worker", "there")
    issue(home, "worker", "gone")
    keyring.revoke(home, "gone", NOW_S)

    with pytest.raises(RefusedInState, match="is or was taken"):
        issue(home, "worker", name)


def test_only_an_issued_key_is_revoked(home: Home) -> None:
    with pytest.raises(NotFound, match="no key 'far'"):
        keyring.revoke(home, "far", NOW_S)
    with pytest.raises(RefusedInState, match="a key of this home itself"):
        keyring.revoke(home, "worker-1", NOW_S)


def test_a_damaged_or_open_key_lets_nobody_in_and_the_others_still_do(home: Home) -> None:
    client_keys(home)
    worker_keys(home, 1)
    worker_keys(home, 2)
    home.worker(1).key.write_text("{")
    home.worker(2).key.chmod(0o644)
    (home.keys / "issued").mkdir()
    (home.keys / "issued" / "x.json").write_text("[]")

    assert holders(home) == [("client", "admin")]


def test_a_worker_elsewhere_joins_with_its_key_and_is_no_worker_of_its_own_home(
    home: Home, elsewhere: Home, tmp_path: Path
) -> None:
    keys.join(elsewhere, 1, issued_file(home, tmp_path), None)
    pair = worker_keys(elsewhere, 1)

    assert (pair.name, pair.cluster, pair.address) == ("far", "c1", "tcp://10.0.0.1:7")
    assert pair.server == server_keys(home).public
    assert holders(elsewhere) == []
    keys.join(elsewhere, 1, tmp_path / "far.key", "tcp://10.0.0.2:7")  # the master has moved
    assert worker_keys(elsewhere, 1).address == "tcp://10.0.0.2:7"


def test_a_folder_of_another_worker_is_not_taken(
    home: Home, elsewhere: Home, tmp_path: Path
) -> None:
    worker_keys(elsewhere, 1)

    with pytest.raises(RefusedInState, match=r"belongs to worker-1.*another --number"):
        keys.join(elsewhere, 1, issued_file(home, tmp_path), "tcp://10.0.0.1:7")


@pytest.mark.parametrize("role", ["client", "observer"])
def test_b40_a_key_of_another_role_or_for_all_to_read_is_refused(
    home: Home, elsewhere: Home, tmp_path: Path, role: Role
) -> None:
    path = issued_file(home, tmp_path, role)

    with pytest.raises(NotAllowed, match=f"is the key of an? {role}"):
        keys.join(elsewhere, 1, path, "tcp://10.0.0.1:7")
    path.chmod(0o644)
    with pytest.raises(NotAllowed, match="chmod 600"):
        keys.join(elsewhere, 1, path, "tcp://10.0.0.1:7")


def test_a_homes_own_key_is_not_for_elsewhere(home: Home, elsewhere: Home) -> None:
    worker_keys(home, 1)

    with pytest.raises(Usage, match="a home's own key"):
        keys.join(elsewhere, 1, home.worker(1).key, "tcp://10.0.0.1:7")
    with pytest.raises(NotFound, match="no key file"):
        keys.join(elsewhere, 1, home.root / "none", "tcp://10.0.0.1:7")


def test_a_key_file_says_all_that_its_holder_needs(home: Home) -> None:
    made = issue(home, "client", "ci")

    assert made == KeyFile(
        role="client",
        name="ci",
        public=made.public,
        secret=made.secret,
        server=server_keys(home).public.decode(),
        cluster="c1",
        address="tcp://10.0.0.1:7",
    )
