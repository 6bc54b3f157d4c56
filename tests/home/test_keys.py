"""Keys are made once, are ours alone, and each stands for one role."""

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stenella.home.keys import KeyPair, client_keys, read, server_keys, worker_keys
from stenella.home.layout import Home, open_home
from stenella.protocol.errors import NotAllowed, Usage


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.mark.parametrize("keys_of", [server_keys, client_keys])
def test_a_key_is_made_once(home: Home, keys_of: Callable[[Home], KeyPair]) -> None:
    first = keys_of(home)

    assert keys_of(home) == first
    assert (len(first.public), len(first.secret)) == (40, 40)


def test_starts_at_once_share_one_key(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: server_keys(home), range(8)))

    assert len(found) == 1


def test_key_files_are_private(home: Home) -> None:
    server_keys(home)
    client_keys(home)
    worker_keys(home, 1)

    for path in (*home.keys.iterdir(), home.worker(1).key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_is_not_shown(home: Home) -> None:
    pair = server_keys(home)

    assert pair.secret.decode() not in repr(pair)


def test_a_key_open_to_others_is_refused_with_the_mend(home: Home) -> None:
    server_keys(home)
    (home.keys / "server").chmod(0o640)

    with pytest.raises(NotAllowed, match=f"chmod 600 {home.keys / 'server'}"):
        server_keys(home)


def test_a_key_in_an_open_folder_is_refused_with_the_mend(home: Home) -> None:
    worker_keys(home, 1)
    home.worker(1).folder.chmod(0o755)

    with pytest.raises(NotAllowed, match=f"chmod 700 {home.worker(1).folder}"):
        read(home.worker(1).key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"role": "king", "name": "x", "public": "", "secret": ""}',
        '{"role": "master", "name": "x", "public": "é", "secret": ""}',
        '{"role": "master", "name": "x", "public": "a", "secret": "b"}',
        '{"role": "master", "name": "x", "public": "a", "secret": "%s"}' % ("~" * 40),
    ],
)
def test_a_damaged_key_is_refused_by_name(home: Home, text: str) -> None:
    path = home.keys / "server"
    server_keys(home)
    path.write_text(text, encoding="utf-8")

    with pytest.raises(Usage, match=f"{path} is damaged"):
        server_keys(home)


def test_halves_of_two_keys_are_refused(home: Home) -> None:
    path = home.keys / "server"
    server, other = server_keys(home), client_keys(home)
    path.write_bytes(path.read_bytes().replace(server.public, other.public))

    with pytest.raises(Usage, match="do not belong together"):
        server_keys(home)
