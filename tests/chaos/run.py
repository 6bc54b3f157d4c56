"""A run of chaos from beginning to end: torment while there is load, then peace, then judgement."""

import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from stenella.client.client import Client
from stenella.protocol.states import TaskState

from ..live.home import until
from .load import workflow
from .machines import Cluster
from .tormentor import Tormentor
from .verdict import Record, judge_ledger

TASKS_PER_WORKFLOW = 20  # small ones, so that there is always something at work
LOOK_S = 1.0
#: After the torment: the longest lease and what a loaded machine needs for what is left.
PEACE_S_MAX = 240.0
#: A request is repeated so long: a frozen master, a killed one, and their successor's start.
ASKED_S_MAX = 120.0


class Outcome(msgspec.Struct):
    """What was done and how it ended."""

    seconds: float
    peace_s: float
    isolated: bool
    tasks: int
    attempts: int
    states: dict[str, int]
    lost: int
    deeds: dict[str, int]


def chaos(folder: Path, *, seconds: float, tasks: int, workers: int, seed: int) -> Outcome:
    """Run it. Raises `Violation`, and AssertionError where something does not end."""
    (folder / "locks").mkdir()
    random = Random(seed)
    cluster = Cluster(folder, workers)
    try:
        tormentor = Tormentor(cluster, seed, folder / "deeds")
        record = Record(cluster.master.root / "stenella.db")
        tormentor.start()
        began_s = time.monotonic()
        try:
            numbers = submit_all(cluster, random, folder, seconds, tasks, record)
        finally:
            tormentor.end()
        peace_s = time.monotonic()
        until(lambda: is_over(record, numbers), "every instance has ended", PEACE_S_MAX)
        ended_s = time.monotonic()
        record.rows.at_end()
        judge_ledger((folder / "ledger").read_text().splitlines(), record.rows)
        outcome = count(record, tormentor)
        outcome.seconds, outcome.peace_s = peace_s - began_s, ended_s - peace_s
        outcome.isolated = cluster.isolated
        return outcome
    finally:
        cluster.end()


def submit_all(
    cluster: Cluster, random: Random, folder: Path, seconds: float, tasks: int, record: Record
) -> list[int]:
    """Submit workflow after workflow over the time, looking at the history all along."""
    numbers = []
    began_s = time.monotonic()
    count = max(1, tasks // TASKS_PER_WORKFLOW)
    size = min(tasks, TASKS_PER_WORKFLOW)
    with Client(home=cluster.master.root, limit_s=ASKED_S_MAX) as client:
        for number in range(count):
            instance = client.submit(workflow(random, number, size, folder))
            numbers.append(instance.id)
            while time.monotonic() - began_s < seconds * (number + 1) / count:
                record.look()
                time.sleep(LOOK_S)
    return numbers


def is_over(record: Record, numbers: list[int]) -> bool:
    """Whether all that was submitted has ended."""
    time.sleep(LOOK_S / 4)
    record.look()
    return set(numbers) <= set(record.rows.instances) and not record.live()


def count(record: Record, tormentor: Tormentor) -> Outcome:
    """The figures of a run."""
    rows = record.rows
    states = Counter(TaskState(row["state"]).name for row in rows.tasks.values())
    lost = sum(e["to_state"] == TaskState.NEED_FAULT_TOLERANCE for e in rows.ends.values())
    return Outcome(
        seconds=0.0,
        peace_s=0.0,
        isolated=False,
        tasks=len(rows.tasks),
        attempts=len(rows.ends),
        states=dict(states),
        lost=lost,
        deeds=dict(tormentor.deeds),
    )
