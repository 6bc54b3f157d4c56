"""Every command that a node accepts has one actor that takes it; no route leads nowhere."""

from typing import Any, get_args

import pytest

from stenella.actors.base import Actor
from stenella.actors.master.role import MASTER_ROUTES, master_actors
from stenella.actors.worker.identity import Identity
from stenella.actors.worker.role import WORKER_ROUTES, worker_actors
from stenella.protocol import commands

from .builders import FAILOVER_MAX, TERMS

IDENTITY = Identity(
    worker="worker-1",
    boot="b",
    life=1,
    kernel_boot="k",
    journal="j",
    cluster="c",
    groups=["default"],
    slots=2,
    types=["noop"],
    version="0",
    pid=1,
    host="h",
)


def master() -> dict[str, Actor]:
    return master_actors(
        master=1,
        epoch=1,
        endpoint="",
        pid=1,
        terms=TERMS,
        kill_grace_ms=10_000,
        failover_max=FAILOVER_MAX,
    )


def worker() -> dict[str, Actor]:
    return worker_actors(IDENTITY, epoch=0, heartbeat_ms=2_000, kill_grace_ms=10_000)


def test_a_master_routes_exactly_what_workers_and_clients_may_say() -> None:
    accepted = {*get_args(commands.FromWorker), *get_args(commands.FromClient)}

    assert set(MASTER_ROUTES) == accepted


def test_a_worker_routes_exactly_what_its_master_may_say() -> None:
    assert set(WORKER_ROUTES) == set(get_args(commands.ToWorker))


@pytest.mark.parametrize(
    ("routes", "actors"),
    [(MASTER_ROUTES, master()), (WORKER_ROUTES, worker())],
    ids=["master", "worker"],
)
def test_every_route_leads_to_an_actor_of_the_node(
    routes: dict[type[Any], str], actors: dict[str, Actor]
) -> None:
    assert set(routes.values()) <= set(actors)


@pytest.mark.parametrize("actors", [master(), worker()], ids=["master", "worker"])
def test_actors_hold_nothing_back_before_they_begin(actors: dict[str, Actor]) -> None:
    assert {name: actor.held() for name, actor in actors.items()} == dict.fromkeys(actors, 0)


def test_a_worker_reads_its_callbacks_before_its_attempts() -> None:
    started = list(worker())

    assert started.index("callback_sender") < started.index("executor")
