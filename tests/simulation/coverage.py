"""What the simulation checks and what it breaks, by the numbers of its reliability model.

`INVARIANTS` says in one line what each means here; a checker names it at the head of the rule that
its `Violation` carries. `FAULTS` names the options that bring each about; some seed draws each.
What a feature has to bring with it stands in ``AWAITED`` until it does. `test_coverage.py` compares
all of it with the code.
"""

INVARIANTS = {
    "I1": "an acknowledged submission is there, with its intent",
    "I2": "each node is waiting, live, final, or skipped with a reason; none is forgotten",
    "I3": "each change of a row is a step of the table, event_no +1, with its event",
    "I4": "what is final does not change; earlier attempts neither",
    "I5": "the first end counts; copies and late callbacks change nothing",
    "I6": "what is told, acknowledged or sent is on disk",
    "I7": "an unacknowledged callback stays in the worker's journal",
    "I8": "start ≤ end, whatever the clocks and the order of callbacks",
    "I9": "the events fold to the rows",
    "I10": "the same request id gets the same answer, another body is refused",
    "I11": "no attempt runs twice",
    "I12": "no two attempts of a task run at the same time",
    "I13": "what an older epoch or a former dispatch says changes nothing",
    "I14": "a worker without an answer ends all it runs before anybody replaces it, and no other",
    "I15": "a recorded end is the attempt's result, and no result is invented",
    "I16": "a task starts when its parents have succeeded, on disk",
    "I17": "parents that end together make the child once",
    "I18": "no more tries than the policy has, each after its wait, which holds no slot",
    "I19": "nothing starts after a stop is on disk",
    "I20": "an attempt is over only when nothing of it is left, a killed one soon",
    "I21": "a child gets exactly the committed outputs of its parents",
    "I22": "nothing runs longer than its limit and the grace, nothing is ended or warned of early",
    "I23": "an instance ends if and only if its tasks have, and as they have",
    "I24": "after a failure END starts nothing and kills what lives, CONTINUE leaves nothing out",
    "I28": "no worker has more than its slots",
    "I29": "what is more urgent goes first, unless the other has waited long enough",
    "I32": "what was offered to an actor is received, waits, or was refused with a reason",
    "I33": "only the worker that has an attempt changes it",
    "I34": "waits do not depend on wall clocks",
    "I35": "at rest nothing is left over: processes, journals, queues, slots",
    "I36": "after the faults everything ends",
}

FAULTS = {
    "F1": ("a message is lost", ("loss",)),
    "F2": ("a message comes again, much later perhaps", ("repeats", "ghosts")),
    "F3": ("messages overtake one another", ("fifo",)),
    "F4": ("messages are late", ("delay_ms_max",)),
    "F5": ("one way only", ("cut_interval_ms",)),
    "F6": ("the master is cut off from all, then not", ("partition_ms",)),
    "F8": ("connections stop one by one and go on in another order", ("clog_ms",)),
    "F9": ("the master or a worker ends at any point", ("crash_point", "crash_at")),
    "F10": ("a worker is killed, its tasks run on", ("worker_crash_ms",)),
    "F11": ("and is there again at once", ("down_ms_max",)),
    "F12": ("a warden or a task is killed alone", ("warden_crash_ms", "child_kill_ms")),
    "F13": ("all are down and come up in whatever order", ("blackout_ms",)),
    "F14": ("a crash during reconciliation", ("crash_judging",)),
    "F15": ("commits are slow, fail, or say so", ("commit_slow", "commit_stall", "commit_unknown")),
    "F16": ("the database is busy for a moment", ("commit_stall",)),
    "F19": ("the disk is full, then not", ("disk_full_ms", "disk_full_ms_max", "disk_ms")),
    "F20": ("power fails: what was not synced is gone", ("power_cut", "reboot_ms")),
    "F21": ("fsync fails: the node ends, the commit may be there", ("commit_final",)),
    "F23": ("clocks differ, jump and drift", ("clock_offset_ms_max", "clock_jump_ms", "drift")),
    "F24": ("a node's loop does not come round", ("block_ms",)),
    "F25": ("SIGSTOP, later SIGCONT, of a process or a machine", ("freeze_ms", "suspend_ms")),
    "F26": ("tasks are deaf, litter, crash, lie", ("deaf", "stubborn", "littering", "odd")),
    "F27": ("no process, memory or file just now", ("scarce",)),
    "F28": ("pids are used again, files of a former boot", ("pids_max", "reboot_ms")),
    "F30": ("a worker comes and goes every second", ("flap_ms",)),
    "F31": ("everybody connects again at once", ("herd_ms",)),
    "F32": ("a task takes down every machine that runs it", ("poison",)),
    "F33": ("a cloned worker, by image and by folder", ("twin_ms",)),
    "F35": ("queues and mailboxes are full", ("queue_max", "mailbox_max", "ahead_bytes")),
    "F36": (
        "people do everything to everything",
        ("stops", "kills", "storm_ms", "orders_ms", "dismissed", "mended_ms"),
    ),
}

#: Numbers that are asked for and wait for the feature they belong to.
AWAITED: dict[str, str] = {}
