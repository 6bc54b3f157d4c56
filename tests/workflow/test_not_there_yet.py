"""What a later version will have is refused with what does the same today."""

import pytest

from stenella.workflow.findings import Findings
from stenella.workflow.validation import validate

TYPES = frozenset({"shell", "python"})


@pytest.mark.parametrize(
    ("fields", "instead"),
    [
        ({"type": "python", "call": "sales.load:run"}, "from script, or from a file"),
        ({"script": "true", "task_group": "etl"}, "a worker_group with few slots"),
    ],
)
def test_what_is_not_there_yet_is_refused_with_what_to_use_instead(
    fields: dict[str, str], instead: str
) -> None:
    findings = Findings()
    validate({"name": "w", "tasks": [{"name": "t", **fields}]}, findings, TYPES)
    [problem] = findings.problems()

    assert problem.rule == "unknown_field"
    assert instead in problem.message
