"""The task types that are installed: the entry point group ``stenella.tasks`` of all packages.

Their metadata is read as it lies (packaging.python.org, entry points specification). importlib's
reader does the same by way of email, csv and zipfile, which is 1.4 MB for every worker and 20 ms
for every submit; packages inside archives it finds, and this does not.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

GROUP = "stenella.tasks"


class TaskEntry(NamedTuple):
    """A task type by its name, and where its class is."""

    name: str
    value: str  # module:attribute
    package: str

    def load(self) -> Any:
        """The class. Raises what importing it raises."""
        module, _, attributes = self.value.partition(":")
        found: Any = import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
        return found


def task_entries() -> list[TaskEntry]:
    """All of them, in the order of ``sys.path``; a package that is there twice counts once.

    Lists every folder of packages (2 ms).
    """
    by_package: dict[str, list[TaskEntry]] = {}
    for folder in sys.path:
        for file in sorted(Path(folder).glob("*-info/entry_points.txt")):
            package = file.parent.name.removesuffix(".egg-info").partition("-")[0].lower()
            if package not in by_package:
                text = file.read_text(encoding="utf-8", errors="replace")
                by_package[package] = _read(text, package)
    return [entry for entries in by_package.values() for entry in entries]


def _read(text: str, package: str) -> list[TaskEntry]:
    """Lines ``name = module:attribute [extras]`` below ``[stenella.tasks]``."""
    found, section = [], ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == GROUP and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            place = value.partition("[")[0].replace(" ", "")
            found.append(TaskEntry(name.strip(), place, package))
    return found
