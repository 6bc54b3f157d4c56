"""JSON, strictly as RFC 8259 has it, with the line and column of every key and item.

Not the stdlib's decoder: it knows no places, keeps the last of double keys, takes NaN, and runs
out of stack on deep nesting.
"""

import re
from bisect import bisect_right
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]  # not in the stubs

from ..workflow.findings import Findings, Place
from .document import NODES_MAX, Builder, integer, number

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?(?![0-9A-Za-z.])")
_WORD = re.compile(r"[-+A-Za-z0-9_.]+")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class NotPlain(Exception):
    """A text that `read_json` must look at."""


def read_plain_json(text: str) -> object:
    """The document of ``text``, as `read_json` gives it, where there is nothing to say about it.

    By the stdlib's decoder in C, whose hooks see what it would let pass. Depth is not judged: a
    sound definition has none. Raises NotPlain.
    """
    if sum(map(text.count, ",:[{")) > NODES_MAX:  # there may be more values than it may have
        raise NotPlain
    try:
        return _plain.decode(text)
    except (ValueError, RecursionError):  # syntax is a ValueError, and a number of 5,000 digits
        raise NotPlain from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        raise NotPlain
    return keys


def _finite(digits: str) -> float:
    found = number(digits)
    if isinstance(found, str):
        raise NotPlain
    return found


def _no_number(word: str) -> object:
    raise NotPlain


_plain = JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number)


def read_json(text: str, findings: Findings) -> object:
    """The document in ``text``; problems go to ``findings``, which learns to locate paths.

    Raises Unreadable when the rest cannot be read.
    """
    return _Reader(text, findings).document()


class _Reader:
    """Recursive descent; the builder's limit on depth ends it long before Python's."""

    def __init__(self, text: str, findings: Findings) -> None:
        self.text = text
        self.position = 0
        self.builder = Builder(findings)
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self) -> Place:
        line = bisect_right(self.line_starts, self.position)
        return line, self.position - self.line_starts[line - 1] + 1

    def document(self) -> object:
        if not self.next_char():
            return None
        self.value()
        if self.next_char():
            self.fail("the document has ended, but something follows")
        return self.builder.value

    def next_char(self) -> str:
        """The next character that is no space; '' at the end."""
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.text[self.position : self.position + 1]

    def value(self) -> None:
        char = self.next_char()
        at = self.place()
        if char == '"':
            self.builder.scalar(self.string(), at)
        elif char == "{":
            self.builder.open_mapping(at)
            self.entries("}")
        elif char == "[":
            self.builder.open_list(at)
            self.entries("]")
        else:
            self.number_or_word(at)

    def entries(self, closer: str) -> None:
        self.position += 1
        char = self.next_char()
        while char != closer:
            if closer == "}":
                self.key()
            self.value()
            char = self.next_char()
            if char == ",":
                self.position += 1
                char = self.next_char()
                if char in ("]", "}"):
                    self.fail("JSON has no comma after the last entry")
            elif char != closer:
                self.fail(f"expected a comma or {closer}")
        self.position += 1
        self.builder.close()

    def key(self) -> None:
        if self.next_char() != '"':
            self.fail("expected a key in double quotes")
        at = self.place()
        self.builder.key(self.string(), at)
        if self.next_char() != ":":
            self.fail("expected a colon after the key")
        self.position += 1

    def number_or_word(self, at: Place) -> None:
        if match := _NUMBER.match(self.text, self.position):
            self.position = match.end()
            read = number(match[0]) if match[2] or match[3] else integer(match[0])
            if isinstance(read, str):
                self.builder.unread("out_of_range", read, at)
            else:
                self.builder.scalar(read, at)
            return
        match = _WORD.match(self.text, self.position)
        word = match[0] if match else ""
        if word in ("NaN", "Infinity", "-Infinity"):
            self.builder.unread("out_of_range", f"{word} is no number of JSON", at)
        elif word in _WORDS:
            self.builder.scalar(_WORDS[word], at)
        else:
            self.fail("expected a value" + (f", not {word[:30]}" if word else ""))
        self.position += len(word)

    def string(self) -> str:
        try:
            text, self.position = scanstring(self.text, self.position + 1, True)
        except JSONDecodeError as error:
            self.position = error.pos
            self.fail(error.msg[0].lower() + error.msg[1:])
        return str(text)

    def fail(self, message: str) -> None:
        if self.position >= len(self.text):
            message += ": the text ends here"
        self.builder.give_up("syntax", message, self.place())
