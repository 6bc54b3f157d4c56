"""Who the workers are: registration, identity, liveness, draining (DESIGN section 5)."""

import pytest

from stenella.actors.base import Boot, Loaded, PeerLost, Timer
from stenella.actors.master.messages import (
    Done,
    DrainAll,
    RecoverWorkers,
    Relay,
    Relayed,
    TellStatus,
    Verdicts,
    WorkerBeat,
    WorkerSilent,
    WorkerUp,
)
from stenella.actors.master.registry import BEATS_MISSED, DRAIN_REPEAT_MS, Registry
from stenella.protocol.commands import (
    DebugRequest,
    HeartbeatAck,
    WorkerDrain,
    WorkerDrained,
    WorkerRefused,
    WorkerWelcome,
)

from .builders import EPOCH, PEER, TERMS, heartbeat, judge, register, report, worker_row
from .recorder import Recorder, of, told
from .registries import KEEP, hear, judged, pass_time, registry, state, welcomed

BEAT_MS = TERMS.heartbeat_ms


# --- recovery and welcome ------------------------------------------------------------------------


def test_the_workers_are_read_last_and_then_the_node_is_open() -> None:
    ctx, made = Recorder(), Registry(1, EPOCH, TERMS)

    assert ctx.give(made, Boot()) == [("set_timer", "late", BEAT_MS)]
    assert ctx.give(made, RecoverWorkers()) == [("load", "workers")]
    assert ctx.give(made, Loaded("workers", (), [])) == [("recovered",)]


def test_a_registration_of_another_epoch_is_answered_with_the_epoch_alone() -> None:
    ctx = Recorder()

    asked = hear(ctx, registry(ctx), register(report("begun"), epoch=0))

    welcome = WorkerWelcome(master=1, epoch=EPOCH, to_boot="b1", judged=False, verdicts=[])
    assert asked == [("send", PEER, welcome)]


def test_a_listing_is_judged_before_the_worker_is_welcomed() -> None:
    ctx = Recorder()

    asked = hear(ctx, registry(ctx), register(report("begun")))

    assert judged(asked) == [judge(report("begun"))]
    assert of(asked, "send") == []


def test_the_row_is_written_in_the_turn_of_the_welcome_and_work_comes_after_it() -> None:
    ctx = Recorder()
    made = registry(ctx)
    hear(ctx, made, register(report("begun")))

    asked = ctx.give(made, Verdicts("w1", "b1", KEEP))

    types = '["shell", "noop"]'
    written = worker_row(groups='["default"]', types=types, event_no=1)
    assert asked == [
        ("write", written),
        (
            "send",
            PEER,
            WorkerWelcome(
                master=1,
                epoch=EPOCH,
                to_boot="b1",
                judged=True,
                verdicts=KEEP,
                number=1,
                lease_ms=TERMS.lease_ms,
                fence_grace_ms=TERMS.fence_grace_ms,
            ),
        ),
        ("tell", "dispatcher", WorkerUp("w1", "b1", PEER, ["default"], 2, ["shell", "noop"])),
    ]
    assert made.held() == 0


def test_what_is_not_listed_is_judged_once_per_boot_and_epoch() -> None:
    ctx = Recorder()
    made = registry(ctx)

    first = judged(hear(ctx, made, register()))
    repeated = judged(hear(ctx, made, register()))  # before the first was answered
    ctx.give(made, Verdicts("w1", "b1", []))
    again = judged(hear(ctx, made, register()))

    assert [j.judge_missing for j in (*first, *repeated, *again)] == [True, True, False]


def test_a_known_worker_under_a_new_master_is_judged_for_what_it_does_not_list() -> None:
    ctx = Recorder()

    [asked] = judged(hear(ctx, registry(ctx, worker_row()), register()))

    assert (asked.judge_missing, asked.known_journal) == (True, True)


@pytest.mark.parametrize("changed", [{"journal": "j2"}, {"kernel_boot": "k2"}])
def test_another_journal_or_kernel_boot_is_not_the_known_one(changed: dict[str, str]) -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(dead_at=1))

    [asked] = judged(hear(ctx, made, register(boot="b2", life=3, **changed)))

    assert not asked.known_journal


def test_an_answer_to_a_listing_of_another_boot_welcomes_nobody() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row())
    hear(ctx, made, register())
    hear(ctx, made, register(boot="b2", life=3))

    assert ctx.give(made, Verdicts("w1", "b1", [])) == []
    asked = ctx.give(made, Verdicts("w1", "b2", []))
    assert [row.boot for row in of(asked, "write")] == ["b2"]


def test_a_name_that_is_not_the_keys_is_not_registered() -> None:
    ctx = Recorder()

    assert hear(ctx, registry(ctx), register(), sender="w2") == []


# --- a second boot -------------------------------------------------------------------------------


def test_a_later_life_of_the_same_journal_is_taken_at_once() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    asked = hear(ctx, made, register(boot="b2", life=3))

    assert told(asked, "dispatcher") == [WorkerSilent("w1")]  # nothing to a boot that is judged
    assert [j.boot for j in judged(asked)] == ["b2"]
    [ack] = of(hear(ctx, made, heartbeat(boot="b1")), "send_now")
    assert not ack.welcomed


def test_a_late_frame_of_a_former_life_is_not_taken() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    asked = hear(ctx, made, register(boot="b0", life=1))

    assert judged(asked) == []
    assert told(asked, "dispatcher") == []


def test_a_former_boots_listing_is_not_judged_while_the_new_boot_is() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    hear(ctx, made, register(report("begun"), boot="b2", life=3))

    assert judged(hear(ctx, made, register())) == []  # it lists nothing: all would be lost


def test_a_life_that_a_power_cut_counted_twice_is_taken_once_the_known_one_is_dead() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(dead_at=1))

    [asked] = judged(hear(ctx, made, register(boot="b2", life=2, kernel_boot="k2")))

    assert (asked.boot, asked.known_journal, asked.judge_missing) == ("b2", False, True)


def test_another_journal_is_a_duplicate_while_the_known_worker_is_heard() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    clone = register(boot="b9", journal="j9", life=7)

    [refusal] = of(hear(ctx, made, clone, peer=b"other"), "send")

    assert isinstance(refusal, WorkerRefused)
    assert (refusal.reason, refusal.to_boot) == ("duplicate_identity", "b9")


def test_another_journal_is_not_taken_because_the_known_worker_is_late() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    pass_time(ctx, made, (BEATS_MISSED + 2) * BEAT_MS)
    assert state(ctx, made) == "late"

    assert judged(hear(ctx, made, register(boot="b9", journal="j9", life=7))) == []


# --- heartbeats ----------------------------------------------------------------------------------


def test_a_welcomed_workers_beat_is_passed_to_the_dispatcher() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    asked = hear(ctx, made, heartbeat(number=4, free_slots=1), peer=b"anew")

    assert asked == [("tell", "dispatcher", WorkerBeat("w1", "b1", b"anew", 4, 1, False, 2))]


@pytest.mark.parametrize("boot", ["b0", "b2"])
def test_the_beat_of_a_boot_that_is_not_welcomed_is_told_to_register(boot: str) -> None:
    ctx = Recorder()

    asked = hear(ctx, welcomed(ctx), heartbeat(boot=boot))

    ack = HeartbeatAck(number=1, epoch=EPOCH, to_boot=boot, welcomed=False, settled_below=0)
    assert asked == [("send_now", PEER, ack)]


def test_a_beat_during_recovery_is_told_to_register() -> None:
    ctx, made = Recorder(), Registry(1, EPOCH, TERMS)

    [ack] = of(hear(ctx, made, heartbeat()), "send_now")

    assert not ack.welcomed


def test_a_worker_is_late_when_it_is_not_heard() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    assert pass_time(ctx, made, BEATS_MISSED * BEAT_MS) == []
    assert pass_time(ctx, made, BEAT_MS) == [("tell", "dispatcher", WorkerSilent("w1"))]
    assert state(ctx, made) == "late"

    hear(ctx, made, heartbeat(number=2))
    assert state(ctx, made) == "alive"


def test_a_lost_connection_makes_its_worker_late_at_once() -> None:
    ctx = Recorder()
    made = welcomed(ctx)

    assert ctx.give(made, PeerLost(b"other")) == []
    assert ctx.give(made, PeerLost(PEER)) == [("tell", "dispatcher", WorkerSilent("w1"))]


def test_a_draining_worker_is_shown_as_draining() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    hear(ctx, made, heartbeat(draining=True))

    assert state(ctx, made) == "draining"


# --- orders --------------------------------------------------------------------------------------


def drain_order(boot: str = "b1") -> WorkerDrain:
    return WorkerDrain(epoch=EPOCH, to_boot=boot, wait_ms=9, keep=False)


def test_a_drain_is_repeated_until_every_worker_has_drained() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    order = [("set_timer", "drain", DRAIN_REPEAT_MS), ("send", PEER, drain_order())]

    assert ctx.give(made, DrainAll("r", 9, False)) == order
    assert ctx.give(made, Timer("drain")) == order
    asked = hear(ctx, made, WorkerDrained(boot="b1"))
    assert asked[-1] == ("tell", "gateway", Done("r", {"state": "down"}))


@pytest.mark.parametrize("keep", [False, True])
def test_a_drained_worker_is_no_longer_shown_unless_it_keeps_tasks(keep: bool) -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    ctx.give(made, DrainAll("r", 9, keep))

    hear(ctx, made, WorkerDrained(boot="b1"))

    [(_, _, status)] = ctx.give(made, TellStatus("s"))
    assert len(status.workers) == keep


def test_a_drained_worker_that_is_started_again_is_not_waited_for_again() -> None:
    """Two that hold what nobody takes would never be gone at the same time."""
    ctx = Recorder()
    made = welcomed(ctx)
    other = {"worker": "w2", "boot": "c1", "journal": "j2"}
    hear(ctx, made, register(**other), b"w2-link", "w2")
    ctx.give(made, Verdicts("w2", "c1", []))
    ctx.give(made, DrainAll("r", 9, True))
    hear(ctx, made, WorkerDrained(boot="b1"))
    hear(ctx, made, register(boot="b2", life=3))
    ctx.give(made, Verdicts("w1", "b2", []))

    asked = hear(ctx, made, WorkerDrained(boot="c1"), b"w2-link", "w2")

    assert asked[-1] == ("tell", "gateway", Done("r", {"state": "down"}))


def test_a_drain_after_a_restart_waits_for_workers_that_had_not_left() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row())

    asked = ctx.give(made, DrainAll("r", 9, False))

    assert asked == [("set_timer", "drain", DRAIN_REPEAT_MS)]


def test_a_drain_does_not_wait_for_a_worker_that_is_late() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    ctx.give(made, PeerLost(PEER))

    asked = ctx.give(made, DrainAll("r", 9, False))

    assert asked == [("tell", "gateway", Done("r", {"state": "down"}))]


def test_a_former_boots_word_does_not_end_the_drain() -> None:
    ctx = Recorder()
    made = welcomed(ctx)
    ctx.give(made, DrainAll("r", 9, False))

    assert hear(ctx, made, WorkerDrained(boot="b0")) == []


def test_a_request_is_relayed_to_all_who_are_heard_and_counted() -> None:
    ctx = Recorder()
    made = welcomed(ctx, worker_row(id="w2"))
    question = DebugRequest(request_id="r", kind="mailboxes")

    assert ctx.give(made, Relay(None, question)) == [
        ("send_now", PEER, question),
        ("tell", "gateway", Relayed("r", 1)),
    ]
    assert ctx.give(made, Relay("w2", question)) == [("tell", "gateway", Relayed("r", 0))]


def test_a_workers_row_rises_from_the_stored_one() -> None:
    ctx = Recorder()
    made = registry(ctx, worker_row(event_no=4, stored_no=4))
    hear(ctx, made, register(boot="b2", life=3))

    [row] = of(ctx.give(made, Verdicts("w1", "b2", [])), "write")

    assert (row.event_no, row.stored_no) == (5, 4)
