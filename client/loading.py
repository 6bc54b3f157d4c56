"""From a file, or standard input, to a checked definition, or to all that is wrong with it."""

import ast
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from ..home.installed import task_entries
from ..protocol.errors import NotAllowed, NotFound, Usage
from ..protocol.launch import INSTANT_TYPES
from ..workflow.definition import Definition
from ..workflow.findings import Findings
from ..workflow.validation import validate
from .document import Unreadable
from .json_file import NotPlain, read_json, read_plain_json
from .script_file import SCRIPT_OPTIONS, ScriptOptions, is_script, read_command, read_script
from .toml_file import looks_like_toml, read_toml
from .yaml_file import read_yaml

#: Twice what a definition may be: for comments, indentation and a clear message.
FILE_BYTES_MAX = 64 * 1024 * 1024
STDIN = "-"
NO_OPTIONS = ScriptOptions()
READERS = {"json": read_json, "toml": read_toml, "yaml": read_yaml}


@cache
def installed_types() -> frozenset[str]:
    """Task types of this installation: noop, and the entry point group ``stenella.tasks``; as they
    were when this process asked first.
    """
    return INSTANT_TYPES | {entry.name for entry in task_entries()}


def load(
    source: str | os.PathLike[str],
    *,
    known_types: Collection[str] | None = None,
    options: ScriptOptions = NO_OPTIONS,
    submit_dir: str | None = None,
) -> Definition:
    """The definition in the file ``source``, or on standard input for ``-``.

    ``known_types``: of tasks; by default those installed. ``options``: of the command line; they
    win over a script's own. Their params are values for the start (`script_file.pairs`); only of a
    script they also declare the names. ``submit_dir``: absolute; a script's working folder.
    Raises DefinitionRefused with all problems, NotFound, NotAllowed, or Usage.
    """
    name = os.fspath(source)
    data = read_file(name, FILE_BYTES_MAX)
    return load_bytes(data, name, known_types=known_types, options=options, submit_dir=submit_dir)


def load_bytes(
    data: bytes,
    name: str,
    *,
    known_types: Collection[str] | None = None,
    options: ScriptOptions = NO_OPTIONS,
    submit_dir: str | None = None,
) -> Definition:
    """Like ``load``, for ``data`` read from ``name``. Raises DefinitionRefused or Usage only."""
    findings = Findings(file="<stdin>" if name == STDIN else name)
    types = installed_types() if known_types is None else known_types
    try:
        text = findings.text = _decoded(data, findings)
        kind = _kind(text, name)
        if kind == "json" and (sound := _of_sound_json(text, name, options, types)):
            return sound
        document = _document(kind, text, name, options, submit_dir, findings)
    except Unreadable:
        raise findings.refusal() from None
    return _validated(document, findings, types)


def load_document(document: object, source: str | None = None) -> Definition:
    """Like ``load``, for a plain document that a program has made; ``source``: the file of which,
    and its problems stand in no line of that. Raises DefinitionRefused.
    """
    return _validated(document, Findings(file=source), installed_types())


def load_command(
    command: Sequence[str], options: ScriptOptions = NO_OPTIONS, submit_dir: str | None = None
) -> Definition:
    """A workflow of one task that runs ``command``, a program and its arguments, in ``submit_dir``.

    ``options`` as for `load`. Raises DefinitionRefused.
    """
    findings = Findings()
    document = read_command(command, options, submit_dir, findings)
    return _validated(document, findings, installed_types())


def _of_sound_json(
    text: str, name: str, options: ScriptOptions, types: Collection[str]
) -> Definition | None:
    """The definition in a text without a fault, in a fifth of the time; None: read it with places.

    Who has made ten thousand tasks is a program, and it has mostly made them well.
    """
    _refuse_script_options(options, name)
    try:
        document = read_plain_json(text)
    except NotPlain:
        return None
    return validate(document, Findings(), types)


def _validated(document: object, findings: Findings, types: Collection[str]) -> Definition:
    definition = validate(document, findings, types)
    if definition is None:
        raise findings.refusal()
    return definition


def read_file(name: str, bytes_max: int) -> bytes:
    """What is in a file, or comes on standard input for ``-``; of more than ``bytes_max`` one byte
    more. Raises NotFound, NotAllowed, or Usage.
    """
    if name == STDIN:
        return sys.stdin.buffer.read(bytes_max + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(bytes_max + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no file {name}") from None
    except PermissionError:
        raise NotAllowed(f"the file {name} may not be read by this user") from None
    except (OSError, ValueError) as error:  # a folder; a NUL in the name
        raise Usage(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decoded(data: bytes, findings: Findings) -> str:
    if len(data) > FILE_BYTES_MAX:
        _give_up(findings, "too_large", f"the file is larger than {FILE_BYTES_MAX:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        at = (before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        findings.add((), "not_utf8", f"byte {data[error.start]:#04x} is not UTF-8", at=at)
        raise Unreadable from None


def _document(
    kind: str | None,
    text: str,
    name: str,
    options: ScriptOptions,
    submit_dir: str | None,
    findings: Findings,
) -> object:
    if kind == "script":
        return read_script(text, "stdin" if name == STDIN else name, options, submit_dir, findings)
    if kind == "flow":
        message = (
            "this is a flow in Python, which this version does not load: write YAML, TOML or JSON"
        )
        _give_up(findings, "unknown_format", message)
    if kind is None:
        message = (
            "cannot tell what this is: name it .yaml, .toml or .json, "
            "or begin it with a line like #!/bin/bash"
        )
        _give_up(findings, "unknown_format", message)
    _refuse_script_options(options, name)
    return READERS[str(kind)](text, findings)


def _kind(text: str, name: str) -> str | None:
    """json, toml, yaml, script, flow; None: neither the name nor the text says."""
    suffix = Path(name).suffix.lower()
    if suffix in (".json", ".toml"):
        return suffix[1:]
    if suffix in (".yaml", ".yml"):
        return "yaml"
    if suffix == ".py" and _imports_stenella(text):
        return "flow"
    if is_script(text):
        return "script"
    if name != STDIN:
        return None
    if text.lstrip().startswith("{"):
        return "json"
    return "toml" if looks_like_toml(text) else "yaml"


def _imports_stenella(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the code that is only looked at
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # no Python 3, so no flow; its own interpreter will say more
    names = [
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    return any(name.split(".")[0] == "stenella" for name in names)


def _refuse_script_options(options: ScriptOptions, name: str) -> None:
    given = [
        option.flags[0]
        for option in SCRIPT_OPTIONS
        if option.field != "param" and getattr(options, option.field)
    ]
    if given:
        raise Usage(f"{', '.join(given)}: only for scripts; {name} has fields of its own for that")


def _give_up(findings: Findings, rule: str, message: str) -> None:
    findings.add((), rule, message)
    raise Unreadable
