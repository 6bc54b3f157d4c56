"""Bugs planted on purpose: each must be caught, or the simulation is decoration.

The one table of them: what each is called, what it breaks, where it is put, and in which weather
it shows. `test_planted.py` plays them; bugs that were found, not made, stand in `regressions.py`.
"""

from . import planted_master as master
from . import planted_turn as turn
from . import planted_worker as worker
from .bugs import (
    CALM,
    FAILING,
    FULL,
    LOSSY,
    ORDERED,
    OUT_OF_ORDER,
    SLOW_DISK,
    SLOW_FILES,
    WARDENS_DIE,
    WORKERS_DIE,
    Bug,
)
from .bugs import master as in_master
from .bugs import worker as in_worker
from .parts import Parts
from .planted_crashes import PLANTED_CRASHES
from .planted_kills import PLANTED_KILLS
from .planted_leases import PLANTED_LEASES
from .planted_parts import PLANTED_PARTS
from .planted_time import PLANTED_TIME
from .planted_watches import PLANTED_WATCHES

#: Worker and warden die twice a second, between the order to start and the knowledge of it.
HURRIED = {
    "warden_crash_ms": 500,
    "worker_crash_ms": 500,
    "down_ms_max": 1,
    "cycle_ms_max": 100,
    "commit_ms_max": 20,
    "file_ms_max": 200,
    "leased": 0.0,
    "instances": 8,
}

PLANTED = [
    Bug("ack before commit", "I6", Parts(turn=turn.AcksBeforeCommit), SLOW_DISK),
    Bug(
        "a turn without writes is released early",
        "I6: it acknowledges a copy of what is being committed",
        Parts(turn=turn.ReleasesQuietTurnsEarly),
        SLOW_DISK | {"repeats": 0.3, "delay_ms_max": 20},
    ),
    Bug("Welcome before the worker's row", "§5", Parts(turn=turn.WelcomesBeforeCommit), SLOW_DISK),
    Bug("dedup off", "I5", in_master(event_persister=master.KnowsNoSeq), LOSSY),
    Bug(
        "a retry keeps the attempt number",
        "I12",
        in_master(event_persister=master.KeepsTheAttemptNumber),
        FAILING,
    ),
    Bug("an event is not written", "I3, I9", in_master(event_persister=master.ForgetsAnEvent)),
    Bug(
        "what a worker has is forgotten with the master's life",
        "what a worker has is what the rows say",
        in_master(event_persister=master.KnowsNotWhereItIs),
        CALM | {"master_crash_ms": 3_000, "noops": 0.0, "task_ms_max": 4_000},
    ),
    Bug(
        "a slot is freed twice",
        "I28",
        in_master(dispatcher=master.FreesASlotTwice),
        FULL | {"slots": 2},
    ),
    Bug(
        "who refused is asked again at once",
        "a refused task is no hot loop",
        in_master(dispatcher=master.AsksRefusersAgain),
        CALM | {"disk_ms": 1_000, "delay_ms_max": 2, "workers": 1, "noops": 0.0, "instances": 8},
    ),
    Bug(
        "a drained worker that registers is given tasks",
        "a drained worker is given nothing",
        in_master(dispatcher=master.TakesUpDrainedOnes),
        CALM | ORDERED | {"worker_crash_ms": 1_500},
    ),
    Bug(
        "more slots than a person wants",
        "I28",
        in_master(dispatcher=master.BelievesTheWorkersSlots),
        CALM | ORDERED | FULL | {"slots": 1},
    ),
    Bug(
        "a worker of another group",
        "a task goes to a worker of its group",
        in_master(dispatcher=master.PlacesInAnyGroup),
        CALM | {"workers": 2, "big": 0.6},
    ),
    Bug(
        "a stale listing is judged",
        "I15: what was placed since is called lost",
        in_master(registry=master.JudgesEveryListing, event_persister=master.JudgesMissingAgain),
        OUT_OF_ORDER | {"task_ms_max": 4_000},
    ),
    Bug(
        "one parent is enough",
        "I16",
        in_master(workflow_executor=master.NeedsOneParent),
        {"tasks_max": 12},
    ),
    Bug("retry reporter dead", "I36", in_worker(retry_reporter=worker.NeverRepeats), LOSSY),
    Bug(
        "a refusal is forgotten",
        "I11: a late copy of a refused request is taken",
        in_worker(executor=worker.ForgetsRefusals),
        OUT_OF_ORDER | FULL | {"slots": 4, "stops": 1.0, "file_ms_max": 2_000, "noops": 0.0},
    ),
    Bug(
        "registers before its warden has answered", "§6", in_worker(executor=worker.RegistersAtOnce)
    ),
    Bug(
        "what the warden has is called abandoned",
        "I15",
        in_worker(executor=worker.CallsAdoptedOnesAbandoned),
        WORKERS_DIE,
    ),
    Bug(
        "any ack ends the repeating", "I7", in_worker(callback_sender=worker.ForgetsAtAnyAck), LOSSY
    ),
    Bug(
        "start is not idempotent",
        "I11",
        Parts(warden=worker.StartsAgain),
        CALM | WARDENS_DIE | WORKERS_DIE | HURRIED,
        seed=5,
    ),
    Bug(
        "a spawn without its record",
        "I11, I15",
        Parts(warden=worker.SpawnsUnrecorded),
        WARDENS_DIE | WORKERS_DIE,
    ),
    Bug(
        "lost while it runs",
        "I12, I35",
        Parts(warden=worker.EndsWithoutSweep),
        WARDENS_DIE | {"task_ms_max": 4_000},
    ),
    Bug(
        "the traces are looked at too soon",
        "what was written is told",
        Parts(warden=worker.LooksAtTracesTooSoon),
        CALM | {"noops": 0.0, "littering": 0.5},
    ),
    Bug(
        "a missing output is not missed",
        "I15: who was silent has succeeded",
        in_worker(executor=worker.TakesSilenceForSuccess),
        CALM | {"odd": 0.5, "noops": 0.0},
    ),
    Bug(
        "logs are looked at once",
        "B8",
        Parts(warden=worker.LooksAtLogsOnce),
        CALM | {"task_ms_max": 4_000, "noops": 0.0, "log_bytes_max": 100_000},
    ),
    Bug(
        "a dry run is run",
        "§6",
        in_worker(executor=worker.RunsWhatIsDry),
        {"dry": 0.5, "noops": 0.0},
    ),
    Bug(
        "a long preparation is kept quiet",
        "§6",
        in_worker(executor=worker.PreparesInSilence),
        CALM | SLOW_FILES,
    ),
    Bug("what runs is kept quiet", "§6", in_worker(executor=worker.RunsInSilence), CALM),
    Bug(
        "a failed preparation was never RUNNING",
        "§6",
        in_worker(executor=worker.FailsUnannounced),
        CALM | {"odd": 0.5, "noops": 0.0},
    ),
    Bug(
        "what was told to be RUNNING never began",
        "I35: its master waits for a RESULT that does not come",
        in_worker(executor=worker.TakesBackWhatItCalledRunning),
        CALM | SLOW_FILES | {"stops": 1.0},
    ),
    Bug(
        "a clone is taken",
        "§5",
        in_master(registry=master.TakesClones),
        CALM | {"twin_ms": 3_000, "noops": 0.0, "task_ms_max": 4_000, "instances": 8},
    ),
    *PLANTED_KILLS,
    Bug("a request is carried out twice", "I10", in_master(gateway=master.AnswersAgain), LOSSY),
    Bug(
        "what is done is refused while the disk stalls",
        "I10",
        in_master(gateway=master.RefusesWhatIsDone),
        CALM | {"disk_full_ms": 4_000, "instances": 8},
    ),
    Bug(
        "anybody's word is taken",
        "I33",
        in_master(event_persister=master.TakesAnybodysWord),
        {"forge_ms": 500, "noops": 0.0, "workers": 3, "task_ms_max": 4_000},
    ),
    Bug(
        "a stop leaves what waits",
        "I36",
        in_master(event_persister=master.StopsOnlyWhatRuns),
        FULL | {"stops": 1.0, "tasks_max": 12, "noops": 0.0},
    ),
    Bug(
        "never begun, although the power failed",
        "I11",
        in_master(event_persister=master.BelievesAbandonedAfterReboots),
        {"reboot_ms": 4_000, "power_cut": True, "noops": 0.0},
        seed=33,
    ),
    Bug(
        "one failure ends all",
        "I24",
        in_master(workflow_executor=master.HaltsAtAnyFailure),
        FAILING | {"tasks_max": 12},
    ),
    Bug(
        "END lets run what runs",
        "I24",
        in_master(workflow_executor=master.LetsRunWhatRuns),
        FAILING | {"tasks_max": 12},
    ),
    Bug("a ready task is forgotten", "I2", in_master(workflow_executor=master.ForgetsAChild)),
    Bug("a child is made twice", "I17", in_master(workflow_executor=master.MakesChildrenTwice)),
    Bug(
        "a former master is obeyed",
        "I13",
        in_worker(executor=worker.ObeysFormerMasters),
        OUT_OF_ORDER | {"master_crash_ms": 2_000, "down_ms_max": 1, "noops": 0.0, "ghosts": True},
        seed=13,
    ),
    Bug(
        "what is over stays in the journal",
        "I35",
        in_worker(executor=worker.KeepsWhatIsOver),
        CALM | {"instances": 2},
    ),
    Bug(
        "an end before its start",
        "I8",
        in_worker(executor=worker.BelievesTheClock),
        {"clock_jump_ms": 1_000, "noops": 0.0, "task_ms_max": 4_000},
    ),
    *PLANTED_TIME,
    *PLANTED_LEASES,
    *PLANTED_CRASHES,
    *PLANTED_PARTS,
    *PLANTED_WATCHES,
]
