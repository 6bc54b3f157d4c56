"""``stenella`` alone: what is in this home and what to do next; and ``init``: a first workflow."""

from pathlib import Path
from typing import Any

import click

from ..client.presence import elsewhere, elsewhere_text, is_held
from ..home.layout import Home, find_home, home_path
from ..protocol.errors import Unreachable, Usage, WaitTimeout
from . import pages
from .history import newest_instances
from .new_file import write_new
from .options import json_option
from .text import printable

NEWEST_MAX = 5  # instances shown by `stenella` alone
LIMIT_S = 2.0  # for the cluster's answer; people wait for a first screen no longer
FINAL = frozenset(("SUCCESS", "FAILURE", "STOP"))
SCHEMA_FILE = "stenella.schema.json"

Document = dict[str, Any]

FIRST_WORKFLOW = """\
# yaml-language-server: $schema={schema}
#
# A workflow: tasks, and what waits for what. Try it:
#
#   stenella run {file}
#   stenella run {file} -p folder=/etc -p top=3
#
# All fields: `stenella schema`; what a run would do: `stenella plan {file}`.
name: {name}

# Parameters with their defaults. Every task gets them as environment variables.
params:
  folder: /usr/share
  top: {{type: integer, default: 5, min: 1, max: 50}}

tasks:
  - name: count
    # A script runs in bash, or in what its first line names (#!/usr/bin/env python3).
    # Whatever it appends to $STENELLA_OUTPUT as name=value is handed on.
    script: |
      echo "files=$(find "$folder" -type f 2>/dev/null | wc -l)" >> "$STENELLA_OUTPUT"
    outputs: [files]

  - name: measure
    script: |
      echo "size=$(du -sh "$folder" 2>/dev/null | cut -f1)" >> "$STENELLA_OUTPUT"
    outputs: [size]
    # A task that fails is tried again, after 1 s and after 2 s; then its failure is final.
    retry: {{times: 2, interval: 1s, backoff: 2}}

  - name: largest
    script: |
      find "$folder" -type f -printf '%s %p\\n' 2>/dev/null | sort -rn | head -n "$top"

  - name: report
    # It starts when these have succeeded. The three before it run at the same time.
    depends_on: [count, measure, largest]
    params:
      files: "${{count.files}}"
      size: "${{measure.size}}"
    script: |
      echo "$folder holds $files files, $size in all"
"""


@click.command()
@click.argument("file", default="workflow.yaml")
@json_option
def init(file: str, as_json: bool) -> None:
    """Write a first workflow that runs, with comments.

    FILE is workflow.yaml if not said otherwise. Beside it goes stenella.schema.json: editors that
    know YAML complete fields by it and mark mistakes while you type. Nothing is overwritten.

    Example: stenella init nightly.yaml
    """
    path = Path(file)
    if path.suffix not in (".yaml", ".yml"):
        raise Usage(f"a first workflow is written in YAML: name it {path.stem or 'workflow'}.yaml")
    from ..client.schema import schema_text

    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.stem)
    text = FIRST_WORKFLOW.format(schema=SCHEMA_FILE, file=file, name=name[:128])
    schema = path.with_name(SCHEMA_FILE)
    write_new(path, text)
    written = [path]
    if not schema.exists():
        write_new(schema, schema_text() + "\n")
        written.append(schema)
    if as_json:
        pages.emit({"files": [str(one) for one in written]})
        return
    if schema in written:
        click.echo(f"wrote {path} and, for your editor, {schema}")
    else:
        click.echo(f"wrote {path}; {schema} was there: `stenella schema > {schema}` renews it")
    click.echo(f"next: stenella run {path}")


def overview() -> Document:
    """The JSON document of `stenella` alone: the home, its cluster, the newest, what is next."""
    home = find_home()
    status: Document | None
    if elsewhere():
        held = True
        status, newest = _of_elsewhere()
    else:
        held = home is not None and is_held(home)
        status = _status(home) if home is not None and held else None
        newest = newest_instances(NEWEST_MAX)  # a cluster that is silent has committed rows
    return {
        "home": str(home_path()),
        "exists": home is not None,
        "elsewhere": elsewhere_text() or None,
        "cluster": "up" if status is not None else "silent" if held else "down",
        "status": status,
        "instances": newest,
        "next": what_is_next(held, status, newest),
    }


def _of_elsewhere() -> tuple[Document, list[Document]]:
    """Whoever names a cluster is told why it cannot be asked."""
    from ..client.reads import Reads

    with Reads(limit_s=LIMIT_S) as client:
        return client.status(), client.instances(NEWEST_MAX)


def _status(home: Home) -> Document | None:
    from ..client.reads import Reads

    with Reads(home.root, limit_s=LIMIT_S) as client:
        try:
            return client.status()
        except (Unreachable, WaitTimeout):
            return None


def what_is_next(held: bool, status: Document | None, newest: list[Document]) -> list[str]:
    """The command to give now, and what it does."""
    live = [document for document in newest if document["state"] not in FINAL]
    if held and status is None:
        return ["stenella status", "the cluster is there and does not answer yet"]
    if live and not held:
        return ["stenella up --detach", "what has not ended goes on"]
    if any(document["attention"] for document in live):
        return ["stenella debug dead-letters", "see what was put aside and needs you"]
    if live and status is not None:
        number = live[0]["workflow_instance_id"]
        if all(worker["free"] == worker["slots"] for worker in status["workers"]):
            return [f"stenella explain {number}", "see what it waits for; nothing runs"]
        return [f"stenella watch {number}", "see it run"]
    if not newest:
        here = _a_definition_here()
        if here is None:
            return ["stenella init", "write a first workflow"]
        if elsewhere():
            return [f"stenella submit {here} --wait", "run it there"]
        return [f"stenella run {here}", "run it; a cluster is started if none is up"]
    if newest[0]["state"] != "SUCCESS":
        return ["stenella show last", "see what failed and why"]
    return ["stenella show last", "see what the newest run did"]


def _a_definition_here() -> str | None:
    """What `init` would have written, if it is in this folder."""
    return next((name for name in ("workflow.yaml", "workflow.yml") if Path(name).exists()), None)


def overview_lines(document: Document) -> list[str]:
    """`stenella` alone, for people."""
    newest = document["instances"]
    lines = [f"home     {printable(document['home'])}", f"cluster  {_cluster(document)}"]
    if document["elsewhere"]:
        lines[0] = f"home     elsewhere: {printable(document['elsewhere'])}"
    elif not document["exists"]:
        lines[0] += "  (made by the first run; $STENELLA_HOME is another one)"
    if newest:
        lines += ["", *pages.instances(newest)]
    command, why = document["next"]
    return [
        *lines,
        "",
        f"next     {click.style(command, bold=True)}    {why}",
        "help     stenella --help",
    ]


def _cluster(document: Document) -> str:
    status = document["status"]
    if document["cluster"] == "silent":
        return "starting, leaving or stalled: it does not answer"
    if status is None:
        return "down; `stenella run` starts one by itself, `stenella up --detach` one that stays"
    alive = [worker for worker in status["workers"] if worker["state"] == "alive"]
    other = len(status["workers"]) - len(alive)
    slots, free = sum(w["slots"] for w in alive), sum(w["free"] for w in alive)
    late = f", {other} not alive: see `stenella status`" if other else ""
    plural = "" if len(alive) == 1 else "s"
    return f"up: {len(alive)} worker{plural}, {free} of {slots} slots free{late}"
