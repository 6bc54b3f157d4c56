"""Where the pieces of logs go: as they are, with the task's name before each line, or as JSON.

To a terminal control codes are shown, not sent; to a file or a pipe go the very bytes of the log.
"""

import codecs
import sys
from typing import Any, Protocol

import click

from . import pages
from .text import printable

#: A line that does not end is not held back for longer than this.
LINE_BYTES_MAX = 64 * 1024
NAME_WIDTH_MAX = 24


class Output(Protocol):
    """Takes pieces of logs, each of one attempt of one task."""

    def write(self, task: dict[str, Any], attempt: int, chunk: bytes) -> None: ...

    def end(self) -> None: ...


class PlainOutput:
    """The log of one task, byte by byte; a new attempt is told on stderr."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._last = b"\n"
        self._attempt: int | None = None

    def write(self, task: dict[str, Any], attempt: int, chunk: bytes) -> None:
        if self._attempt not in (None, attempt):
            self.end()
            click.echo(f"==> attempt {attempt} <==", err=True)
        self._attempt = attempt
        if not chunk:
            return
        self._last = chunk[-1:]
        if self._is_terminal:
            sys.stdout.write(printable(self._decoder.decode(chunk)))
            sys.stdout.flush()
        else:
            _write_bytes(chunk)

    def end(self) -> None:
        """On a terminal the prompt begins on a line of its own."""
        if self._is_terminal and self._last != b"\n":
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._last = b"\n"


class NamedOutput:
    """Whole lines of many tasks as they come, each behind its task's name."""

    def __init__(self, names: list[str]) -> None:
        self._is_terminal = sys.stdout.isatty()
        longest = max((len(printable(name)) for name in names), default=0)
        self._width = min(longest, NAME_WIDTH_MAX)
        self._open: dict[tuple[str, int], bytes] = {}  # (task, attempt) → the line so far

    def write(self, task: dict[str, Any], attempt: int, chunk: bytes) -> None:
        key = task["name"], attempt
        *lines, rest = (self._open.pop(key, b"") + chunk).split(b"\n")
        if len(rest) >= LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        if rest:
            self._open[key] = rest
        if lines:
            self._put(key, lines)

    def end(self) -> None:
        for key, rest in self._open.items():
            self._put(key, [rest])
        self._open.clear()

    def _put(self, key: tuple[str, int], lines: list[bytes]) -> None:
        name, attempt = key
        head = printable(name if attempt == 1 else f"{name}#{attempt}").ljust(self._width) + " │ "
        if not self._is_terminal:
            prefix = head.encode(sys.stdout.encoding or "utf-8", errors="replace")
            _write_bytes(b"".join(prefix + line + b"\n" for line in lines))
            return
        shown = click.style(head, dim=True)
        for line in lines:
            click.echo(shown + printable(line.decode("utf-8", errors="backslashreplace")))


class JsonOutput:
    """A JSON object a line for each piece that comes."""

    def __init__(self) -> None:
        self._decoders: dict[tuple[str, int], codecs.IncrementalDecoder] = {}

    def write(self, task: dict[str, Any], attempt: int, chunk: bytes) -> None:
        key = task["name"], attempt
        if key not in self._decoders:
            self._decoders[key] = codecs.getincrementaldecoder("utf-8")(errors="replace")
        if text := self._decoders[key].decode(chunk):
            number = task["task_instance_id"]
            pages.emit(
                {"task_instance_id": number, "name": key[0], "attempt": attempt, "text": text}
            )

    def end(self) -> None:
        pass


def _write_bytes(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
