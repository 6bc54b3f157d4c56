"""The documents of docs/programs.md have the keys that are described."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ..live.home import LiveHome
from .document import ROOT, tables

PAGE = ROOT / "docs" / "programs.md"
_KEY = re.compile(r'"(\w+)"')
_CODE = re.compile(r"`([^`]+)`")

#: In this order; each after `stenella` and with --json, what it ends with in brackets.
SAID = [
    ("init first.yaml", 0),
    ("up --workers 1 --detach", 0),
    ("validate one.json", 0),
    ("plan one.json", 0),
    ("run one.json", 1),
    ("show last", 0),
    ("wait last", 1),
    ("ls", 0),
    ("logs last", 0),
    ("debug trace last/one", 0),
    ("debug mailboxes", 0),
    ("status", 0),
    ("worker ls", 0),
    ("worker resize worker-1 3", 0),
    ("worker drain worker-1", 0),
    ("worker resume worker-1", 0),
    ("", 0),
    ("key new client --name c", 0),
    ("key ls", 0),
    ("key revoke c", 0),
    ("version", 0),
    ("submit waits.json", 0),
    ("explain last", 0),
    ("kill last/one", 0),
    ("submit waits.json", 0),
    ("stop last", 0),
]


def described() -> dict[str, set[str]]:
    """What stands in the first column → the keys of the second."""
    found = {}
    for name, document in tables(PAGE, "Documents"):
        if keys := _KEY.findall(document):
            for command in _CODE.findall(name):
                found[command] = set(keys)
    return found


def keys(document: Any) -> set[str]:
    """Of a document, or of those in a list."""
    rows = document if isinstance(document, list) else [document]
    assert rows
    return {key for row in rows for key in row}


@pytest.mark.live
@pytest.mark.slow
def test_documents_have_the_keys_that_are_described(tmp_path: Path) -> None:
    home = LiveHome(tmp_path)
    home.definition("one", [{"name": "one", "script": "exit 3"}])
    home.definition("waits", [{"name": "one", "script": "true", "worker_group": "none"}])
    expected = described()
    expected["worker ls"] = expected["workers"]
    expected["ls"] = expected["show"] - {"tasks"}
    expected["key revoke"] = expected["key ls"]
    expected["debug mailboxes"] |= expected["wire"] | expected["storage"]
    try:
        for words, code in SAID:
            document = home.json(*shlex.split(words), code=code)
            named = words or "stenella"
            command = next(name for name in expected if named.startswith(name))
            assert keys(document) == expected[command], words
            for part in ("tasks", "causes", "masters", "workers"):
                if isinstance(document, dict) and isinstance(document.get(part), list):
                    assert keys(document[part]) == expected[part], (words, part)
        ended = home.json("explain", "1/one")
        assert keys(ended) == expected["explain"] | {"task"}
        assert {"task", *ended["task"]} == expected["explain ID/TASK"]
    finally:
        home.run("down", "--wait", "0s")
