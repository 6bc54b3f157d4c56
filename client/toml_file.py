"""TOML by the standard library's parser, with the line and column of what has a line of its own.

The parser tells places of syntax errors only, so keys and table headers are looked up in the text a
second time; what stands inside an inline table or an array is placed where that begins.
"""

import math
import re
import tomllib

from ..workflow.findings import Findings, Path, Place
from .document import DEPTH_MAX, INTEGER_DIGITS_MAX, Builder

#: The parser, in Python, makes all of it before anything can be counted, and takes a second for so
#: much: some 15,000 tasks. What has more was written by a program, which may write YAML or JSON.
TEXT_CHARS_MAX = 2 * 1024 * 1024
#: Strings and comments, an unfinished one to its line's or the text's end: what is blanked to look
#: at the structure alone. Each alternative takes its text in one go, whatever it holds.
_OPAQUE = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'[^'\n]*'?|\#[^\n]*",
    re.DOTALL,
)
_BETWEEN_KEYS = re.compile(r"[=,\[\]{}]")
_KEY = re.compile(r"[ \t]*([A-Za-z0-9_-]+(?:[ \t]*\.[ \t]*[A-Za-z0-9_-]+)*)[ \t]*=")
TOO_DEEP = f"more than {DEPTH_MAX} levels inside each other"
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_FIRST_LINE = re.compile(r"\[\[?[A-Za-z0-9_.-]+\]|[A-Za-z0-9_-]+[ \t]*=")


def looks_like_toml(text: str) -> bool:
    """Whether its first line, comments apart, is a key with its value or the head of a table."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return _FIRST_LINE.match(first) is not None


def read_toml(text: str, findings: Findings) -> object:
    """The document in ``text``; problems go to ``findings``, which learns to locate paths.

    Raises Unreadable when the rest cannot be read.
    """
    builder = Builder(findings)
    if len(text) > TEXT_CHARS_MAX:
        message = f"a TOML file has at most {TEXT_CHARS_MAX:,} characters; YAML and JSON take more"
        builder.give_up("too_large", message, None)
    bare = _OPAQUE.sub(_blank, text)
    if (line_no := _deep_line(bare)) is not None:
        builder.give_up("too_large", TOO_DEEP, (line_no, 1))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        told = str(error)
        at = _AT.search(told)
        line, column = (at[1], at[2]) if at else (None, None)
        place = (int(line), int(column)) if line and column else _place(text, len(text))
        message = told[: at.start()] + (": the text ends here" if not line else "") if at else told
        builder.give_up("syntax", message[:1].lower() + message[1:], place)
    except RecursionError:
        builder.give_up("too_large", TOO_DEEP, None)
    except ValueError:  # int() of some thousand digits
        builder.give_up("out_of_range", "a number does not fit into 64 bits", None)
    _Feeder(builder, _places(bare)).feed(document, (), (1, 1))
    return builder.value


class _Feeder:
    """Hands a parsed document to the builder."""

    def __init__(self, builder: Builder, places: dict[Path, Place]) -> None:
        self.builder = builder
        self.places = places

    def feed(self, value: object, path: Path, around: Place) -> None:
        at = self.places.get(path, around)
        match value:
            case dict():
                self.builder.open_mapping(at)
                for key, item in value.items():
                    here = self.places.get((*path, key), at)
                    self.builder.key(key, here)
                    self.feed(item, (*path, key), here)
                self.builder.close()
            case list():
                self.builder.open_list(at)
                for index, item in enumerate(value):
                    self.feed(item, (*path, index), at)
                self.builder.close()
            case int() if abs(value) >= 10**INTEGER_DIGITS_MAX:
                self.builder.unread("out_of_range", "the number does not fit into 64 bits", at)
            case float() if not math.isfinite(value):
                self.builder.unread("out_of_range", f"the number {value} is not finite", at)
            case str() | int() | float():
                self.builder.scalar(value, at)
            case _:  # a date or a time
                message = f"dates and times are text here: write '{value}' in quotes"
                self.builder.unread("wrong_type", message, at)


def _blank(opaque: re.Match[str]) -> str:
    """As long as it was, in as many lines; what could be a key stays out of sight."""
    return re.sub(r"[^\n]", " ", opaque[0])


def _deep_line(bare: str) -> int | None:
    """The first line with a key of too many parts: the parser takes the square of their number."""
    for number, line in enumerate(bare.split("\n"), start=1):
        dotted = _BETWEEN_KEYS.split(line) if line.count(".") >= DEPTH_MAX else []
        if any(key.count(".") >= DEPTH_MAX for key in dotted):
            return number
    return None


def _place(text: str, position: int) -> Place:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _places(bare: str) -> dict[Path, Place]:
    """Where the tables and keys stand that begin a line."""
    places: dict[Path, Place] = {}
    last: dict[Path, int] = {}  # arrays of tables → index of the newest
    table: Path = ()
    depth = 0  # of the brackets that a value has left open
    for number, line in enumerate(bare.split("\n"), start=1):
        head = line.lstrip(" \t")
        if depth == 0 and head.startswith("["):
            at = (number, len(line) - len(head) + 1)
            is_array = head.startswith("[[")
            table = _resolved((), head.lstrip("[").partition("]")[0], last, stop=is_array)
            places.setdefault(table, at)
            if is_array:
                last[table] = last.get(table, -1) + 1
                table = (*table, last[table])
                places.setdefault(table, at)
            continue
        if depth == 0 and (key := _KEY.match(line)):
            path = _resolved(table, key[1], last, stop=True)
            at = (number, key.start(1) + 1)
            for length in range(len(table) + 1, len(path) + 1):
                places.setdefault(path[:length], at)
        depth += sum(map(line.count, "[{")) - sum(map(line.count, "]}"))
    return places


def _resolved(table: Path, dotted: str, last: dict[Path, int], stop: bool) -> Path:
    """The path of a dotted key; an array of tables on its way means its newest table."""
    path = table
    parts = [part.strip() for part in dotted.split(".")]
    for place, part in enumerate(parts, start=1):
        path = (*path, part)
        if path in last and not (stop and place == len(parts)):
            path = (*path, last[path])
    return path
