"""Which workflow is meant by FILE, NAME or `-`: an existing path is a file, else a stored name."""

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..client.loading import STDIN, load, load_command
from ..client.plan import Shape
from ..client.script_file import SCRIPT_OPTIONS, ScriptOptions
from ..client.stored import definition_of
from ..protocol.errors import NotFound, Usage
from .history import Reader, read, workflow_names

LOOKED_AT_MAX = 1_000  # files and names among which the nearest is looked for
SUFFIXES = (".yaml", ".yml", ".json", ".toml", ".sh", ".py")


def find_given(
    source: str | None, command: Sequence[str], options: ScriptOptions, submit_dir: str
) -> Any:
    """As `find_definition`, or a workflow of one task that runs ``command``."""
    if command and source is not None:
        raise Usage(f"{source} and a command after --: give one of them")
    if command:
        return load_command(command, options, submit_dir)
    if source is None:
        raise Usage("say what to run: FILE, NAME, or -- and a command with its arguments")
    return find_definition(source, options, submit_dir)


def find_definition(source: str, options: ScriptOptions, submit_dir: str) -> Any:
    """The checked definition that ``source`` names. Raises NotFound with the nearest that is there,
    or what is wrong with a file.
    """
    if source == STDIN or os.path.lexists(source) or _is_path(source):
        return _of_file(source, options, submit_dir)
    try:
        document = read(lambda reader: reader.definition(source, 0))
    except NotFound:
        raise NotFound(_nothing(source)) from None
    given = [o.flags[0] for o in SCRIPT_OPTIONS if o.field != "param" and getattr(options, o.field)]
    if given:
        raise Usage(f"{', '.join(given)}: only for scripts; {source} is a registered workflow")
    return definition_of(document)


def shape_of(reader: Reader, workflow_instance_id: int) -> Shape:
    """The graph that an instance (0: the newest) runs."""
    return Shape(definition_of(reader.definition("", workflow_instance_id)))


def _of_file(source: str, options: ScriptOptions, submit_dir: str) -> Any:
    try:
        return load(source, options=options, submit_dir=submit_dir)
    except NotFound as error:
        near = _nearest(Path(source).name, _files(Path(source).parent))
        mend = f"; did you mean {Path(source).with_name(near)}?" if near else ""
        raise NotFound(error.message + mend) from None


def _is_path(source: str) -> bool:
    return os.sep in source or source.endswith(SUFFIXES)


def _nothing(source: str) -> str:
    files, names = _files(Path()), workflow_names(LOOKED_AT_MAX)
    near = _nearest(source, [*names, *files])
    mend = f"did you mean {near}?" if near else "`stenella init` writes one to begin with"
    return f"there is no file and no registered workflow {source}; {mend}"


def _files(folder: Path) -> list[str]:
    """Names of what may be definitions in a folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(LOOKED_AT_MAX), strict=False)]
    except OSError:
        return []


def _nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Also without its suffix: `nightly` for nightly.yaml."""
    names = list(candidates)
    for suffix in SUFFIXES:
        if word + suffix in names:
            return word + suffix
    return next(iter(difflib.get_close_matches(word, names, n=1)), None)
