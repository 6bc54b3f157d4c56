"""The corpus: definitions that are taken and definitions that are refused, as small files.

``corpus/good.txt`` and ``corpus/bad.txt`` hold them one after the other, each below a line
``=== title`` or ``=== rule [-> suggestion] [loader]: title``. ``loader``: only a loader can know,
so the schema takes it.
"""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "corpus"
_HEAD = re.compile(
    r"(?P<rule>\w+)(?: -> (?P<suggestion>.+?))?(?P<loader> loader)?: (?P<title>[^:]+)"
)


class Bad(NamedTuple):
    """A definition that must be refused."""

    title: str
    text: str
    rule: str
    suggestion: str | None
    loader_only: bool

    @property
    def suffix(self) -> str:
        return suffix(self.text)


def suffix(text: str) -> str:
    """Of a file with this text."""
    return ".json" if text.startswith(('{"', "{n")) else ".yaml"


def sections(name: str) -> list[tuple[str, str]]:
    """Head and text of each."""
    parts = re.split(r"^=== (.+)\n", (FOLDER / name).read_text(encoding="utf-8"), flags=re.M)
    return list(zip(parts[1::2], parts[2::2], strict=True))


GOOD = sections("good.txt")
BAD = []
for _head, _text in sections("bad.txt"):
    _found = _HEAD.fullmatch(_head)
    assert _found is not None, _head
    BAD.append(
        Bad(_found["title"], _text, _found["rule"], _found["suggestion"], bool(_found["loader"]))
    )
