"""The simulation's own claims: each invariant has a checker, each fault an option that is drawn."""

import re
from pathlib import Path
from random import Random

import pytest

from .coverage import AWAITED, FAULTS, INVARIANTS
from .faults import BY_THEMSELVES
from .options import DRAWN, WEATHER, Options

HERE = Path(__file__).parent
CHECKERS = (
    *("checkers", "clients", "journals", "leases", "limits", "mailboxes", "processes"),
    *("queue_order", "rows", "said", "waits", "world"),
)
#: What reliability.md sections 3 and 4 have and no other place of the tests.
WANTED_INVARIANTS = {f"I{n}" for n in (*range(1, 25), 29, *range(32, 37))}
WANTED_FAULTS = {
    *(f"F{n}" for n in (*range(1, 7), *range(8, 17), *range(19, 22), *range(23, 27))),
    *("F28", "F30", "F31", "F32", "F33", "F35", "F36"),
}
SEEDS = 300


def rules() -> set[str]:
    """Every invariant that a rule of a checker begins with, or names beside others."""
    found: set[str] = set()
    for name in CHECKERS:
        path = HERE / f"{name}.py"
        for rule in re.findall(r'(?:Violation|hold)\(\s*"(I\d[^"]*)"', path.read_text()):
            found.update(re.findall(r"I\d+", rule))
    return found


def test_every_invariant_and_fault_is_there_or_awaited() -> None:
    assert {*INVARIANTS, *AWAITED} >= WANTED_INVARIANTS
    assert {*FAULTS, *AWAITED} >= WANTED_FAULTS
    assert not {*INVARIANTS, *FAULTS} & {*AWAITED}


@pytest.mark.parametrize("number", INVARIANTS)
def test_every_invariant_has_a_checker(number: str) -> None:
    assert number in rules()


@pytest.mark.parametrize("number", FAULTS)
def test_every_fault_is_drawn_by_some_seed_and_not_by_all(number: str) -> None:
    _, names = FAULTS[number]
    fine = Options(seed=0)

    for name in names:
        if name != "crash_at":  # enumerated by `test_killers.py`
            drawn = {DRAWN[name](Random(f"{seed}.{name}")) for seed in range(SEEDS)}
            assert len(drawn) > 1
            assert drawn != {getattr(fine, name)}


def test_what_comes_by_itself_is_drawn_and_ends_with_the_weather() -> None:
    assert set(BY_THEMSELVES) <= {*DRAWN} & {*WEATHER, "storm_ms"}
