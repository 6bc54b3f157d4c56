"""Logs followed on a real cluster: of one task across attempts, of all tasks as they come."""

import json

import pytest

from .home import LiveHome, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

#: Fails once; says in each attempt which it is, in two pieces.
TWICE = """
echo "attempt $STENELLA_ATTEMPT_NUMBER"
sleep 0.6
echo "end of $STENELLA_ATTEMPT_NUMBER"
[ "$STENELLA_ATTEMPT_NUMBER" = 2 ]
"""
BOTH = ["attempt 1", "end of 1", "attempt 2", "end of 2"]


def started(home: LiveHome) -> int:
    file = home.definition(
        "talking",
        [
            {"name": "twice", "script": TWICE, "retry": {"times": 1, "interval": "100ms"}},
            {"name": "slow", "script": "for i in 1 2 3 4; do echo slow $i; sleep 0.5; done"},
            {"name": "last", "script": "echo last", "depends_on": ["twice", "slow"]},
            {"name": "joint", "type": "noop", "depends_on": ["last"]},
        ],
    )
    number: int = home.json("submit", file)["workflow_instance_id"]
    return number


def test_following_a_task_goes_on_across_attempts_and_ends_with_it(cluster: LiveHome) -> None:
    number = started(cluster)

    assert cluster.run("logs", f"{number}/twice", "-f").splitlines() == BOTH
    assert cluster.run("logs", f"{number}/last", "-f") == "last\n"
    assert cluster.run("logs", f"{number}/twice", "--tail", "1") == "end of 2\n"
    assert cluster.run("logs", f"{number}/twice", "--attempt", "1").splitlines() == BOTH[:2]


def test_following_an_instance_interleaves_its_tasks_with_their_names(cluster: LiveHome) -> None:
    number = started(cluster)

    lines = cluster.run("logs", str(number), "-f").splitlines()

    of_task: dict[str, list[str]] = {}
    for line in lines:
        name, text = line.split(" │ ")
        of_task.setdefault(name.strip(), []).append(text)
    assert of_task == {
        "twice": BOTH[:2],
        "twice#2": BOTH[2:],
        "slow": [f"slow {n}" for n in range(1, 5)],
        "last": ["last"],
    }
    names = [line.split(" │ ")[0].strip() for line in lines]
    assert names.index("twice#2") < len(names) - 1 - names[::-1].index("slow")
    assert names[-1] == "last"


def test_who_comes_later_is_told_of_the_attempts_before(cluster: LiveHome) -> None:
    number = started(cluster)
    until(
        lambda: cluster.json("show", str(number))["tasks"][0]["attempt"] == 2, "it is tried again"
    )

    assert cluster.run("logs", f"{number}/twice", "-f").splitlines() == BOTH


def test_following_for_programs_is_a_document_a_line(cluster: LiveHome) -> None:
    number = started(cluster)

    rows = [
        json.loads(row) for row in cluster.run("logs", str(number), "-f", "--json").split("\n")[:-1]
    ]

    text = "".join(row["text"] for row in rows if row["name"] == "twice" and row["attempt"] == 2)
    assert text.splitlines() == BOTH[2:]
