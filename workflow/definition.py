"""A workflow as it is stored and sent: frozen structs, and their one canonical JSON form.

The structs hold what the definition says and judge nothing: `validation.check` does. The canonical
form is what versions are told apart by, so its order is fixed and defaults are left out.
"""

import hashlib
from typing import Literal

import msgspec

from ..protocol.codec import UNDECODABLE
from ..protocol.errors import DefinitionRefused, Problem
from ..protocol.states import Priority

#: Of the canonical form: 300 bytes for each of the most tasks. A larger one than a command takes
#: travels in parts (`DefinitionPart`).
DEFINITION_BYTES_MAX = 32 * 1024 * 1024
#: Of one script; larger ones are files, not definitions (reliability.md, B5).
SCRIPT_BYTES_MAX = 1024 * 1024
#: What the master's memory is planned for (DESIGN section 10).
TASKS_MAX = 100_000
RETRIES_MAX = 1_000  # more is a service, not a task
BACKOFF_MAX = 100.0  # a factor per try; from 1, so that waits never shrink
LOST_AFTER_MS_MAX = 366 * 86_400_000  # a year: longer than anybody waits for a machine
INTERVAL_MS_MAX = 7 * 86_400_000  # a week: what waits longer is another workflow
DELAY_MS_MAX = INTERVAL_MS_MAX
JITTER_MAX = 1.0  # at most as long again as the wait itself
TIMEOUT_MS_MAX = 365 * 86_400_000  # a year: a limit beyond that is none
#: Of one ``NAME=value``: Linux hands no longer string to a program (MAX_ARG_STRLEN, execve(2)).
VARIABLE_BYTES_MAX = 128 * 1024 - 1
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1  # what SQLite and PostgreSQL hold

Scalar = str | int | float | bool
ParameterType = Literal["string", "integer", "number", "boolean"]
FailureStrategy = Literal["continue", "end"]
TimeoutStrategy = Literal["warn", "fail", "warn_fail"]
OnIsolation = Literal["kill", "keep"]


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A parameter of a workflow. Without a default it must be given at submit."""

    type: ParameterType = "string"
    default: Scalar | None = None
    min: int | float | None = None  # of integer and number
    max: int | float | None = None


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value that a task hands on. Without a default its absence fails the task."""

    name: str
    default: Scalar | None = None


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often a failed task is tried again, and when: interval · backoff^(tries so far − 1).

    ``jitter``: the wait is longer by a part of itself, anything up to this.
    """

    times: int = 0
    interval_ms: int = 1_000  # long enough that a failing task is no busy loop
    backoff: float = 1.0
    jitter: float = 0.0


NO_RETRY = Retry()


class Timeout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long something may run, and what happens then; the canonical form always says both."""

    after_ms: int
    strategy: TimeoutStrategy = "fail"

    @property
    def warns(self) -> bool:
        """Whether its passing is written down while it runs on, or before it is ended."""
        return self.strategy != "fail"

    @property
    def fails(self) -> bool:
        """Whether it is ended then."""
        return self.strategy != "warn"


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A node of the graph."""

    name: str
    type: str = "shell"
    script: str | None = None
    command: tuple[str, ...] = ()  # of a shell task, instead of a script: program and arguments
    file: str | None = None  # of a python task, instead of a script; relative to the submission's
    python: str | None = None  # its interpreter; None: the worker's own
    run_as: str | None = None  # the account; None: the worker's own
    depends_on: tuple[str, ...] = ()
    params: dict[str, Scalar | None] = {}  # empty: taken from the workflow's of that name
    env: dict[str, str] = {}
    outputs: tuple[Output, ...] = ()
    retry: Retry = NO_RETRY
    worker_group: str = "default"
    working_dir: str | None = None  # None: the attempt's own folder
    timeout: Timeout | None = None  # of one attempt, from its start
    delay_ms: int = 0  # from its first submit; a retry does not wait again
    priority: Priority = "medium"  # among tasks of workflows of equal priority
    #: What becomes of an attempt that runs where nobody reaches it: killed there when the lease of
    #: its worker ends, and run again elsewhere; or kept until its worker is heard again.
    on_isolation: OnIsolation = "kill"
    lost_after_ms: int | None = None  # since its worker was heard; then a kept attempt has failed


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A workflow. A version of it never changes."""

    name: str
    tasks: tuple[Task, ...]
    description: str = ""
    params: dict[str, Parameter] = {}
    failure_strategy: FailureStrategy = "continue"
    timeout: Timeout | None = None  # of an instance, from its start
    priority: Priority = "medium"


_encoder = msgspec.json.Encoder(order="deterministic")
_kinds = msgspec.msgpack.Encoder()
_decoder = msgspec.json.Decoder(Definition)


def encode(definition: Definition) -> bytes:
    """The canonical form: compact JSON, fields as declared, names of params and env sorted."""
    return _encoder.encode(definition)


def kind_of(task: Task) -> tuple[bytes, Task]:
    """The task without name and edges, and before it a key that is equal for all that are alike so
    far; empty where it holds what cannot be stored (and `validation` refuses).
    """
    kind = msgspec.structs.replace(task, name="", depends_on=())
    try:
        return _kinds.encode(kind), kind
    except (UnicodeEncodeError, OverflowError, TypeError):
        return b"", kind


def digest(definition: Definition) -> str:
    """Content digest of a version: sha256 of the canonical form, in hex."""
    return hashlib.sha256(encode(definition)).hexdigest()


def decode(body: bytes) -> Definition:
    """The definition that ``encode`` wrote; its shape only, `validation.check` judges the rest.

    Raises DefinitionRefused for anything else: too large, no JSON, unknown field, wrong type.
    """
    if len(body) > DEFINITION_BYTES_MAX:
        raise _refused("too_large", too_large(len(body)))
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refused("wrong_type", str(error)) from None
    except UNDECODABLE as error:
        raise _refused("syntax", str(error)) from None


def too_large(size_bytes: int) -> str:
    """The sentence about a definition of ``size_bytes``."""
    return (
        f"the definition takes {size_bytes:,} bytes, at most {DEFINITION_BYTES_MAX:,} are taken: "
        "put long scripts into files on the workers, or split the workflow"
    )


def _refused(rule: str, message: str) -> DefinitionRefused:
    problem = Problem(rule=rule, message=message)
    return DefinitionRefused(f"the definition is not usable: {message}", (problem,))
