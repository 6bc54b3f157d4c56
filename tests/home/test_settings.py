"""Settings: one source of defaults, three layers, nothing misspelt gets through."""

import tomllib
from pathlib import Path

import pytest

import stenella
from stenella.home.layout import Home
from stenella.home.settings import PACKAGED, TYPES, load
from stenella.protocol.errors import Usage

PACKAGED_TEXT = (Path(stenella.__file__).parent / "conf.toml").read_text(encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def refusal(home: Home, text: str) -> str:
    home.conf.write_text(text, encoding="utf-8")
    with pytest.raises(Usage) as caught:
        load(home, {})
    assert str(home.conf) in caught.value.message
    return caught.value.message


def test_the_packaged_file_holds_every_key_and_no_other() -> None:
    document = tomllib.loads(PACKAGED_TEXT)

    assert {f"{section}.{key}" for section in document for key in document[section]} == set(TYPES)


def test_every_packaged_key_has_its_reason_above() -> None:
    lines = PACKAGED_TEXT.splitlines()
    keys = [number for number, line in enumerate(lines) if " = " in line and line[0] != "#"]

    bare = [lines[n] for n in keys if not lines[n - 1].startswith("#") and n - 1 not in keys]
    assert len(keys) == len(TYPES)
    assert bare == []


def test_a_home_without_a_file_has_the_defaults(home: Home) -> None:
    settings = load(home, {})

    assert settings.cluster.heartbeat_s == 2
    assert settings.worker.groups == ("default",)
    assert set(settings.origins.values()) == {PACKAGED}


def test_the_homes_file_wins_over_the_packaged_one(home: Home) -> None:
    home.conf.write_text('[worker]\nslots = 3\ngroups = ["big"]\n', encoding="utf-8")

    settings = load(home, {})

    assert (settings.worker.slots, settings.worker.groups) == (3, ("big",))
    assert settings.origins["worker.slots"] == str(home.conf)
    assert settings.origins["worker.drain_s"] == PACKAGED


def test_a_variable_wins_over_the_homes_file(home: Home) -> None:
    home.conf.write_text("[worker]\nslots = 3\n", encoding="utf-8")

    settings = load(home, {"STENELLA_WORKER__SLOTS": "5"})

    assert settings.worker.slots == 5
    assert settings.origins["worker.slots"] == "STENELLA_WORKER__SLOTS"


def test_a_list_in_a_variable_has_commas() -> None:
    assert load(None, {"STENELLA_WORKER__GROUPS": "a,b"}).worker.groups == ("a", "b")


def test_a_variable_that_is_no_setting_is_let_be() -> None:
    assert load(None, {"STENELLA_HOME": "/x", "OTHER__KEY": "1"}) == load(None, {})


def test_no_slots_means_one_for_each_core() -> None:
    assert load(None, {"STENELLA_WORKER__SLOTS": "0"}).worker.slot_count() >= 1
    assert load(None, {"STENELLA_WORKER__SLOTS": "7"}).worker.slot_count() == 7


def test_an_unknown_key_is_refused_with_the_nearest(home: Home) -> None:
    message = refusal(home, "[worker]\nslot = 3\n")

    assert "unknown key worker.slot; did you mean worker.slots?" in message


def test_an_unknown_section_is_refused_with_the_nearest(home: Home) -> None:
    assert "unknown section [workers]; did you mean worker?" in refusal(home, "[workers]\n")


def test_a_key_in_place_of_a_section_is_refused(home: Home) -> None:
    assert "write [worker]" in refusal(home, "worker = 3\n")


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("worker", 'slots = "3"'),
        ("worker", "slots = -1"),
        ("worker", "slots = true"),
        ("worker", "groups = []"),
        ("worker", 'groups = "default"'),
        ("worker", 'groups = ["a b"]'),
        ("worker", 'journal_sync = "off"'),
        ("worker", "drain_s = nan"),
        ("master", 'client_endpoint = "http://127.0.0.1:80"'),
        ("master", 'client_endpoint = "tcp://127.0.0.1"'),
        ("cluster", "heartbeat_s = 0"),
        ("node", "peer_frames_max = 0"),
    ],
)
def test_a_wrong_value_is_refused_by_key(home: Home, section: str, line: str) -> None:
    assert f"{section}.{line.split()[0]}" in refusal(home, f"[{section}]\n{line}\n")


@pytest.mark.parametrize("text", ["[worker\n", "[worker]\nslots = 1\nslots = 2\n"])
def test_what_is_not_toml_is_refused_with_its_line(home: Home, text: str) -> None:
    assert "line" in refusal(home, text)


def test_what_is_not_text_is_refused(home: Home) -> None:
    home.conf.write_bytes(b"\xff\xfe")

    with pytest.raises(Usage, match="is not TOML"):
        load(home, {})


def test_a_misspelt_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(Usage, match="STENELLA_WORKER__SLOT; did you mean STENELLA_WORKER__SLOTS"):
        load(None, {"STENELLA_WORKER__SLOT": "3"})


def test_a_wrong_value_in_a_variable_names_the_variable() -> None:
    with pytest.raises(Usage, match=r"STENELLA_WORKER__SLOTS: worker\.slots = 'many'"):
        load(None, {"STENELLA_WORKER__SLOTS": "many"})


def test_a_lease_that_one_lost_heartbeat_would_end_is_refused(home: Home) -> None:
    told = refusal(home, "[cluster]\nlease_s = 5.9\n")

    assert "cluster.lease_s = 5.9" in told
    assert "cluster.heartbeat_s = 2" in told
