"""Where an actor was wrong against the design once; each failed before it was mended."""

import pytest

from stenella.actors.base import LinkChanged, ToWarden, WardenSaid
from stenella.actors.worker.messages import Fenced, OwnerAppeared
from stenella.protocol.commands import WorkerRefused

from .builders import EPOCH, register, result, result_ack, running
from .executors import BEGUN, ENDED, STARTED, adopting, executor
from .played_master import PlayedMaster
from .recorder import Recorder, of, told
from .registries import hear, judged, welcomed
from .test_callback_sender import said
from .test_executor_adoption import record
from .test_membership import member, welcome


@pytest.mark.parametrize("life", [1, 2, 3])
def test_a_machine_that_is_another_while_the_known_one_is_heard_is_a_duplicate(life: int) -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    asked = hear(ctx, made, register(boot="b2", life=life, kernel_boot="k2"), peer=b"clone")

    assert judged(asked) == []
    refusals = [c.reason for c in of(asked, "send") if isinstance(c, WorkerRefused)]
    assert refusals == ["duplicate_identity"]


def test_a_dead_letter_can_be_read() -> None:
    master = PlayedMaster()
    master.worker()

    master.give("event_persister", result(task_instance_id=999))

    [letter] = master.queries.dead_letters(5)
    assert letter["reason"] == "unknown"
    assert letter["body"]["task_instance_id"] == 999
    master.journal.close()


def test_a_master_that_reappears_gets_callbacks_at_once() -> None:
    ctx = Recorder()
    made = member(ctx, welcome())
    ctx.give(made, LinkChanged(False))

    assert told(ctx.give(made, LinkChanged(True)), "retry_reporter") == [OwnerAppeared()]


def test_an_ack_of_another_epoch_is_ignored() -> None:
    ctx = Recorder()
    sender = said(ctx, running(), result())

    assert ctx.give(sender, result_ack(seq=2, epoch=EPOCH + 1)) == []


def test_nothing_is_said_of_what_is_fenced() -> None:
    ctx = Recorder()
    made = executor(ctx, *STARTED)
    ctx.give(made, Fenced(100))

    assert told(ctx.give(made, WardenSaid(BEGUN)), "callback_sender") == []


def test_what_only_the_warden_knew_is_forgotten_once_it_has_ended() -> None:
    ctx = Recorder()
    made = adopting(ctx, [], [record("begun")])

    asked = ctx.give(made, WardenSaid(ENDED | {"intent": "fence"}))

    assert of(asked, "perform") == [ToWarden({"do": "forget", "dispatch_id": 100})]
