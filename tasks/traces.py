"""What an ended process left behind: its outputs and the end of its log; for any task type.

Outputs come from the file ``$STENELLA_OUTPUT`` (``name=value`` lines, where the first ``=`` splits
and the value is text, or JSON objects, one a line) and from ``${setValue(name=value)}`` or
``#{setValue(name=value)}`` anywhere in the log. The file wins over the log; in each, the later
wins. Only declared names are kept. Reading again gives the same again.
"""

import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..protocol.launch import Collection

log = logging.getLogger(__name__)

OUTPUT_FILE = "output"

#: Limits of reliability.md B9: outputs stand in rows and travel in one command (2 MiB).
VALUE_BYTES_MAX = 256 * 1024
OUTPUTS_BYTES_MAX = 1024 * 1024
#: Four times what may be kept: names, JSON escapes and values that are written again.
FILE_BYTES_MAX = 4 * OUTPUTS_BYTES_MAX
#: Far below what a decoder with the interpreter's default recursion limit stands (about 900).
DEPTH_MAX = 64
#: Numbers beyond are not stored exactly by every database.
INTEGER_MAX = 2**63 - 1

MARK = b"setValue("
#: Only used on a line that is cut after its last ``)}``: each begin then finds an end, and the
#: search stays linear whatever the line holds.
ANNOUNCED = re.compile(rb"[$#]\{setValue\(([A-Za-z_][A-Za-z0-9_]*)=(.*?)\)\}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BLOCK_BYTES = 256 * 1024  # of the log, read at once
LINE_BYTES_MAX = 64 * 1024  # longer lines of a log are not searched

TAIL_LINES_MAX = 20
TAIL_BYTES_MAX = 4 * 1024
FIRST_BYTES = 40  # shown of what is wrong
PROBLEMS_MAX = 5  # told one by one; a binary file would have thousands
UNDECLARED_MAX = 20  # names told in the log

#: Control characters become visible: a log's end is shown on people's terminals.
VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def collect(
    folder: Path, log: Path, exit_code: int, declared: dict[str, Any], required: list[str]
) -> Collection:
    """The traces of a process; one that failed exports nothing, whatever it wrote.

    Undeclared names are told to people by one line at the log's end.
    """
    if exit_code != 0:
        return Collection({}, log_tail(log))
    outputs = Outputs(declared, required)
    tail = outputs.read_log(log)
    outputs.read_file(f"{folder}/{OUTPUT_FILE}")
    if outputs.undeclared:
        _tell_undeclared(log, list(outputs.undeclared))
        tail = log_tail(log)
    values, problem = outputs.settle()
    return Collection(values, tail, problem)


class Outputs:
    """Gathers what was said of the declared outputs; `settle` judges it."""

    def __init__(self, declared: dict[str, Any], required: list[str]) -> None:
        self._defaults = {name: declared[name] for name in declared if name not in required}
        self._required = required
        self._values: dict[str, Any] = {}
        self._problems: list[str] = []
        self.undeclared: dict[str, None] = {}  # a set that keeps its order

    def settle(self) -> tuple[dict[str, Any], str]:
        """All outputs and no problem, or none and a sentence for each problem."""
        outputs = self._defaults | self._values
        if outputs:
            self._problems += wrong_with(outputs)
        self._problems += [
            f"output '{name}' is declared, has no default, and was not given"
            for name in self._required
            if name not in outputs
        ]
        return ({}, in_words(self._problems)) if self._problems else (outputs, "")

    def read_log(self, log: Path) -> str:
        """Take every ``setValue`` of a log; its end. Memory is bounded by a block and a line."""
        try:
            with open(log, "rb", buffering=0) as opened:
                for name, value in _announced(opened.fileno()):
                    self._take_text(name.decode(), value, "setValue in the log")
                return _tail(opened.fileno())
        except FileNotFoundError:
            return ""  # it wrote nothing
        except OSError as error:
            self._problems.append(f"the log cannot be read: {error.strerror}")
            return _unreadable(error)

    def read_file(self, file: str) -> None:
        """Take every line of the file ``$STENELLA_OUTPUT``; that there is none is no problem."""
        try:
            # Neither a link of any kind nor a pipe that the task put there may lead us elsewhere,
            # or hold us: this may be root, and the task somebody else.
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return
        except OSError as error:
            self._problems.append(f"$STENELLA_OUTPUT cannot be read: {error.strerror}")
            return
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                self._problems.append("$STENELLA_OUTPUT is not a regular file any more")
                return
            body = os.read(descriptor, min(status.st_size, FILE_BYTES_MAX))
        finally:
            os.close(descriptor)
        if status.st_size > FILE_BYTES_MAX:
            self._problems.append(
                f"$STENELLA_OUTPUT is {status.st_size} bytes, the limit is {FILE_BYTES_MAX};"
                f" it begins with {_begin(body)}"
            )
            return
        for number, line in enumerate(body.split(b"\n"), start=1):
            if line.strip():
                self._take_line(line.rstrip(b"\r"), f"line {number} of $STENELLA_OUTPUT")

    def _take_line(self, line: bytes, where: str) -> None:
        if not line.lstrip().startswith(b"{"):
            head, equals, text = line.partition(b"=")
            if equals and NAME.fullmatch(head.decode(errors="replace")):
                self._take_text(head.decode(), text, where)
            else:
                self._refuse(line, where, "is neither name=value nor a JSON object")
            return
        try:
            document = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(line, where, f"is no valid JSON object: {error}")
            return
        for name, value in document.items():
            self._take(name, value)

    def _take_text(self, name: str, value: bytes, where: str) -> None:
        try:
            self._take(name, value.decode())
        except UnicodeDecodeError:
            self._refuse(value, where, f"gives '{name}' a value that is not UTF-8")

    def _take(self, name: str, value: Any) -> None:
        if name in self._defaults or name in self._required:
            self._values[name] = value
        elif len(self.undeclared) < UNDECLARED_MAX:
            self.undeclared[name] = None

    def _refuse(self, text: bytes, where: str, what: str) -> None:
        self._problems.append(f"{where} {what} ({len(text)} bytes, it begins with {_begin(text)})")


def wrong_with(outputs: dict[str, Any]) -> list[str]:
    """Why outputs can neither travel nor be stored: a sentence for each problem."""
    problems, total = [], 0
    for name, value in outputs.items():
        try:
            _require_storable(name, 1)
            size = _measure(value)
        except ValueError as error:
            problems.append(f"output '{name[:FIRST_BYTES]}' {error}")
            continue
        total += size
        if size > VALUE_BYTES_MAX:
            problems.append(
                f"output '{name[:FIRST_BYTES]}' is {size} bytes, the limit is {VALUE_BYTES_MAX};"
                f" it begins with {_begin(value)}"
            )
    if total > OUTPUTS_BYTES_MAX:
        problems.append(f"the outputs are {total} bytes together, the limit is {OUTPUTS_BYTES_MAX}")
    if (named := sum(map(len, outputs))) > OUTPUTS_BYTES_MAX:
        problems.append(
            f"the names of the outputs are {named} characters together,"
            f" the limit is {OUTPUTS_BYTES_MAX}"
        )
    return problems


def in_words(problems: list[str]) -> str:
    """The first of the problems, and how many more there are."""
    more = len(problems) - PROBLEMS_MAX
    return "; ".join([*problems[:PROBLEMS_MAX], *([f"and {more} more"] if more > 0 else [])])


def log_tail(log: Path) -> str:
    """The last lines of a log, for people: control characters visible, no newline at the end."""
    try:
        with open(log, "rb", buffering=0) as opened:
            return _tail(opened.fileno())
    except FileNotFoundError:
        return ""
    except OSError as error:
        return _unreadable(error)


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    if not size:
        return ""
    data = os.pread(descriptor, TAIL_BYTES_MAX, max(0, size - TAIL_BYTES_MAX))
    lines = data.decode(errors="replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    if size > TAIL_BYTES_MAX and len(lines) > 1:
        del lines[0]  # a part of a line
    return "\n".join(lines[-TAIL_LINES_MAX:]).translate(VISIBLE)


def _unreadable(error: OSError) -> str:
    return f"(the log cannot be read: {error.strerror})"


def _announced(descriptor: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of every ``setValue`` from where the descriptor stands to its end."""
    rest = b""
    while block := os.read(descriptor, BLOCK_BYTES):
        block = rest + block
        end = block.rfind(b"\n") + 1
        # One byte too many is enough to know, with the next block, that the line is too long.
        rest = block[end : end + LINE_BYTES_MAX + 1]
        if MARK in block:
            for line in block[:end].split(b"\n"):
                yield from _announced_in(line)
    yield from _announced_in(rest)


def _announced_in(line: bytes) -> Iterator[tuple[bytes, bytes]]:
    if MARK in line and len(line) <= LINE_BYTES_MAX:
        for match in ANNOUNCED.finditer(line, 0, line.rfind(b")}") + 2):
            yield match[1], match[2]


def _measure(value: Any) -> int:
    """Bytes of a value: text as UTF-8, else as it travels. `ValueError` for what cannot travel."""
    _require_storable(value, 1)
    return len(value.encode() if isinstance(value, str) else msgspec.msgpack.encode(value))


def _require_storable(value: Any, depth: int) -> None:
    match value:
        case int() if abs(value) > INTEGER_MAX:
            raise ValueError("holds an integer of more than 63 bits; write it as text")
        case str() if "\0" in value:
            raise ValueError("holds a NUL character, which no environment and few databases carry")
        case list() | dict() if depth > DEPTH_MAX:
            raise ValueError(f"is nested more than {DEPTH_MAX} deep")
        case list():
            for item in value:
                _require_storable(item, depth + 1)
        case dict():
            for key, item in value.items():
                _require_storable(key, depth)
                _require_storable(item, depth + 1)


def _begin(value: Any) -> str:
    """The first bytes of a value, escaped."""
    if isinstance(value, str):
        value = value[:FIRST_BYTES].encode()
    elif not isinstance(value, bytes):
        value = msgspec.json.encode(value)
    return repr(value[:FIRST_BYTES])[1:]


def _tell_undeclared(file: Path, names: list[str]) -> None:
    """Append one line to the log, unless a former life did."""
    told = ", ".join(name[:FIRST_BYTES].translate(VISIBLE).replace("\n", "\\n") for name in names)
    line = f"stenella: outputs that the task does not declare are dropped: {told}\n".encode()
    try:
        with open(file, "r+b") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - len(line)))
            end = opened.read()
            if end != line:
                opened.write(line if end.endswith(b"\n") or not end else b"\n" + line)
    except OSError as error:  # a full disk must not turn a success into a failure
        log.warning("log not written log=%s error=%s", file, error.strerror)
