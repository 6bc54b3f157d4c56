"""The rules of the house, read off the source: who may import whom, what ships, what is banned."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import stenella

ROOT = Path(__file__).parent.parent

#: Without clock, chance, disk, net, process or thread.
PURE = {
    *("__future__", "abc", "array", "base64", "bisect", "collections", "copy", "dataclasses"),
    *(
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "keyword",
        "logging",
    ),
    *("math", "operator", "re", "string", "textwrap", "types", "typing", "weakref"),
}
#: What no room imports: code as data, a second event loop, forks behind gevent's back.
NOWHERE = {"asyncio", "marshal", "multiprocessing", "pickle", "shelve"}
STDLIB = set(sys.stdlib_module_names) - NOWHERE
#: Storage works on the thread it is called on, and on its files only.
STORED = STDLIB - {"http", "random", "select", "socket", "ssl", "subprocess", "threading", "urllib"}

#: DESIGN section 8: a room, or a file with stricter rules, and what it may import from outside
#: itself. "storage.queries" allows that module and what is in it. Every room may import
#: protocol.errors, for a person's errors; ``stenella`` is what the root's ``__init__`` holds.
MAY_IMPORT: dict[str, set[str]] = {
    "protocol": PURE | {"msgspec"},
    "workflow": PURE | {"datetime", "msgspec", "protocol", "zoneinfo"},
    "actors": PURE | {"msgspec", "protocol", "stenella", "workflow"},
    "actors/worker/warden.py": {"collections", "typing"},
    "storage": STORED | {"msgspec", "peewee", "playhouse", "protocol"},
    "home": STDLIB | {"msgspec", "protocol.errors", "zmq"},
    "runtime": STDLIB
    | {"actors", "gevent", "home", "msgspec", "protocol", "psutil", "stenella", "storage"}
    | {"tasks", "zmq"},
    "runtime/warden_main.py": STDLIB
    | {"actors.worker.warden", "runtime.warden_logs", "runtime.warden_tasks"},
    "runtime/warden_memory.py": STDLIB,
    "runtime/warden_tasks.py": STDLIB | {"actors.worker.warden", "runtime.warden_memory"},
    "tasks": STDLIB | {"home.installed", "msgspec", "protocol", "workflow"},
    "client": STDLIB | {"home", "msgspec", "protocol", "stenella", "workflow", "yaml", "zmq"},
    "bench": STDLIB
    | {"client", "home", "protocol", "stenella", "storage.read_only", "workflow.definition", "zmq"},
    "bench/timed.py": STDLIB | {"actors", "home", "protocol", "runtime", "storage"},
    "console": STDLIB
    | {"client", "click", "home", "msgspec", "protocol", "rich", "stenella"}
    | {"storage.inventory", "storage.listing", "storage.queries"},
    "cli.py": STDLIB | {"click", "console", "home", "msgspec", "protocol.errors", "stenella"},
    "__main__.py": {"cli"},
    "__init__.py": {"client", "protocol.errors"},  # the lazy names of the public API
}
#: What console may import inside a function: the bodies of up, master start and worker start.
LAZILY = {"console": {"bench", "runtime", "tasks"}}
#: Where an import may stand inside a function, so that a command pays for nothing it does not use.
LAZY_ROOMS = {"__init__.py", "cli.py", "console", "runtime/process.py"}

#: The two doors of a process, where whatever went wrong is written down.
MAY_CATCH_ALL = {"cli.py", "runtime/node.py"}
BANNED_CALLS = {"eval", "exec", "print"}
MAY_PRINT = {"cli.py", "console"}
#: A name that says nothing about what is in the file.
BANNED_NAMES = {"utils", "util", "common", "helpers", "manager", "misc"}
#: Reading the wall clock by a class that is pure otherwise.
CLOCKS = {"now", "utcnow", "today"}
PURE_ROOMS = {"actors", "protocol", "workflow"}

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
#: Files that are longer, and why they are one thing.
LONG_FILES: dict[str, str] = {
    "actors/master/dispatcher.py": "who runs what, and how it is told and repeated",
    "actors/master/event_persister.py": "what is said of a task, and what becomes of its row",
    "actors/master/gateway.py": "one door: intents, reads, watches, logs and debug",
    "actors/master/workflow_executor.py": "what comes next in an instance, from start to end",
    "actors/master/messages.py": "all that a master's actors tell each other",
    "actors/master/registry.py": "a worker's way from registration to death",
    "actors/worker/warden.py": "all rules of the one process that may start and kill",
    "actors/worker/executor.py": "one attempt's way from request to result, and its adoption",
    "protocol/commands.py": "every command on the wire, so that the protocol is read as one",
    "actors/turn.py": "take, think, commit and release, whose order is the whole point",
    "runtime/node.py": "the performers of one turn, from what arrives to the end",
    "runtime/link.py": "both ends of one wire, so that they are read together",
    "tests/actors/test_gateway.py": "every conversation at the one door",
    "tests/actors/test_dispatcher.py": "everything that one actor places, repeats and forgets",
    "tests/actors/test_turn.py": "the contract between the turn and whoever performs it",
    "tests/runtime/test_link.py": "the conversation of both ends",
}

ROOMS = sorted(
    path.parent.name for path in ROOT.glob("[a-z]*/__init__.py") if path.parent.name != "tests"
)
PRODUCT = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.py"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.py")))
)
ALL = sorted(
    {*PRODUCT, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))}
)

in_product = pytest.mark.parametrize("path", PRODUCT)
everywhere = pytest.mark.parametrize("path", ALL)


def parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def room_of(path: str) -> str:
    return path.split("/")[0]


def imported(node: ast.Import | ast.ImportFrom, path: str) -> Iterator[str]:
    """Dotted names, seen from the root: ``from ..home import keys`` is home.keys."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    start: tuple[str, ...] = ()
    if node.level:
        package = Path(path).parent.parts
        assert node.level - 1 <= len(package), f"{path}:{node.lineno} leaves the package"
        start = package[: len(package) - node.level + 1]
    start += tuple(node.module.split(".")) if node.module else ()
    for alias in node.names:
        names = (*start, alias.name)
        at_root = bool(node.level) and len(names) == 1 and names[0] not in {*ROOMS, "cli"}
        yield "stenella" if at_root else ".".join(names)


def allows(allowed: set[str], name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in allowed for length in range(1, len(parts) + 1))


def foreign_imports(path: str, allowed: set[str], inside_functions: set[str]) -> list[str]:
    """Imports of ``path`` that its row does not allow."""
    tree = parse(path)
    at_top = {id(node) for node in import_nodes(tree, into_functions=False)}
    return [
        f"line {node.lineno}: {name}"
        for node in import_nodes(tree, into_functions=True)
        for name in imported(node, path)
        if not allows(allowed if id(node) in at_top else allowed | inside_functions, name)
    ]


def import_nodes(tree: ast.AST, into_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Also what is imported for types alone counts as inside a function: no start executes it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif into_functions or not (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or for_types(node)
        ):
            yield from import_nodes(node, into_functions)


def for_types(node: ast.AST) -> bool:
    """Whether it is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_every_room_has_its_row() -> None:
    assert set(ROOMS) == {row for row in MAY_IMPORT if "." not in row}


@in_product
def test_a_file_imports_only_what_its_room_may(path: str) -> None:
    room = room_of(path)
    allowed = MAY_IMPORT.get(path, MAY_IMPORT[room] | {room, "protocol.errors"})

    assert foreign_imports(path, allowed, LAZILY.get(room, set())) == []


@pytest.mark.parametrize(
    ("path", "line", "names"),
    [
        ("home/keys.py", "import os.path, zmq", ["os.path", "zmq"]),
        ("home/keys.py", "from .files import create", ["home.files.create"]),
        ("home/keys.py", "from . import files", ["home.files"]),
        ("actors/worker/x.py", "from ..base import Actor", ["actors.base.Actor"]),
        ("actors/worker/x.py", "from ...storage import queries", ["storage.queries"]),
        ("home/keys.py", "from .. import runtime, __version__", ["runtime", "stenella"]),
        ("__main__.py", "from .cli import main", ["cli.main"]),
        ("home/keys.py", "from stenella.runtime import node", ["stenella.runtime.node"]),
    ],
)
def test_an_import_is_read_as_what_it_reaches(path: str, line: str, names: list[str]) -> None:
    (node,) = import_nodes(ast.parse(line), into_functions=True)

    assert list(imported(node, path)) == names


def test_a_row_for_a_module_does_not_allow_its_room() -> None:
    assert allows({"storage.queries"}, "storage.queries.page")
    assert not allows({"storage.queries"}, "storage.journal")
    assert not allows({"storage"}, "storages")


@in_product
def test_imports_stand_at_the_top(path: str) -> None:
    if {path, room_of(path)} & LAZY_ROOMS:
        return
    tree = parse(path)
    typed = {n for one in ast.walk(tree) if for_types(one) for n in import_nodes(one, True)}
    inside = set(import_nodes(tree, into_functions=True)) - set(import_nodes(tree, False)) - typed

    assert [f"line {node.lineno}" for node in inside] == []


@in_product
def test_inside_the_package_imports_of_ours_are_relative(path: str) -> None:
    absolute = {
        name.split(".")[0]
        for node in import_nodes(parse(path), into_functions=True)
        if isinstance(node, ast.Import) or node.level == 0
        for name in imported(node, path)
    }

    assert not absolute & {"stenella", *ROOMS}


@in_product
def test_a_pure_room_reads_no_clock(path: str) -> None:
    if room_of(path) not in PURE_ROOMS:
        return
    calls = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
    read = [c.lineno for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in CLOCKS]

    assert read == []


@in_product
def test_nothing_is_printed_or_evaluated(path: str) -> None:
    banned = BANNED_CALLS - ({"print"} if {path, room_of(path)} & MAY_PRINT else set())
    called = [
        f"line {node.lineno}: {node.func.id}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in banned
    ]

    assert called == []


@in_product
def test_only_the_doors_of_a_process_catch_everything(path: str) -> None:
    handlers = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ExceptHandler)]

    caught = [f"line {handler.lineno}" for handler in handlers if swallows(handler)]
    assert caught == [] or path in MAY_CATCH_ALL


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether it stops errors of every kind; tidying up and raising again is no catching."""
    kinds = (
        {"Exception"}
        if handler.type is None
        else set(ast.unparse(handler.type).strip("()").split(", "))
    )
    again = handler.body[-1]
    passes_on = isinstance(again, ast.Raise) and again.exc is None
    return "Exception" in kinds or ("BaseException" in kinds and not passes_on)


@everywhere
def test_a_module_says_what_it_is(path: str) -> None:
    empty = path.startswith("tests/") and (ROOT / path).stat().st_size == 0

    assert empty or ast.get_docstring(parse(path))


@everywhere
def test_a_file_has_a_name_that_says_something(path: str) -> None:
    assert Path(path).stem not in BANNED_NAMES


@everywhere
def test_a_file_is_short_or_listed_with_its_reason(path: str) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())

    assert (lines > FILE_LINES_MAX) == (path in LONG_FILES), f"{lines} lines"


@everywhere
def test_a_function_fits_on_a_screen(path: str) -> None:
    functions = [
        n for n in ast.walk(parse(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {n.name: (n.end_lineno or n.lineno) - n.lineno + 1 for n in functions}

    assert {name: n for name, n in lengths.items() if n > FUNCTION_LINES_MAX} == {}


def test_long_files_are_there_and_have_a_reason() -> None:
    assert {path for path, reason in LONG_FILES.items() if path not in ALL or not reason} == set()


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}

    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_package_is_listed_to_ship_and_the_tests_are_not() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parents = (Path(path).parent for path in PRODUCT if Path(path).name == "__init__.py")

    found = sorted(".".join(("stenella", *parent.parts)) for parent in parents)
    assert sorted(config["tool"]["setuptools"]["packages"]) == found


def test_third_party_imports_are_declared() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {text.split(">=")[0] for text in config["project"]["dependencies"]}
    ours = {*ROOMS, "cli", "stenella"}
    used = {name.split(".")[0] for row in MAY_IMPORT.values() for name in row} - ours - STDLIB
    distribution = {"playhouse": "peewee", "yaml": "pyyaml", "zmq": "pyzmq"}

    assert {distribution.get(name, name) for name in used} == declared


def test_the_tests_run_this_checkout() -> None:
    assert Path(stenella.__file__).parent == ROOT


def loaded_by(module: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after importing ``module``."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.live
@pytest.mark.slow
def test_the_command_line_loads_neither_gevent_nor_a_database_at_start() -> None:
    assert not loaded_by("stenella.cli") & {"gevent", "peewee", "sqlite3", "yaml", "zmq"}


#: What a process that sleeps most of its life need not have in its memory; with what it costs
#: there. gevent, zmq and msgspec bring concurrent.futures, pickle and inspect in any case.
HEAVY = {
    *("asyncio", "click", "email", "html", "http", "multiprocessing", "psutil", "rich", "ssl"),
    *("subprocess", "tempfile", "unittest", "urllib.request", "xml", "yaml"),
    *("stenella.bench", "stenella.client", "stenella.cli", "stenella.console"),
}
DATABASE = {"peewee", "playhouse"}
NETWORK = {"gevent", "zmq"}
WORKER = HEAVY | DATABASE | {"stenella.actors.master"}


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("stenella.runtime.master_node", HEAVY | {"stenella.tasks", "stenella.actors.worker"}),
        ("stenella.runtime.worker_node", WORKER),
        ("stenella.runtime.supervisor", HEAVY | DATABASE | NETWORK | {"logging", "sqlite3"}),
        ("stenella.runtime.process", HEAVY | DATABASE | NETWORK | {"stenella.storage"}),
        ("stenella.runtime.warden_main", HEAVY | {"msgspec", "logging", "typing", "dataclasses"}),
    ],
)
def test_a_process_of_a_cluster_loads_only_what_it_is_made_of(
    module: str, needless: set[str]
) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert {name for name in done.stdout.split() if allows(needless, name)} == set()


@pytest.mark.live
@pytest.mark.slow
def test_importing_the_package_costs_nothing() -> None:
    assert loaded_by("stenella") - loaded_by("sys") == {"stenella"}
