"""Bugs found around what is left alone until a person acts, put back as they were.

Part of `regressions.FOUND`.
"""

from typing import Any

from stenella.actors.base import Context
from stenella.actors.master.event_persister import EventPersister
from stenella.actors.master.gateway import Gateway
from stenella.actors.master.known import Known
from stenella.actors.master.liveness import Terms
from stenella.actors.master.registry import Registry
from stenella.actors.master.workflow_executor import WorkflowExecutor
from stenella.protocol.rows import DeadLetter
from stenella.storage.journal import Journal

from .bugs import CALM, Bug
from .bugs import master as in_master
from .parts import Parts


class UnparksTwice(WorkflowExecutor):
    """An instance that two letters stand for was written twice, from what was read before."""

    def _unpark_loaded(self, loaded: Any, ctx: Context) -> None:
        self.unparked.clear()
        super()._unpark_loaded(loaded, ctx)


class JudgesTheParkedByAnyLife(EventPersister):
    """What was parked while the power failed was called never begun: it had run, and ran again."""

    def _knows_journal(self, row: Any, judge: Any) -> bool:
        known: bool = judge.known_journal
        return known


class LeavesItToTheDead(Registry):
    """What was parked when its worker died stayed there for ever, and could not be killed."""

    def _hand_over_parked(self, ctx: Context) -> None:
        pass


class DiesNotIfItLeft(Known):
    """Who had left with ends that nobody took was waited for without end."""

    def may_be_dead(self, terms: Terms) -> bool:
        return not self.is_over and super().may_be_dead(terms)


class WaitsForThoseWhoLeft(Registry):
    def _look_for_silent(self, ctx: Context) -> None:
        for known in self.workers.values():
            known.__class__ = DiesNotIfItLeft
        super()._look_for_silent(ctx)


class OverWhenForgotten(Known):
    """Who was forgotten while it was late gave way to a clone, and what was parked ran on there."""

    @property
    def is_over(self) -> bool:
        return super().is_over or self.is_hidden


class TakesClonesOfTheForgotten(Registry):
    def _register(self, register: Any, ctx: Context) -> None:
        for known in self.workers.values():
            known.__class__ = OverWhenForgotten
        super()._register(register, ctx)


class ThrowsTheLetterAway(Gateway):
    """Its instance went on in a later commit; after a crash between them nobody could let it."""

    def _take_letter(self, loaded: Any, ctx: Context) -> None:
        ctx.delete(DeadLetter, loaded.key[0])
        super()._take_letter(loaded, ctx)


class TakesWhatHasEndedAgain(Journal):
    """A letter of an instance that had ended crashed each life of the master by itself."""

    def to_redeliver(self) -> list[tuple[int, str, str, str]]:
        sql = (
            "SELECT dead_letter.id, actor, sender, body FROM dead_letter JOIN workflow_instance "
            "ON workflow_instance.id = dead_letter.workflow_instance_id "
            "WHERE dead_letter.key != '' AND attention = ''"
        )
        return self.connection.execute(sql).fetchall()


class WaitsForThemAgain(Registry):
    """Who had drained and was started again in the midst of a shutdown was waited for again."""

    def _welcome(self, verdicts: Any, ctx: Context) -> None:
        drain, self.drain = self.drain, None
        super()._welcome(verdicts, ctx)
        self.drain = drain


#: The power fails again and again where a RUNNING crashes the master.
DARK = {
    "crasher": "running",
    "leased": 0.0,
    "noops": 0.0,
    "reboot_ms": 5_000,
    "power_cut": True,
    "file_ms_max": 5,
    "instances": 8,
}

#: Workers go and do not come back, some with what a RUNNING had parked.
GONE = {
    "crasher": "running",
    "noops": 0.0,
    "task_ms_max": 20_000,
    "instances": 8,
    "workers": 3,
    "keeping": 0.0,
    "poison": 0.0,
    "stubborn": 0.0,
}

#: Many tasks of one instance run where a RUNNING crashes the master, which takes little at a time.
MANY_LETTERS = {
    "crasher": "running",
    "leased": 0.0,
    "noops": 0.0,
    "instances": 8,
    "task_ms_max": 4_000,
    "tasks_max": 30,
    "slots": 8,
    "odd": 0.0,
    "cycle_ms_max": 100,
    "turn_messages": 3,
    "safety_ms": 20_000,
    "workers": 2,
}

FOUND_PARKED = [
    Bug(
        "two letters of one instance",
        "§4",
        in_master(workflow_executor=UnparksTwice),
        CALM | MANY_LETTERS,
        seed=4,
    ),
    Bug(
        "what was parked is judged by any life",
        "I11",
        in_master(event_persister=JudgesTheParkedByAnyLife),
        CALM | DARK,
        seed=2,
    ),
    Bug(
        "what was parked on a worker that died",
        "§1",
        in_master(registry=LeavesItToTheDead),
        CALM | GONE | {"leased": 1.0, "lose_ms": 5_000, "mended_ms": 20_000},
        seed=2,
    ),
    Bug(
        "what was parked on a worker that left",
        "I36",
        in_master(registry=WaitsForThoseWhoLeft),
        CALM | GONE | {"shutdowns": 10_000, "dismissed": 1.0},
    ),
    Bug(
        "a clone of one that was forgotten with what was parked",
        "§5",
        in_master(registry=TakesClonesOfTheForgotten),
        CALM
        | GONE
        | {"leased": 1.0, "orders_ms": 300, "twin_ms": 4_000, "workers": 2, "fence_grace_ms": 4_000}
        | {"cut_interval_ms": 4_000, "cut_ms_max": 25_000, "lease_ms": 10_000},
        seed=400,
    ),
    Bug(
        "a letter that is gone before its instance goes on",
        "I36",
        in_master(gateway=ThrowsTheLetterAway),
        CALM
        | {"crasher": "row", "mended_ms": 20_000, "safety_ms": 60_000}
        | {"master_crash_ms": 1_000, "down_ms_max": 1, "commit_ms_max": 500},
        seed=19,
    ),
    Bug(
        "a letter of what has ended",
        "poison is quarantined",
        Parts(journal=TakesWhatHasEndedAgain),
        CALM | GONE | {"leased": 1.0, "cut_interval_ms": 4_000, "cut_ms_max": 25_000, "kills": 1.0},
        seed=8,
    ),
    Bug(
        "a shutdown of workers that are started again",
        "I36",
        in_master(registry=WaitsForThemAgain),
        CALM | GONE | {"shutdowns": 10_000, "down_ms_max": 100, "leased": 0.0},
        seed=4,
    ),
]
