"""The digest of a seed's trace, for an interpreter of its own."""

from .options import draw
from .world import World


def digest(seed: int) -> str:
    """Of a world with much going on."""
    options = draw(seed, crash_point=0.01, loss=0.1, repeats=0.3, warden_crash_ms=5_000)
    world = World(options)
    world.play()
    world.close()
    return world.trace.digest()
