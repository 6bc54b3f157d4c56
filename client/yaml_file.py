"""YAML, its scalars as the 1.2 core schema has them, with the line and column of everything.

libyaml's events are composed here: PyYAML's own composer keeps the last of double keys, recurses,
reads `no` as false, 1:30 as ninety and 2024-01-01 as a date, and makes objects of tags.
"""

import re
from typing import Any

import yaml

from ..workflow.findings import Findings, Place
from ..workflow.names import quoted
from .document import Builder, Scalar, integer, number

#: YAML 1.2 section 10.3.2, and characters of section 5.1.
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL_OR_HEX = re.compile(r"0o([0-7]+)|0x([0-9a-fA-F]+)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_yaml(text: str, findings: Findings) -> object:
    """The one document in ``text``; problems go to ``findings``, which learns to locate paths.

    Raises Unreadable when the rest cannot be read.
    """
    builder = Builder(findings)
    if bad := _FORBIDDEN.search(text):
        line_start = text.rfind("\n", 0, bad.start()) + 1
        at = (text.count("\n", 0, bad.start()) + 1, bad.start() - line_start + 1)
        builder.give_up("syntax", f"YAML does not allow the character {bad[0]!r}", at)
    try:
        _Composer(builder).compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        message = ", ".join(
            part for name in ("context", "problem") if (part := getattr(error, name, None))
        )
        builder.give_up("syntax", message or str(error), mark and _place(mark))
    return builder.value


class _Composer:
    """Feeds a builder; keeps finished anchors with the number of their nodes."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.anchors: dict[str, tuple[object, int]] = {}
        self.open_anchors: list[str | None] = []  # of the containers that are open

    def compose(self, text: str) -> None:
        documents = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            at = _place(event.start_mark)
            match event:
                case yaml.ScalarEvent():
                    self.scalar(event, at)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self.open(event, at)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self.close()
                case yaml.AliasEvent():
                    self.alias(str(event.anchor), at)
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        message = "a second document begins here; one file holds one workflow"
                        self.builder.give_up("several_documents", message, at)
                case _:
                    pass  # begin and end of the stream, end of a document

    def scalar(self, event: Any, at: Place) -> None:
        self.refuse_tag(event, at)
        if self.builder.wants_key:
            self.builder.key(event.value, at)  # as written: our keys are names
            return
        value: Scalar = event.value
        if not event.style and event.implicit[0]:  # plain: not quoted, no block
            value = self.plain(event.value, at)
        else:
            self.builder.scalar(value, at)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)

    def plain(self, text: str, at: Place) -> Scalar:
        """Adds an unquoted scalar and gives its value."""
        read: Scalar = text
        problem: str | None = None
        if text in _WORDS:
            read = _WORDS[text]
        elif _INTEGER.fullmatch(text):
            found = integer(text)
            read, problem = (None, found) if isinstance(found, str) else (found, None)
        elif match := _OCTAL_OR_HEX.fullmatch(text):
            found = integer(match[1], 8) if match[1] else integer(match[2], 16)
            read, problem = (None, found) if isinstance(found, str) else (found, None)
        elif _FLOAT.fullmatch(text):
            real = number(text)
            read, problem = (None, real) if isinstance(real, str) else (real, None)
        elif _NOT_FINITE.fullmatch(text):
            read, problem = None, f"{text} is not finite"
        if problem is None:
            self.builder.scalar(read, at)
        else:
            self.builder.unread("out_of_range", problem, at)
        return read

    def open(self, event: Any, at: Place) -> None:
        self.refuse_tag(event, at)
        if self.builder.wants_key:
            self.builder.give_up("syntax", "a key is text, not a list or a mapping", at)
        if isinstance(event, yaml.MappingStartEvent):
            self.builder.open_mapping(at)
        else:
            self.builder.open_list(at)
        self.open_anchors.append(event.anchor)

    def close(self) -> None:
        value, nodes = self.builder.close()
        if (anchor := self.open_anchors.pop()) is not None:
            self.anchors[anchor] = (value, nodes)

    def alias(self, anchor: str, at: Place) -> None:
        if self.builder.wants_key:
            self.builder.give_up("syntax", "a key is text, not an alias", at)
        if anchor not in self.anchors:
            where = "is not finished yet" if anchor in self.open_anchors else "does not exist"
            self.builder.give_up("syntax", f"the anchor {quoted(anchor)} {where}", at)
        self.builder.again(*self.anchors[anchor], at)

    def refuse_tag(self, event: Any, at: Place) -> None:
        if event.tag is not None and event.tag != "!":
            message = f"tags are not taken: {quoted(event.tag)}; write the plain value"
            self.builder.findings.add(self.builder.path_of_next(), "yaml_tag", message, at=at)


def _place(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1
