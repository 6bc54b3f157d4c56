"""What a world is built of; a planted bug puts something else in one of these places."""

from collections.abc import Callable
from dataclasses import dataclass

from stenella.actors.base import Actor
from stenella.actors.master.role import master_actors
from stenella.actors.suspects import Suspect, convicted
from stenella.actors.turn import Turn
from stenella.actors.worker.role import worker_actors
from stenella.actors.worker.warden import Warden
from stenella.storage.journal import Journal


def same(actors: dict[str, Actor]) -> dict[str, Actor]:
    """Actors as the role makes them."""
    return actors


@dataclass(frozen=True)
class Parts:
    """The product's own, unless a test plants another."""

    turn: type[Turn] = Turn
    journal: type[Journal] = Journal
    convicted: Callable[[list[Suspect]], list[Suspect]] = convicted
    warden: type[Warden] = Warden
    master_actors: Callable[..., dict[str, Actor]] = master_actors
    worker_actors: Callable[..., dict[str, Actor]] = worker_actors
