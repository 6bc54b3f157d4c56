"""Parameters: where a value comes from, and what becomes of it."""

from typing import Any

import pytest

from stenella.protocol.errors import Usage
from stenella.workflow.definition import Definition, Output, Parameter, Scalar, Task
from stenella.workflow.parameters import as_text, start_params, task_parameters, upstream

DEFINITION = Definition(
    "w",
    (
        Task("extract", outputs=(Output("rows"), Output("bytes", 7))),
        Task("load", depends_on=("extract",)),
    ),
    params={
        "day": Parameter("string", "mon"),
        "limit": Parameter("integer", 100, min=1, max=500),
        "ratio": Parameter("number", 0.5),
        "dry": Parameter("boolean", False),
    },
)

OUTPUTS = {task.name: task.outputs for task in DEFINITION.tasks}


def place(
    params: dict[str, Scalar | None],
    given: dict[str, object] | None = None,
    outputs: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Value and origin of each parameter of a task; of a problem its rule under '!'."""
    given = given or {}
    instance = start_params(DEFINITION, given)
    task = Task("load", params=params)
    found, problem = task_parameters(
        OUTPUTS.__getitem__, task, instance, list(given), outputs or {}
    )
    return {"!": problem.rule} if problem else found


def test_defaults_hold_when_nothing_is_given() -> None:
    assert start_params(DEFINITION, {}) == {"day": "mon", "limit": 100, "ratio": 0.5, "dry": False}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("limit", "5", 5),
        ("limit", " +5 ", 5),
        ("limit", 5, 5),
        ("ratio", "1e-2", 0.01),
        ("ratio", "2", 2),
        ("dry", "TRUE", True),
        ("day", 20240101, "20240101"),
        ("day", "${limit} $[x] `id`", "${limit} $[x] `id`"),
    ],
)
def test_what_is_given_is_read_as_the_declared_type(
    name: str, given: object, value: object
) -> None:
    found = start_params(DEFINITION, {name: given})[name]

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "given", "rule"),
    [
        ("limit", "many", "wrong_type"),
        ("limit", "1.5", "wrong_type"),
        ("limit", True, "wrong_type"),
        ("limit", "0", "out_of_range"),
        ("limit", "501", "out_of_range"),
        ("limit", "9" * 400, "wrong_type"),
        ("ratio", "nan", "wrong_type"),
        ("ratio", float("inf"), "out_of_range"),
        ("ratio", "1e999", "out_of_range"),
        ("dry", "yes", "wrong_type"),
        ("day", ["a"], "wrong_type"),
        ("day", None, "wrong_type"),
        ("day", "a\0b", "bad_text"),
        ("day", "\ud800", "bad_text"),
        ("day", "x" * 200_000, "too_large"),
        ("dya", "mon", "unknown_name"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_rule(name: str, given: object, rule: str) -> None:
    with pytest.raises(Usage) as refusal:
        start_params(DEFINITION, {name: given})

    assert [problem.rule for problem in refusal.value.problems] == [rule]


def test_an_unknown_parameter_is_answered_with_the_nearest() -> None:
    with pytest.raises(Usage) as refusal:
        start_params(DEFINITION, {"limt": 1})

    assert refusal.value.problems[0].suggestion == "limit"


def test_a_parameter_without_default_must_be_given() -> None:
    needy = Definition("w", (), params={"day": Parameter(), "hour": Parameter("integer")})

    with pytest.raises(Usage) as refusal:
        start_params(needy, {"hour": "3"})

    assert [(p.rule, p.suggestion) for p in refusal.value.problems] == [
        ("missing_field", "--param day=…")
    ]


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        (None, None, ("mon", "workflow")),
        ("tue", None, ("tue", "task")),
        ("", None, ("mon", "workflow")),
        (None, "wed", ("wed", "startup")),
        ("tue", "wed", ("wed", "startup")),
        ("tue", "mon", ("mon", "startup")),
    ],
)
def test_given_beats_the_task_and_the_task_beats_the_workflow(
    own: str | None, given: str | None, expected: tuple[str, str]
) -> None:
    found = place({"day": own}, {"day": given} if given else {})

    assert found["day"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${limit}", (100, "workflow")),
        ("${extract.rows}", ([1, "${day}"], "extract.rows")),
        ("${extract.bytes}", (7, "extract.bytes")),
        ("${day}/${extract.rows}.csv", ('mon/[1,"${day}"].csv', "task")),
        ("plain $day {x} $", ("plain $day {x} $", "task")),
        (True, (True, "task")),
    ],
)
def test_references_are_replaced_once_and_a_lone_one_keeps_its_type(
    text: Scalar, expected: tuple[object, str]
) -> None:
    found = place({"x": text}, outputs={"extract": {"rows": [1, "${day}"]}})

    assert found["x"] == expected


@pytest.mark.parametrize(
    ("outputs", "rule"),
    [
        ({}, "missing_output"),
        ({"rows": "a\0"}, "bad_text"),
        ({"rows": "x" * 200_000}, "too_large"),
        ({"rows": ["ø" * 100_000]}, "too_large"),
    ],
)
def test_an_output_that_cannot_be_passed_on_is_a_problem(
    outputs: dict[str, Any], rule: str
) -> None:
    assert place({"x": "${extract.rows}"}, outputs={"extract": outputs}) == {"!": rule}


def test_many_large_outputs_in_one_text_do_not_fill_the_memory() -> None:
    large = {"extract": {"rows": "x" * 100_000}}

    assert place({"x": "${extract.rows}" * 5_000}, outputs=large) == {"!": "too_large"}


def test_upstream_names_each_task_once() -> None:
    task = Task("t", params={"a": "${x.y.rows} ${b.c}", "b": "${b.d}${p}", "c": 1})

    assert upstream(task) == ("x.y", "b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, ""),
        (1.0, "1.0"),
        (10**18, "1000000000000000000"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_values_become_text_for_the_environment(value: object, text: str) -> None:
    assert as_text(value) == text
