"""What a warden receives and what it answers, with all fields that a test does not care about.

The attempt is number 7 unless said otherwise; its worker speaks by connection 1.
"""

from typing import Any

from stenella.actors.worker.warden import IDLE_MS, SWEEP_PAUSES_MS, Warden

Fields = dict[str, Any]
BOOT = "kernel-boot-1"
IDLE = ("timer", IDLE_MS, {"do": "idle_over", "idle_no": 1})
LATER_IDLE = ("timer", IDLE_MS, {"do": "idle_over", "idle_no": 2})


def hello(connection: int = 1, life: int = 1, journal: str = "j") -> Fields:
    who = {"worker": "w1", "boot": "b", "journal": journal, "life": life}
    return {"do": "hello", "connection": connection, **who}


def start(dispatch_id: int = 7, connection: int = 1) -> Fields:
    return {
        "do": "start",
        "connection": connection,
        **identity(dispatch_id),
        "argv": ["/bin/true"],
        "env": {"A": "b"},
        "cwd": "/work",
        "log": "/log",
        "limit_ms": 0,
        "grace_ms": 5_000,
        "processes_max": 0,
    }


def identity(dispatch_id: int = 7) -> Fields:
    return {
        "dispatch_id": dispatch_id,
        "task_instance_id": 70,
        "workflow_instance_id": 700,
        "attempt": 1,
        "marker": f"c.w1.{dispatch_id}.1",
        "owner": 1,
        "keep": False,
    }


def kill(dispatch_id: int = 7, intent: str = "person", grace_ms: int = 5_000) -> Fields:
    asked = {"intent": intent, "grace_ms": grace_ms}
    return {"do": "kill", "connection": 1, "dispatch_id": dispatch_id, **asked}


def spawned(dispatch_id: int = 7) -> Fields:
    return {"do": "spawned", "dispatch_id": dispatch_id, **BEGUN}


def exited(code: int | None = 0, signal: int | None = None) -> Fields:
    return {
        "do": "exited",
        "dispatch_id": 7,
        "code": code,
        "signal": signal,
        "duration_ms": 40,
        "oom": "",
    }


def swept(sweep_no: int, *left: int, silent: bool = False) -> Fields:
    found = {"left": list(left), "silent": silent}
    return {"do": "swept", "dispatch_id": 7, "sweep_no": sweep_no, **found}


def sweep(sweep_no: int, **fields: object) -> tuple[Any, ...]:
    usual = {"pid": 99, "start_ticks": 5, "abandoned": False, "everywhere": False}
    at = {"dispatch_id": 7, "sweep_no": sweep_no, "marker": "c.w1.7.1", "traces": None}
    return ("sweep", at | usual | fields)


def again(sweep_no: int, pause_ms: int = SWEEP_PAUSES_MS[0]) -> tuple[Any, ...]:
    message = {"do": "sweep_again", "dispatch_id": 7, "sweep_no": sweep_no}
    return ("timer", pause_ms, message)


def tell(say: str, **fields: object) -> tuple[Any, ...]:
    return ("tell", 1, {"say": say, "dispatch_id": 7} | fields)


BEGUN = {"pid": 99, "start_ticks": 5, "start_time": 1_000}
STARTING = {"phase": "starting", "kernel_boot": BOOT, **identity()}
FINE = {
    "code": 0,
    "signal": None,
    "end_time": 1_040,
    "duration_ms": 40,
    "intent": None,
    "oom": "",
    "problem": None,
    "silent": False,
}
GRACE = ("timer", 5_000, {"do": "grace_over", "dispatch_id": 7})
FORGET = {"do": "forget", "connection": 1, "dispatch_id": 7}


def ended_effects(**fields: object) -> list[tuple[Any, ...]]:
    facts = FINE | fields
    record = {"phase": "ended", "dispatch_id": 7, **facts}
    return [("record", record), tell("ended", **facts)]


def played(*messages: Fields, records: list[Fields] | None = None) -> Warden:
    """A warden that has received these."""
    warden = Warden(records or [], BOOT)
    for message in messages:
        warden.receive(message)
    return warden


def running(*more: Fields) -> Warden:
    return played({"do": "open"}, hello(), start(), spawned(), *more)
