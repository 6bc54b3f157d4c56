"""``${name}`` and ``${task.output}`` in the text of a task's params, and their look-alikes."""

import re
from typing import NamedTuple

from .names import NAME, VARIABLE

_DOLLAR_BRACE = re.compile(r"\$\{([^}]*)(\}?)")
#: ``$[yyyyMMdd-1]``, ``$[month_begin(…)]``; but not ``$[1+2]`` or ``$[i+1]``, which are shell.
TIME_PLACEHOLDER = re.compile(r"\$\[\s*(?:yy|MM|dd|HH|mm|ss|[a-z_]+\()[^\]\n]{0,60}\]?")


class Reference(NamedTuple):
    """``${name}``: ``task`` is None and a workflow parameter is meant; else a task's output."""

    task: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.task}.{self.name}" if self.task is not None else self.name


class BadReference(ValueError):
    """``${…}`` that is neither form. Its text is the fragment."""


def pieces(text: str) -> list[str | Reference]:
    """``text`` cut into literal parts and references, in order, without empty parts.

    Raises BadReference. Nothing that a reference stands for is ever looked at again.
    """
    found: list[str | Reference] = []
    position = 0
    for match in _DOLLAR_BRACE.finditer(text):
        if match.start() > position:
            found.append(text[position : match.start()])
        found.append(_reference(match[1], closed=bool(match[2]), fragment=match[0]))
        position = match.end()
    if position < len(text):
        found.append(text[position:])
    return found


def _reference(content: str, *, closed: bool, fragment: str) -> Reference:
    task, dot, name = content.rpartition(".")
    if not closed or not VARIABLE.fullmatch(name) or (dot and not NAME.fullmatch(task)):
        raise BadReference(fragment)
    return Reference(task if dot else None, name)


def dotted(script: str) -> list[Reference]:
    """``${task.output}`` look-alikes of a shell script, where they mean something else."""
    found = []
    for match in _DOLLAR_BRACE.finditer(script):
        task, dot, name = match[1].rpartition(".")
        if dot and match[2] and VARIABLE.fullmatch(name) and NAME.fullmatch(task):
            found.append(Reference(task, name))
    return found
