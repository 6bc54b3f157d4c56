"""``docs/commands.md``: what every command says of itself with ``--help``.

python -m tests.docs.commands_page      writes the page anew
"""

from collections.abc import Iterator

import click

from stenella.cli import stenella

from .document import ROOT

PAGE = ROOT / "docs" / "commands.md"
WIDTH_COLUMNS = 80
INTRODUCTION = """\
# Commands

This is what every command says with `--help`; a test compares. A failure is one line on stderr, or
with `--json` a document on stdout; see [exit codes and JSON](programs.md#exit-codes).
"""


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(
        f"\n## {' '.join(words)}\n\n```text\n{text}\n```\n" for words, text in helps()
    )


def helps() -> Iterator[tuple[tuple[str, ...], str]]:
    """The words of every command that does something, in the order of the help, and its help."""
    yield ("stenella",), _help(stenella, None, "stenella")
    with click.Context(stenella, info_name="stenella") as ctx:
        yield from _below(stenella, ctx, ("stenella",))


def _below(
    group: click.Group, ctx: click.Context, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            with click.Context(command, parent=ctx, info_name=name) as inner:
                yield from _below(command, inner, (*words, name))
        else:
            yield (*words, name), _help(command, ctx, name)


def lists() -> Iterator[list[str]]:
    """What the program and each group of commands says of the commands in it."""
    groups: list[tuple[str, click.Group]] = [("stenella", stenella)]
    for name, group in groups:
        yield _help(group, None, name).splitlines()
        with click.Context(group, info_name=name) as ctx:
            within = [(one, group.get_command(ctx, one)) for one in group.list_commands(ctx)]
        groups += [(one, command) for one, command in within if isinstance(command, click.Group)]


def _help(command: click.Command, parent: click.Context | None, name: str) -> str:
    with click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH_COLUMNS,
        help_option_names=["-h", "--help"],
    ) as ctx:
        lines = command.get_help(ctx).splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
