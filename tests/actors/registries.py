"""Registries, what they hear, and the time that passes for them."""

from typing import Any

from stenella.actors.base import Boot, Loaded, Timer
from stenella.actors.master.messages import CountRunning, Judge, TellStatus, Verdicts
from stenella.actors.master.registry import Registry
from stenella.protocol.commands import Verdict

from .builders import EPOCH, PEER, TERMS, register
from .recorder import Asked, Recorder, told

BEAT_MS = TERMS.heartbeat_ms
KEEP = [Verdict(10, 100, "keep")]


def hear(
    ctx: Recorder, registry: Registry, message: Any, peer: bytes = PEER, sender: str = "w1"
) -> list[Asked]:
    return ctx.give(registry, message, peer, sender)


def registry(ctx: Recorder, *rows: Any) -> Registry:
    """A registry that has recovered with these rows."""
    made = Registry(1, EPOCH, TERMS)
    ctx.give(made, Boot())
    ctx.give(made, Loaded("workers", (), list(rows)))
    return made


def welcomed(ctx: Recorder, *rows: Any, **fields: Any) -> Registry:
    """A registry that has welcomed w1."""
    made = registry(ctx, *rows)
    hear(ctx, made, register(**fields))
    ctx.give(made, Verdicts("w1", fields.get("boot", "b1"), []))
    return made


def judged(asked: list[Asked]) -> list[Judge]:
    return told(asked, "event_persister")


def state(ctx: Recorder, made: Registry) -> str:
    [status] = told(ctx.give(made, TellStatus("r", all=True)), "dispatcher")
    assert isinstance(status, CountRunning)
    word: str = status.workers[0]["state"]
    return word


def pass_time(ctx: Recorder, made: Registry, ms: int, late_ms: int = 0) -> list[Asked]:
    """Let time pass in beats, each seen ``late_ms`` late; what was asked but for the next look."""
    asked = []
    for _ in range(ms // BEAT_MS):
        ctx.wait(BEAT_MS + late_ms)
        asked += ctx.give(made, Timer("late"))
    return [entry for entry in asked if entry[0] != "set_timer"]
