"""Lists in the documentation are those of the code: commands, fields, settings, tests."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

import stenella
from stenella.bench.figures import BENCHES
from stenella.cli import stenella as program
from stenella.home.settings import TYPES
from stenella.workflow import reading

from . import commands_page
from .document import PAGES, ROOT, blocks, tables

DEFINITIONS = ROOT / "docs" / "definitions.md"
HOW_IT_WORKS = ROOT / "docs" / "how-it-works.md"
PROGRAMS = ROOT / "docs" / "programs.md"
OPERATIONS = ROOT / "docs" / "operations.md"
ROBUSTNESS = ROOT / "docs" / "robustness.md"

_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
_EXAMPLE = re.compile(r"Example: stenella (.+)")
_SENTENCE = re.compile(r"`stenella ([a-z][^`…|]*)`")
_PLACE = re.compile(r"\b(?:ID/TASK|ID|NUMBER|N|SLOTS)\b")


def test_the_command_reference_is_the_help_of_the_program() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == commands_page.page(), (
        "write it anew: python -m tests.docs.commands_page"
    )


EXAMPLES = [found[1] for _words, text in commands_page.helps() for found in _EXAMPLE.finditer(text)]


def test_the_lists_of_commands_cut_no_sentence() -> None:
    cut = [line for text in commands_page.lists() for line in text if line.endswith("...")]

    assert [line for line in cut if not line.startswith("Usage:")] == []


def test_every_command_that_takes_json_has_its_document_described() -> None:
    described = {name for row in tables(PROGRAMS, "Documents") for name in _CODE.findall(row[0])}
    commands = [words[1:] for words, text in commands_page.helps() if "--json" in text]
    names = {" ".join(words) or "stenella" for words in commands}
    measured = {f"bench {name}" for name in BENCHES}

    assert sorted(names - measured - described) == []
    assert "bench NAME" in described


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_example_in_a_help_is_a_command_line_that_can_be_given(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_a_sentence_is_one_that_can_be_given(page: Path) -> None:
    for line in _SENTENCE.findall(page.read_text(encoding="utf-8")):
        command = " ".join(line.split()).partition(" > ")[0]
        parse(_PLACE.sub("1", command), may_be_bare=True)


def parse(line: str, may_be_bare: bool = False) -> None:
    """Fails where it is no command or takes no such words; a bare one is only its name."""
    command: click.Command = program
    words = shlex.split(line)
    with click.Context(program) as ctx:
        while isinstance(command, click.Group) and words:
            found = command.get_command(ctx, words.pop(0))
            assert found is not None, line
            command = found
        if words or not may_be_bare:
            try:
                command.make_context("stenella", words, parent=ctx)
            except click.UsageError as error:
                pytest.fail(f"stenella {line}: {error.format_message()}")


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("The workflow", reading.DEFINITION_FIELDS),
        ("A parameter", reading.PARAMETER_FIELDS),
        ("A task", reading.TASK_FIELDS),
        ("A retry", reading.RETRY_FIELDS),
        ("A timeout", reading.TIMEOUT_FIELDS),
        ("An output", reading.OUTPUT_FIELDS),
    ],
)
def test_the_fields_of_a_definition_are_all_described(heading: str, fields: list[str]) -> None:
    described = {_named(row[0]) for row in tables(DEFINITIONS, heading)}

    assert described == set(fields)


def test_the_actors_are_all_described_and_in_the_picture() -> None:
    rooms = [ROOT / "actors" / role for role in ("master", "worker")]
    modules = {
        path.stem: path.read_text(encoding="utf-8") for room in rooms for path in room.glob("*.py")
    }
    actors = {
        name for name, source in modules.items() if "def receive(self, message: Inbox" in source
    }

    assert actors == {row[0] for row in tables(HOW_IT_WORKS, "Processes")}
    assert [name for name in actors if name not in blocks(HOW_IT_WORKS)[0].text] == []


def test_every_rule_that_is_described_is_one_of_the_loaders() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for room in ("client", "workflow")
        for path in (ROOT / room).glob("*.py")
    )
    for row in tables(DEFINITIONS, "What is checked"):
        assert f'"{_named(row[0])}"' in source, row


def test_the_settings_are_all_described_with_their_defaults() -> None:
    packaged = tomllib.loads((ROOT / "conf.toml").read_text(encoding="utf-8"))
    described = {_named(row[0]): _named(row[1]) for row in tables(OPERATIONS, "Settings")}

    assert described == {
        key: _written(packaged[key.split(".")[0]][key.split(".")[1]]) for key in TYPES
    }


def _rows_of_robustness() -> list[list[str]]:
    """Cells of each line about something that was tried."""
    lines = ROBUSTNESS.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split("|") for line in lines if "::" in line]


def test_every_test_that_is_named_exists() -> None:
    assert _rows_of_robustness()
    for row in _rows_of_robustness():
        for name in _CODE.findall(row[-1]):
            path, _, function = name.partition("::")
            source = (ROOT / "tests" / path).read_text(encoding="utf-8")
            assert f"def {function}(" in source, name


#: What bad input may be (numbers that are missing here cannot be given to this version).
BAD_INPUTS = (1, 2, 3, 4, 5, 8, 9, *range(11, 19), 20, 22, 25, *range(27, 38), 40, 41, 42)


@pytest.mark.parametrize("number", BAD_INPUTS)
def test_each_kind_of_bad_input_has_a_line_and_a_test_that_bears_its_number(number: int) -> None:
    lines = [row for row in _rows_of_robustness() if number in _bad_inputs(row[0])]
    named = [name for row in lines for name in _CODE.findall(row[-1])]

    assert lines, f"no line about B{number}"
    assert any(number in _bad_inputs(_test_head(name)) for name in named), named


def _bad_inputs(text: str) -> set[int]:
    """The numbers in ``B12``, ``B1–B4`` and ``test_b12_…``."""
    found = re.findall(r"(?:\bB|_b)(\d+)(?:–B(\d+)|_to_b(\d+))?(?!\d)", text)
    return {n for first, *last in found for n in range(int(first), int(max(*last, first)) + 1)}


def _test_head(name: str) -> str:
    """A test's name and the first line of its docstring."""
    path, _, function = name.partition("::")
    source = (ROOT / "tests" / path).read_text(encoding="utf-8")
    found = re.search(rf'def {function}\([^)]*\)[^:]*:\n(?: +"""(.*))?', source)
    return f"{function} {found[1] or '' if found else ''}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_other_files_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in _anchors(path), f"{target}#{anchor}"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {stenella.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _anchors(page: Path) -> set[str]:
    """Of a page's headings, as they are made of their texts where such pages are shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _named(cell: str) -> str:
    found = _CODE.match(cell)
    assert found is not None, cell
    return found[1]


def _written(value: object) -> str:
    """As in conf.toml."""
    match value:
        case list():
            return "[" + ", ".join(f'"{item}"' for item in value) + "]"
        case str():
            return f'"{value}"'
        case _:
            return str(value)
