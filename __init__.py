"""Stenella: a distributed workflow scheduler.

The names of the public API are loaded when they are first asked for, so importing costs nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers take it as true; importing typing would cost 3 ms

if TYPE_CHECKING:
    from .client.client import Client, Instance
    from .protocol.errors import (
        DefinitionRefused,
        NotAllowed,
        NotFound,
        StenellaError,
        Unreachable,
        WaitTimeout,
        WorkflowFailed,
    )
    from .protocol.errors import RefusedInState as Refused

__all__ = [
    "Client",
    "DefinitionRefused",
    "Instance",
    "NotAllowed",
    "NotFound",
    "Refused",
    "StenellaError",
    "Unreachable",
    "WaitTimeout",
    "WorkflowFailed",
    "__version__",
]

_OF_CLIENT = frozenset({"Client", "Instance"})


def __getattr__(name: str) -> object:
    """A public name, loaded now and kept."""
    if name not in __all__:
        raise AttributeError(f"module 'stenella' has no attribute {name!r}")
    if name in _OF_CLIENT:
        from .client import client as source
    else:
        from .protocol import errors as source  # type: ignore[no-redef]
    value: object = getattr(source, "RefusedInState" if name == "Refused" else name)
    globals()[name] = value
    return value
