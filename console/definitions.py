"""``schema`` and ``plan``: what a definition may hold, and what one would do."""

import os
from typing import Any

import click

from ..client.plan import plan as plan_of
from ..client.schema import schema_text
from ..client.script_file import ScriptOptions, pairs
from . import pages
from .naming import find_definition
from .options import json_option, param_option, workflow_argument

STAGES_MAX = 40  # told one by one; of more the first and the last
TASKS_MAX = 40  # whose parameters are told; `--json` has all

Document = dict[str, Any]


@click.command()
@json_option
def schema(as_json: bool) -> None:
    """Print the JSON Schema of workflow files.

    An editor that knows it completes and checks while you type: put it beside a file and begin the
    file with `# yaml-language-server: $schema=NAME`. `stenella init` does both.

    Example: stenella schema
    """
    click.echo(schema_text())


@click.command()
@workflow_argument
@param_option
@json_option
def plan(source: str, params: tuple[str, ...], as_json: bool) -> None:
    """Show what a run would do, without running it.

    Stages are tasks that wait for nothing but earlier stages; WIDTH of them can run at once, given
    the slots. Parameters are shown as tasks would get them; ${task.output} is known when its task
    has run.

    Example: stenella plan nightly.yaml -p day=2026-01-31
    """
    definition = find_definition(source, ScriptOptions(param=params), os.getcwd())
    document = plan_of(definition, pairs(params))
    if as_json:
        pages.emit(document)
    else:
        pages.emit_lines(_plan_lines(document))


def _plan_lines(document: Document) -> list[str]:
    stages, count = document["stages"], document["tasks"]
    lines = [
        f"{document['workflow']}: {_counted(count, 'task')} in {_counted(len(stages), 'stage')}, "
        f"at most {document['width']:,} at once",
        "",
    ]
    rows: list[tuple[object, ...]] = [
        (number, stage["width"], ", ".join(task["name"] for task in stage["tasks"][:TASKS_MAX]))
        for number, stage in enumerate(stages, start=1)
    ]
    left_out = len(rows) - STAGES_MAX
    if left_out > 0:
        half = STAGES_MAX // 2
        rows = [*rows[:half], ("…", "", f"{left_out:,} more stages"), *rows[-half:]]
    lines += pages.columns(("STAGE", "WIDTH", "TASKS"), rows)
    if document["params"]:
        lines += ["", *_param_lines("", document["params"])]
    own = [task for stage in stages for task in stage["tasks"] if _own(task)]
    for task in own[:TASKS_MAX]:
        lines += ["", task["name"], *_param_lines("  ", _own(task))]
    if len(own) > TASKS_MAX:
        lines += ["", f"and {len(own) - TASKS_MAX:,} more tasks with parameters of their own"]
    return lines


def _own(task: Document) -> Document:
    """Parameters that a task does not just have from the workflow or the start."""
    given = task["params"].items()
    return {name: value for name, value in given if value["origin"] not in ("workflow", "startup")}


def _param_lines(indent: str, params: Document) -> list[str]:
    return [
        f"{indent}{name} = {pages.value_of(p['value'])}{_origin(p)}" for name, p in params.items()
    ]


def _origin(param: Document) -> str:
    origin: str = param["origin"]
    return {"workflow": "  (default)", "startup": "  (given)"}.get(origin, "")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
