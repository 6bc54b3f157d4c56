"""Errors a person can mend: the text says what happened, where, and what to do next.

``cli.py`` prints them without a traceback and exits with ``exit_code``; the same number travels in
`Refused` and stands in the JSON error document (DESIGN: exit codes).
"""

from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a definition; a bad file gets all of them at once."""

    rule: str  # stable word: cycle, unknown_name, duplicate_key, unknown_field, wrong_type …
    message: str  # a sentence
    file: str | None = None
    line: int | None = None  # from 1
    column: int | None = None  # from 1
    path: str | None = None  # place in the document: tasks[3].depends_on[0]
    suggestion: str | None = None  # what was probably meant


class StenellaError(Exception):
    """Base of everything a user can mend. ``code`` is a stable word for programs."""

    exit_code = 1
    code = "error"
    passes = False  # its cause may go away by itself: a full disk

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = problems
        self.count = len(problems)  # of all that were found; ``problems`` may hold the first only
        self.sources: dict[str, str] = {}  # file → its text, for a line and a caret; never sent

    def document(self) -> dict[str, Any]:
        """The JSON error document of DESIGN section 9, without its outer ``error`` key."""
        return {
            "code": self.code,
            "message": self.message,
            "problems": [msgspec.structs.asdict(problem) for problem in self.problems],
        }


class WorkflowFailed(StenellaError):
    """The workflow ended, and not with SUCCESS."""

    exit_code, code = 1, "workflow_failed"


class Usage(StenellaError):
    """Wrong arguments or a wrong setting."""

    exit_code, code = 2, "usage"


class NotFound(StenellaError):
    """No instance, task or file of that name or id."""

    exit_code, code = 3, "not_found"


class DefinitionRefused(StenellaError):
    """A definition with problems; nothing was stored."""

    exit_code, code = 4, "definition_refused"


class Unreachable(StenellaError):
    """No cluster answers."""

    exit_code, code = 5, "unreachable"


class RefusedInState(StenellaError):
    """Understood and refused: held home, port in use, wrong schema, final instance, full disk."""

    exit_code, code = 6, "refused"


#: The code of a refusal: the submit names a definition that the master does not have.
UNKNOWN_DEFINITION = "unknown_definition"


class WaitTimeout(StenellaError):
    """The time the caller gave is over; the work itself goes on."""

    exit_code, code = 7, "timeout"


class NotAllowed(StenellaError):
    """Home not writable or too open, key without the role."""

    exit_code, code = 8, "not_allowed"


#: By exit code, for an error that arrives from the wire in `Refused`.
ERRORS: dict[int, type[StenellaError]] = {
    error.exit_code: error
    for error in (
        WorkflowFailed,
        Usage,
        NotFound,
        DefinitionRefused,
        Unreachable,
        RefusedInState,
        WaitTimeout,
        NotAllowed,
    )
}
