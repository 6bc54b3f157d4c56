"""Worker actor: journals each RUNNING and RESULT, sends it, keeps it until it is acknowledged.

The executor reports facts; the master's Acks come from the wire; the retry reporter says when to
send again. Invariant: a callback is in the journal from before its first sending until the
attempt's RESULT is acknowledged. What is unacknowledged of an attempt goes together, in order.
"""

from typing import assert_never

import msgspec

from ...protocol.codec import encode_command
from ...protocol.commands import (
    TaskExecuteResponse,
    TaskExecuteResponseAck,
    TaskExecuteRunningAck,
)
from ...protocol.rows import JournalCallback
from ..base import Boot, Context, Loaded
from .messages import (
    Acknowledged,
    Callback,
    Drop,
    Fenced,
    Report,
    Resend,
    Settled,
    Unacknowledged,
    Welcomed,
)

Inbox = (
    Boot
    | Loaded
    | Report
    | Resend
    | Welcomed
    | Drop
    | TaskExecuteRunningAck
    | TaskExecuteResponseAck
)
#: The master has it for good: applied, or kept for a person to look at (DESIGN section 4, poison).
TAKEN = ("ok", "quarantined")

_callbacks = msgspec.msgpack.Decoder(Callback)


class Outbox:
    """What was said of one attempt; ``unacknowledged`` by seq, in order."""

    def __init__(self) -> None:
        self.seq = 0
        self.journalled: list[int] = []  # seqs
        self.unacknowledged: dict[int, Callback] = {}


class CallbackSender:
    """Owns ``seq`` and the callbacks of every attempt that the journal has."""

    def __init__(self, master: bytes) -> None:
        self.master = master
        self.outboxes: dict[int, Outbox] = {}
        self.journal_read = False
        self.welcomed = False

    def held(self) -> int:
        """Callbacks not yet acknowledged."""
        return sum(len(outbox.unacknowledged) for outbox in self.outboxes.values())

    def receive(self, message: Inbox, ctx: Context) -> None:
        """See the module's docstring."""
        match message:
            case Report():
                self._say(message.facts, ctx)
            case TaskExecuteResponseAck() | TaskExecuteRunningAck():
                self._acknowledge(message, ctx)
            case Boot():
                ctx.load("callbacks")
            case Loaded():
                self._recover(message.rows, ctx)
            case Resend():
                for dispatch_id in message.dispatch_ids:
                    self._send(dispatch_id, ctx)
            case Welcomed():
                self.welcomed = True
            case Drop():
                self._forget(message.dispatch_id, ctx)
            case _:
                assert_never(message)

    def _recover(self, rows: list[JournalCallback], ctx: Context) -> None:
        self.journal_read = True
        for row in rows:
            outbox = self.outboxes.setdefault(row.dispatch_id, Outbox())
            outbox.seq = max(outbox.seq, row.seq)
            outbox.journalled.append(row.seq)
            outbox.unacknowledged[row.seq] = _callbacks.decode(row.body)
        for dispatch_id in self.outboxes:
            ctx.tell("retry_reporter", Unacknowledged(dispatch_id))

    def _say(self, facts: list[Callback], ctx: Context) -> None:
        assert self.journal_read, "its seq is not known yet: role.py starts us before the executor"
        dispatch_id = facts[0].dispatch_id
        outbox = self.outboxes.setdefault(dispatch_id, Outbox())
        for fact in facts:
            outbox.seq = max(outbox.seq + 1, self._least_seq(fact))
            callback = msgspec.structs.replace(fact, seq=outbox.seq)
            ctx.put(
                JournalCallback(
                    key=_key(dispatch_id, outbox.seq),
                    dispatch_id=dispatch_id,
                    seq=outbox.seq,
                    body=encode_command(callback),
                )
            )
            outbox.journalled.append(outbox.seq)
            outbox.unacknowledged[outbox.seq] = callback
        self._send(dispatch_id, ctx)
        ctx.tell("retry_reporter", Unacknowledged(dispatch_id))

    def _least_seq(self, fact: Callback) -> int:
        """A power cut may take from the journal what was told: a RESULT said then must not pass for
        a copy of a RUNNING that the master has, of which there are two at most.
        """
        if isinstance(fact, TaskExecuteResponse):
            return 3
        return 2 if fact.pid else 1

    def _send(self, dispatch_id: int, ctx: Context) -> None:
        """Not before the master has taken this life for the worker: a clone would have its say."""
        if not self.welcomed:
            return
        if outbox := self.outboxes.get(dispatch_id):
            for callback in outbox.unacknowledged.values():
                ctx.send(self.master, callback)

    def _acknowledge(
        self, ack: TaskExecuteRunningAck | TaskExecuteResponseAck, ctx: Context
    ) -> None:
        outbox = self.outboxes.get(ack.dispatch_id)
        if outbox is None:
            return
        callback = outbox.unacknowledged.get(ack.seq)
        if callback is not None and callback.epoch != ack.epoch:
            return
        if ack.outcome not in TAKEN:
            self._forget(ack.dispatch_id, ctx)
            ctx.tell("executor", Fenced(ack.dispatch_id))
            return
        outbox.unacknowledged.pop(ack.seq, None)
        if isinstance(callback, TaskExecuteResponse):
            self._forget(ack.dispatch_id, ctx)
            ctx.tell("executor", Acknowledged(ack.dispatch_id))
        elif not outbox.unacknowledged:
            ctx.tell("retry_reporter", Settled(ack.dispatch_id))

    def _forget(self, dispatch_id: int, ctx: Context) -> None:
        outbox = self.outboxes.pop(dispatch_id, None)
        if outbox is None:
            return
        for seq in outbox.journalled:
            ctx.delete(JournalCallback, _key(dispatch_id, seq))
        ctx.tell("retry_reporter", Settled(dispatch_id))


def _key(dispatch_id: int, seq: int) -> str:
    return f"{dispatch_id}:{seq}"
