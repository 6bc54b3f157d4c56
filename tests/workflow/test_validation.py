"""What a definition may not say, rule by rule, on plain documents."""

from typing import Any

import pytest

from stenella.protocol.errors import Problem
from stenella.workflow.definition import (
    DEFINITION_BYTES_MAX,
    SCRIPT_BYTES_MAX,
    TASKS_MAX,
    Definition,
    Output,
    Parameter,
    Retry,
    Task,
    Timeout,
    decode,
    encode,
)
from stenella.workflow.findings import PROBLEMS_MAX, Findings
from stenella.workflow.validation import check, validate

TYPES = frozenset({"shell", "noop", "python", "theirs"})


def problems(document: object) -> list[Problem]:
    findings = Findings()
    definition = validate(document, findings, TYPES)
    assert (definition is None) == bool(findings.count)
    return findings.problems()


def found(document: object) -> list[tuple[str, str | None, str | None]]:
    """Rule, path and suggestion of each problem."""
    return [(p.rule, p.path, p.suggestion) for p in problems(document)]


def workflow(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A document that is sound but for what is given."""
    return {"name": "w", "tasks": [{"type": "noop", **task} for task in tasks], **fields}


def one(**fields: Any) -> dict[str, Any]:
    """A workflow of one shell task with ``fields``."""
    return workflow({"name": "t", "type": "shell", "script": "true", **fields})


EXTRACT = {"name": "extract", "outputs": ["rows"]}


def declaring(parameter: object) -> dict[str, Any]:
    """A workflow with the parameter ``a``."""
    return workflow(EXTRACT, params={"a": parameter})


@pytest.mark.parametrize(
    ("document", "rule", "path", "suggestion"),
    [
        (None, "empty", None, None),
        ({}, "empty", None, None),
        (workflow(), "empty", "tasks", None),
        ("text", "wrong_type", None, None),
        (workflow(EXTRACT, name=5), "wrong_type", "name", '"5"'),
        (workflow(EXTRACT, name="a b"), "bad_name", "name", None),
        (workflow(EXTRACT, name="x" * 129), "bad_name", "name", None),
        (workflow(EXTRACT, schedule="2h"), "unknown_field", "schedule", None),
        (workflow(EXTRACT, priority="hihg"), "wrong_type", "priority", "high"),
        (workflow(EXTRACT, priority=1), "wrong_type", "priority", None),
        (workflow(EXTRACT, timeout=120), "bad_duration", "timeout", "120s"),
        (one(timeout="soon"), "bad_duration", "tasks[0].timeout", None),
        (one(timeout={"strategy": "fail"}), "missing_field", "tasks[0].timeout", None),
        (one(timeout={"after": "1s", "strategy": "kill"}), "wrong_type",
         "tasks[0].timeout.strategy", None),
        (one(timeout={"afer": "1s", "after": "1s"}), "unknown_field",
         "tasks[0].timeout.afer", "after"),
        (one(delay=30), "bad_duration", "tasks[0].delay", "30s"),
        (one(priority="urgent"), "wrong_type", "tasks[0].priority", None),
        (workflow(EXTRACT, parms={}), "unknown_field", "parms", "params"),
        (workflow(EXTRACT, failure_strategy="ends"), "wrong_type", "failure_strategy", "end"),
        (workflow(EXTRACT, description="\0"), "bad_text", "description", None),
        ({"tasks": [EXTRACT | {"type": "noop"}]}, "missing_field", None, None),
        (workflow({}), "missing_field", "tasks[0]", None),
        (workflow(EXTRACT, {"name": "extract"}), "duplicate_name", "tasks[1].name", None),
        (workflow(EXTRACT, {"name": "Extract"}), "duplicate_name", "tasks[1].name", None),
        (workflow({"name": "é"}), "bad_name", "tasks[0].name", None),
        (one(type="shel"), "unknown_type", "tasks[0].type", "shell"),
        (one(script=None), "wrong_type", "tasks[0].script", None),
        (one(script="  \n"), "missing_script", "tasks[0].script", None),
        (workflow({"name": "t", "type": "shell"}), "missing_script", "tasks[0]", None),
        (workflow({"name": "t", "script": "x"}), "unknown_field", "tasks[0].script", None),
        (one(script="a\0"), "bad_text", "tasks[0].script", None),
        (one(script="\ud800"), "bad_text", "tasks[0].script", None),
        (one(script="x" * (SCRIPT_BYTES_MAX + 1)), "too_large", "tasks[0].script", None),
        (one(script="ø" * (SCRIPT_BYTES_MAX // 2 + 1)), "too_large", "tasks[0].script", None),
        (one(depends_on="a"), "wrong_type", "tasks[0].depends_on", "[a]"),
        (one(depends_on=[1]), "wrong_type", "tasks[0].depends_on[0]", '"1"'),
        (one(depends_on=["T"]), "unknown_name", "tasks[0].depends_on[0]", "t"),
        (one(depends_on=["t"]), "cycle", "tasks[0].depends_on", None),
        (one(worker_group=""), "bad_name", "tasks[0].worker_group", None),
        (one(working_dir=""), "empty", "tasks[0].working_dir", None),
        (one(retry=3), "wrong_type", "tasks[0].retry", "{times: 3}"),
        (one(retry={"times": -1}), "out_of_range", "tasks[0].retry.times", None),
        (one(retry={"times": 10**9}), "out_of_range", "tasks[0].retry.times", None),
        (one(retry={"times": True}), "wrong_type", "tasks[0].retry.times", None),
        (one(retry={"backoff": 0.5}), "out_of_range", "tasks[0].retry.backoff", None),
        (one(retry={"interval": 10}), "bad_duration", "tasks[0].retry.interval", "10s"),
        (one(retry={"interval": "8d"}), "out_of_range", "tasks[0].retry.interval", None),
        (one(retry={"time": 3}), "unknown_field", "tasks[0].retry.time", "times"),
        (one(env={"LD_PRELOAD": "x"}), "reserved_name", "tasks[0].env.LD_PRELOAD", None),
        (one(env={"A-B": "x"}), "bad_name", "tasks[0].env.A-B", None),
        (one(env={"A": 1.10}), "wrong_type", "tasks[0].env.A", '"1.1"'),
        (one(env={"A": "x" * 131_070}), "too_large", "tasks[0].env.A", None),
        (one(outputs=["PATH"]), "reserved_name", "tasks[0].outputs[0]", None),
        (one(outputs=["a", {"name": "a"}]), "duplicate_name", "tasks[0].outputs[1]", None),
        (one(outputs=[{"default": 1}]), "missing_field", "tasks[0].outputs[0]", None),
        (one(params={"STENELLA_X": 1}), "reserved_name", "tasks[0].params.STENELLA_X", None),
        (one(params={"a": [1]}), "wrong_type", "tasks[0].params.a", None),
        (one(params={"a": 2**63}), "out_of_range", "tasks[0].params.a", None),
        (one(params={"a": float("inf")}), "out_of_range", "tasks[0].params.a", None),
        (declaring(None), "wrong_type", "params.a", "{type: string} if it is given at submit"),
        (declaring({"type": "int"}), "wrong_type", "params.a.type", "integer"),
        (declaring({"type": "integer", "default": "1"}), "wrong_type", "params.a", None),
        (declaring({"type": "number", "default": 1, "min": 2}), "out_of_range", "params.a", None),
        (declaring({"type": "number", "min": 2, "max": 1}), "out_of_range", "params.a", None),
        (declaring({"min": 2}), "wrong_type", "params.a", None),
        (declaring("$[yyyyMMdd-1]"), "placeholder", "params.a", None),
        (declaring("${b}"), "bad_reference", "params.a", None),
        (workflow(EXTRACT, params={"a b": 1}), "bad_name", "params['a b']", None),
    ],
)  # fmt: skip
def test_a_wrong_document_is_answered_with_one_rule(
    document: object, rule: str, path: str | None, suggestion: str | None
) -> None:
    assert found(document) == [(rule, path, suggestion)]


@pytest.mark.parametrize("after", ["0s", "-5m", "3650d", "999999999999d"])
def test_b25_a_timeout_of_nothing_less_or_ten_years_is_out_of_range(after: str) -> None:
    for document in (
        workflow(EXTRACT, timeout=after),
        one(timeout=after),
        one(timeout={"after": after, "strategy": "warn"}),
    ):
        [(rule, path, _)] = found(document)
        assert rule == "out_of_range"
        assert path is not None
        assert "timeout" in path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retry", {"times": 10**9}),
        ("retry", {"jitter": 1.5}),
        ("retry", {"jitter": -0.1}),
        ("retry", {"jitter": float("nan")}),
        ("retry", {"interval": "-1s"}),
        ("delay", "-1s"),
        ("delay", "8d"),
    ],
)
def test_b25_a_wait_or_a_number_of_tries_beyond_reason_is_out_of_range(
    field: str, value: object
) -> None:
    [(rule, path, _)] = found(one(**{field: value}))

    assert rule == "out_of_range"
    assert str(path).startswith(f"tasks[0].{field}")


def test_a_timeout_in_short_form_fails_a_task_and_warns_of_a_workflow() -> None:
    read = validate(workflow(EXTRACT | {"timeout": "5m"}, timeout="2h"), Findings(), TYPES)

    assert read is not None
    assert read.timeout == Timeout(7_200_000, "warn")
    assert read.tasks[0].timeout == Timeout(300_000, "fail")


def test_the_long_forms_are_read_as_they_are_written() -> None:
    task = EXTRACT | {
        "timeout": {"after": "1h30m", "strategy": "warn_fail"},
        "delay": "30s",
        "priority": "lowest",
        "retry": {"times": 2, "jitter": 0.5},
    }
    read = validate(
        workflow(task, timeout={"after": "1d", "strategy": "fail"}, priority="highest"),
        Findings(),
        TYPES,
    )

    assert read is not None
    (only,) = read.tasks
    assert (read.timeout, read.priority) == (Timeout(86_400_000, "fail"), "highest")
    assert only.timeout == Timeout(5_400_000, "warn_fail")
    assert (only.delay_ms, only.priority, only.retry) == (30_000, "lowest", Retry(2, jitter=0.5))


@pytest.mark.parametrize(
    ("value", "rule", "suggestion"),
    [
        ("${nope}", "unknown_name", None),
        ("${dya}", "unknown_name", "${day}"),
        ("${extrct.rows}", "unknown_name", "${extract.rows}"),
        ("${extract.row}", "unknown_output", "${extract.rows}"),
        ("${other.x}", "not_an_ancestor", "depends_on: [other]"),
        ("${t.own}", "not_an_ancestor", None),
        ("${below.x}", "not_an_ancestor", "depends_on: [below]"),
        ("${extract.rows", "bad_reference", None),
        ("${}", "bad_reference", None),
        ("${day:-x}", "bad_reference", None),
        ("${a b.rows}", "bad_reference", None),
        ("x $[month_begin(yyyyMMdd,-1)]", "placeholder", None),
    ],
)
def test_a_wrong_reference_is_answered_with_one_rule(
    value: str, rule: str, suggestion: str | None
) -> None:
    document = workflow(
        EXTRACT,
        {"name": "other", "outputs": ["x"]},
        {"name": "t", "depends_on": ["extract"], "params": {"a": value}, "outputs": ["own"]},
        {"name": "below", "depends_on": ["t"], "outputs": ["x"]},
        params={"day": "mon"},
    )

    assert found(document) == [(rule, "tasks[2].params.a", suggestion)]


@pytest.mark.parametrize("value", ["${day}", "${extract.rows}", "a ${day} $[1] $x {y} $", "$[i+1]"])
def test_a_reference_to_a_parameter_or_to_any_ancestor_is_fine(value: str) -> None:
    document = workflow(
        EXTRACT,
        {"name": "middle", "depends_on": ["extract"]},
        {"name": "t", "depends_on": ["middle"], "params": {"a": value}},
        params={"day": "mon"},
    )

    assert found(document) == []


@pytest.mark.parametrize("where", ["script", "env"])
@pytest.mark.parametrize(
    ("text", "rule"),
    [("echo ${extract.rows}", "bad_reference"), ("echo $[yyyyMMdd-1]", "placeholder")],
)
def test_what_only_params_can_do_is_refused_elsewhere(where: str, text: str, rule: str) -> None:
    fields: dict[str, Any] = {"script": text} if where == "script" else {"env": {"A": text}}
    task = {"name": "t", "type": "shell", "script": "true", "depends_on": ["extract"], **fields}

    (problem,) = problems(workflow(EXTRACT, task))

    assert problem.rule == rule
    assert "in params" in problem.message


@pytest.mark.parametrize(
    "script",
    [
        "echo ${day} ${arr[0]} ${x:-1.5} ${file%.csv} ${file##*.} $((1+2)) $[1+2] $[i+1] ${#x}",
        "echo ${x-a.b}",
        "cat <<'EOF'\n${project.version}\nEOF",
    ],
)
def test_plain_shell_stays_plain_shell(script: str) -> None:
    assert found(workflow(EXTRACT, {"name": "t", "type": "shell", "script": script})) == []


def test_a_cycle_is_shown_with_its_path() -> None:
    (problem,) = problems(
        workflow(
            {"name": "a", "depends_on": ["c"]},
            {"name": "b", "depends_on": ["a"]},
            {"name": "c", "depends_on": ["b"]},
            {"name": "d", "depends_on": ["c"]},
        )
    )

    assert problem.message.endswith("a → b → c → a")


def test_the_middle_of_a_long_cycle_is_left_out() -> None:
    size = 1_000
    tasks = [{"name": f"t{n}", "depends_on": [f"t{(n - 1) % size}"]} for n in range(size)]

    (problem,) = problems(workflow(*tasks))

    assert len(problem.message) < 300


def test_one_wrong_field_hides_nothing_else() -> None:
    rules = [
        problem.rule
        for problem in problems(
            {
                "name": "a b",
                "tasks": [
                    {"name": "a", "script": "x", "depends_on": ["b"], "retry": {"interval": 5}},
                    {"name": "b", "script": "x", "depends_on": ["a", "c"], "depend": []},
                    {"script": "x"},
                    7,
                ],
            }
        )
    ]

    assert sorted(rules) == sorted(
        [
            *("bad_name", "bad_duration", "unknown_field", "missing_field", "wrong_type"),
            *("cycle", "unknown_name"),
        ]
    )


def test_more_problems_than_anybody_reads_are_counted() -> None:
    tasks = [{"name": f"t{n}", "depends_on": ["gone"]} for n in range(PROBLEMS_MAX + 7)]

    shown = problems(workflow(*tasks))

    assert len(shown) == PROBLEMS_MAX + 1
    assert (shown[-1].rule, shown[-1].message) == ("too_many", "7 more problems are not shown")


@pytest.mark.slow
def test_too_many_tasks_are_refused_before_they_are_compared() -> None:
    document = workflow(*({"name": "t"} for _ in range(TASKS_MAX + 1)))

    assert found(document) == [("too_large", "tasks", None)]


def test_of_tasks_that_are_alike_each_problem_is_told() -> None:
    tasks = [{"name": name, "type": "noop", "env": {"PATH": "/"}} for name in ("a", "b", "c")]

    assert [path for _, path, _ in found(workflow(*tasks))] == [
        f"tasks[{place}].env.PATH" for place in range(3)
    ]


def test_a_definition_above_its_limit_is_refused() -> None:
    count = DEFINITION_BYTES_MAX // SCRIPT_BYTES_MAX
    script = "x" * SCRIPT_BYTES_MAX
    tasks = [{"name": f"t{n}", "type": "shell", "script": script} for n in range(count)]

    assert found(workflow(*tasks)) == [("too_large", None, None)]


def test_a_message_cannot_harm_a_terminal() -> None:
    (problem,) = problems(workflow({"name": "\x1b[2J\ud800" + "x" * 10_000}))

    assert problem.message.isprintable()
    assert len(problem.message) < 250


def test_a_type_of_somebody_else_may_have_what_it_likes_to_run() -> None:
    ways: list[dict[str, object]] = [{}, {"script": "x"}, {"file": "x", "command": ["y"]}]
    tasks = [{"name": f"t{n}", "type": "theirs", **way} for n, way in enumerate(ways)]

    assert found(workflow(*tasks)) == []


def test_what_was_validated_passes_the_masters_check() -> None:
    findings = Findings()
    definition = validate(
        workflow(
            EXTRACT, {"name": "t", "depends_on": ["extract"], "params": {"r": "${extract.rows}"}}
        ),
        findings,
        TYPES,
    )

    assert definition is not None
    assert check(decode(encode(definition))) == []


def test_the_master_finds_what_a_client_did_not() -> None:
    hostile = Definition(
        name="../x",
        params={"LD_X": Parameter("integer", 10**400, min=10**400)},
        tasks=(
            Task("a", type="a b", depends_on=("a",), retry=Retry(-1, -1, float("nan"))),
            Task("a", script="", outputs=(Output("1"),), params={"x": "${a.b}"}, env={"y": "\0"}),
        ),
    )

    rules = {problem.rule for problem in check(hostile)}

    assert rules == {
        *("bad_name", "reserved_name", "out_of_range", "cycle", "duplicate_name"),
        *("missing_script", "bad_text", "unknown_output", "not_an_ancestor"),
    }


def test_the_master_refuses_a_definition_without_tasks() -> None:
    assert [problem.rule for problem in check(Definition("w", ()))] == ["empty"]
