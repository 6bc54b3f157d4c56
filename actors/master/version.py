"""A version as the actors hold it: decoded once, frozen, shared by all its live instances."""

from ...workflow.definition import Definition, decode
from ...workflow.graph import Graph


class Version:
    """A definition and its graph. Raises DefinitionRefused where ``body`` is not canonical JSON."""

    def __init__(self, digest: str, body: bytes) -> None:
        self.digest = digest
        self.definition: Definition = decode(body)
        self.graph = Graph(self.definition.tasks)
