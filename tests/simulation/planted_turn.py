"""Bugs planted in the turn: what is told, and when."""

from stenella.actors.turn import Released, Turn
from stenella.protocol.commands import (
    Command,
    TaskExecuteResponseAck,
    TaskExecuteRunningAck,
    WorkerWelcome,
)

ACKS = (TaskExecuteRunningAck, TaskExecuteResponseAck)


class AcksBeforeCommit(Turn):
    def send(self, peer: bytes, command: Command) -> None:
        (self.send_now if isinstance(command, ACKS) else super().send)(peer, command)


class WelcomesBeforeCommit(Turn):
    def send(self, peer: bytes, command: Command) -> None:
        (self.send_now if isinstance(command, WorkerWelcome) else super().send)(peer, command)


class ReleasesQuietTurnsEarly(Turn):
    """What was thought without a write does not wait for the writes before it."""

    def think(self, now_ms: int, wall_ms: int) -> list[Released]:
        already, writes = len(self._thought), self._has_writes
        at_once = super().think(now_ms, wall_ms)
        if not writes and not self._has_writes:
            at_once += self._thought[already:]
            del self._thought[already:]
        return at_once
