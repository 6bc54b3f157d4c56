"""JSON Schema of definition files, for editors: made from the structs of `definition`.

A field that the loader reads is here because its struct has it; `NOTES` adds what people should
read about it and what a type cannot say. What only a loader can know is not in it: cycles, names
that are not there, references, sizes of the whole. What the schema refuses the loader refuses, too.
"""

import types
from collections.abc import Collection
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from . import definition as limits
from .definition import Definition, Output, Parameter, Retry, Task, Timeout
from .names import ACCOUNT, NAME, VARIABLE

Schema = dict[str, Any]

#: What editors understand best (yaml-language-server, VS Code).
DIALECT = "http://json-schema.org/draft-07/schema#"
#: A field that is stored in milliseconds is written as a duration under the name without this.
DURATION_SUFFIX = "_ms"
_NUMBER = r"\d{1,12}(\.\d{1,6})?"
DURATION: Schema = {
    "type": "string",
    "pattern": rf"^(?=.)({_NUMBER}d)?({_NUMBER}h)?({_NUMBER}m)?({_NUMBER}s)?({_NUMBER}ms)?$",
}
INTEGER: Schema = {
    "type": "integer",
    "minimum": limits.INTEGER_MIN,
    "maximum": limits.INTEGER_MAX,
}
PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: INTEGER,
    float: {"type": "number"},
    types.NoneType: {"type": "null"},
}
NAMED: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
VARIABLE_NAME: Schema = {
    "type": "string",
    "pattern": rf"^(?!PATH$|LD_|STENELLA_){VARIABLE.pattern}$",
}
ACCOUNT_NAME: Schema = {"type": "string", "pattern": f"^{ACCOUNT.pattern}$"}
SCALAR_OR_NOTHING: Schema = {"type": ["string", "number", "boolean", "null"]}


def _ref(struct: type) -> Schema:
    return {"$ref": f"#/definitions/{struct.__name__}"}


#: ``Struct.field`` → what it is, for people, and what its type does not say.
NOTES: dict[str, tuple[str, Schema]] = {
    "Definition.name": ("Name of the workflow.", NAMED),
    "Definition.tasks": (
        "What is to be done, in any order; `depends_on` says what waits for what.",
        {"minItems": 1, "maxItems": limits.TASKS_MAX},
    ),
    "Definition.description": ("Text for people.", {}),
    "Definition.params": (
        "Parameters: name and default, or a mapping. Tasks get them as environment variables.",
        {
            "propertyNames": VARIABLE_NAME,
            "additionalProperties": {
                "anyOf": [{"type": ["string", "number", "boolean"]}, _ref(Parameter)]
            },
        },
    ),
    "Definition.failure_strategy": (
        "After a failure: `continue` runs what does not depend on it, `end` starts nothing new and"
        " kills what runs.",
        {},
    ),
    "Definition.timeout": (
        "How long an instance may take, from its start; in short form that warns.",
        {"anyOf": [DURATION, _ref(Timeout)]},
    ),
    "Definition.priority": ("Whose tasks go first where slots are few.", {}),
    "Parameter.type": ("What values it takes.", {}),
    "Parameter.default": (
        "Its value unless another is given; without a default one must be.",
        SCALAR_OR_NOTHING,
    ),
    "Parameter.min": ("The least value, of an integer or number.", {}),
    "Parameter.max": ("The greatest value, of an integer or number.", {}),
    "Task.name": ("Name of the task, unique in the workflow.", NAMED),
    "Task.type": ("What kind of task it is; `shell` unless said otherwise.", {}),
    "Task.script": (
        "What a shell task runs, in bash unless its first line names another; or a python task.",
        {},
    ),
    "Task.command": (
        "What a shell task runs instead of a script: a program and its arguments, as they are.",
        {"minItems": 1},
    ),
    "Task.file": (
        "What a python task runs instead of a script; relative to the folder of submission.",
        {"minLength": 1},
    ),
    "Task.python": (
        "Interpreter of a python task, as `python3.12` or a path; else the worker's own.",
        {"minLength": 1},
    ),
    "Task.run_as": ("The account that it runs as, where a worker allows it.", ACCOUNT_NAME),
    "Task.depends_on": (
        "Tasks that must have succeeded before this one starts.",
        {"uniqueItems": True, "items": NAMED},
    ),
    "Task.params": (
        "Parameters of this task: values, or `${name}` of the workflow, `${task.output}` of a task "
        "before it.",
        {"propertyNames": VARIABLE_NAME, "additionalProperties": SCALAR_OR_NOTHING},
    ),
    "Task.env": (
        "Environment variables, as they are written here.",
        {
            "propertyNames": VARIABLE_NAME,
            "additionalProperties": {"anyOf": [{"type": ["string", "boolean"]}, INTEGER]},
        },
    ),
    "Task.outputs": (
        "What the task hands on by writing `name=value` lines to the file $STENELLA_OUTPUT.",
        {"items": {"anyOf": [VARIABLE_NAME, _ref(Output)]}},
    ),
    "Task.retry": ("How often a failure is tried again, and when.", {}),
    "Task.worker_group": ("The workers that may run it.", NAMED),
    "Task.on_isolation": (
        "Where its worker is cut off: `kill` it there and run it elsewhere, or `keep` it.",
        {},
    ),
    "Task.lost_after": ("After so long out of reach a kept attempt has failed.", {}),
    "Task.working_dir": ("The folder it runs in; else an empty one of its own.", {"minLength": 1}),
    "Task.timeout": (
        "How long one try may run, from its start; in short form it fails then.",
        {"anyOf": [DURATION, _ref(Timeout)]},
    ),
    "Task.delay": ("How long the first try waits once the task could run.", {}),
    "Task.priority": ("What goes first among tasks of workflows of equal priority.", {}),
    "Output.name": ("Name of the output.", VARIABLE_NAME),
    "Output.default": (
        "Its value if the task gives none; without a default that fails the task.",
        SCALAR_OR_NOTHING,
    ),
    "Retry.times": ("How often it is tried again.", {"minimum": 0, "maximum": limits.RETRIES_MAX}),
    "Retry.interval": ("The wait before that: 200ms 0.2s 5m 1h30m 2d.", {}),
    "Retry.backoff": (
        "The factor on each next wait.",
        {"minimum": 1, "maximum": limits.BACKOFF_MAX},
    ),
    "Retry.jitter": (
        "Each wait is longer by a part of itself, anything up to this.",
        {"minimum": 0, "maximum": limits.JITTER_MAX},
    ),
    "Timeout.after": ("How long: 200ms 0.2s 5m 1h30m 2d.", {}),
    "Timeout.strategy": (
        "`warn` writes it down and lets it go on, `fail` ends it, `warn_fail` does both.",
        {},
    ),
}


def _when(field: str, values: list[str], then: Schema) -> Schema:
    """A rule for objects whose ``field`` is one of ``values``."""
    return {"if": {"required": [field], "properties": {field: {"enum": values}}}, "then": then}


SCRIPT: Schema = {"required": ["script"], "properties": {"script": {"pattern": r"\S"}}}
#: Struct → rules between its fields.
RULES: dict[str, list[Schema]] = {
    "Task": [
        {
            "if": {"properties": {"type": {"const": "shell"}}},
            "then": {
                "oneOf": [SCRIPT, {"required": ["command"]}],
                "properties": dict.fromkeys(("file", "python"), False),
            },
        },
        _when(
            "type",
            ["python"],
            {"oneOf": [SCRIPT, {"required": ["file"]}], "properties": {"command": False}},
        ),
        _when(
            "type",
            ["noop"],
            {"properties": dict.fromkeys(("script", "command", "file", "python"), False)},
        ),
        {
            "if": {"required": ["lost_after"]},
            "then": {
                "required": ["on_isolation"],
                "properties": {"on_isolation": {"const": "keep"}},
            },
        },
    ],
    "Parameter": [
        _when("type", ["integer"], {"properties": {"default": {"type": ["integer", "null"]}}}),
        _when("type", ["number"], {"properties": {"default": {"type": ["number", "null"]}}}),
        _when("type", ["boolean"], {"properties": {"default": {"type": ["boolean", "null"]}}}),
        {
            "if": {"properties": {"type": {"enum": ["string"]}}},
            "then": {"properties": {"default": {"type": ["string", "null"]}}},
        },
        {
            "if": {"properties": {"type": {"enum": ["string", "boolean"]}}},
            "then": {"properties": {"min": False, "max": False}},
        },
    ],
}
#: Structs that stand for a whole value of their own; in the order of the documentation.
STRUCTS: tuple[type[msgspec.Struct], ...] = (Definition, Parameter, Task, Output, Retry, Timeout)


def schema(task_types: Collection[str]) -> Schema:
    """The schema of a definition file where ``task_types`` are installed."""
    definitions = {struct.__name__: _object(struct) for struct in STRUCTS[1:]}
    known = definitions["Task"]["properties"]["type"]
    known["enum"] = sorted(task_types)
    return {
        "$schema": DIALECT,
        "title": "Stenella workflow",
        **_object(STRUCTS[0]),
        "definitions": definitions,
    }


def document_fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """The fields of ``struct`` by their names in a file."""
    return {
        field.name.removesuffix(DURATION_SUFFIX): field for field in msgspec.structs.fields(struct)
    }


def _object(struct: type[msgspec.Struct]) -> Schema:
    hints = get_type_hints(struct)
    properties: dict[str, Schema] = {}
    for name, field in document_fields(struct).items():
        what, more = NOTES.get(f"{struct.__name__}.{name}", ("", {}))
        of_type = DURATION if field.name != name else _of_type(_given(hints[field.name]))
        if more.keys() & {"type", "anyOf"}:  # in a file it looks otherwise than in the struct
            of_type = {}
        properties[name] = {"description": what, **of_type, **more}
    described = {
        "type": "object",
        "properties": properties,
        "required": [name for name, field in document_fields(struct).items() if field.required],
        "additionalProperties": False,
    }
    rules = RULES.get(struct.__name__)
    return described if rules is None else {**described, "allOf": rules}


def _given(hint: Any) -> Any:
    """Of ``X | None``, X: None is what a field is that is left out of the file."""
    parts = [part for part in get_args(hint) if part is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType) and len(parts) < len(get_args(hint)):
        return Union[tuple(parts)]  # noqa: UP007 - the parts are known at run time only
    return hint


def _of_type(hint: Any) -> Schema:
    origin, parts = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return dict(PLAIN[hint])
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is tuple:
        return {"type": "array", "items": _of_type(parts[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of_type(parts[1])}
    if set(parts) == {int, float}:
        return dict(PLAIN[float])
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of_type(part) for part in parts]}
    return _ref(hint)
