"""A client's way to a submit that only names its definition: by its digest, or in parts before."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from stenella.protocol.commands import Answer, Command, DefinitionPart, Refused, Submit
from stenella.protocol.errors import UNKNOWN_DEFINITION

from .story import Violation

if TYPE_CHECKING:
    from .clients import Client

#: Of what is sent in parts, somebody else has begun with the same and died, or lies about it.
BEGUN, LIES = 0.3, 0.2


def content(body: bytes) -> str:
    """The digest of a definition."""
    return hashlib.sha256(body).hexdigest()


class Sending:
    """One definition on its way. ``then`` gets the answer to the submit itself."""

    def __init__(
        self, client: "Client", request: Submit, body: bytes, then: Callable[[Command], None]
    ) -> None:
        self.client = client
        self.body = body
        self.request = request
        self.then = then
        self.part_bytes = client.world.random.choice((40, 150, 1_000))

    def begin(self) -> None:
        """Others come first, sometimes."""
        random = self.client.world.random
        if random.random() < BEGUN:
            self.client.ask(self._part(self.body, 0), lambda answer: None)
        if random.random() < LIES:
            other = self.body.replace(b'"t', b'"x')  # as long, and sound
            self._go_on(other, 0, lambda: None)
        self.name()

    def name(self) -> None:
        """Submit by the digest alone; send what it names where that is not known."""

        def judge(answer: Command) -> None:
            if isinstance(answer, Refused) and answer.code == UNKNOWN_DEFINITION:
                self._go_on(self.body, 0, self.name)
            else:
                self.then(answer)

        self.client.ask(self.request, judge)

    def _go_on(self, body: bytes, offset: int, then: Callable[[], None]) -> None:
        """From ``offset`` until the master has as many bytes."""

        def judge(answer: Command) -> None:
            if not isinstance(answer, Answer):
                raise Violation("a part of a definition is taken", f"{answer}")
            received = answer.result["received"]
            if received == len(body):
                then()
            elif received or body is self.body:  # who lies gives up when he is found out
                self._go_on(body, received, then)

        self.client.ask(self._part(body, offset), judge)

    def _part(self, body: bytes, offset: int) -> DefinitionPart:
        return DefinitionPart(
            request_id=self.client.new_id("part"),
            definition_digest=self.request.definition_digest,
            size=len(body),
            offset=offset,
            data=body[offset : offset + self.part_bytes],
        )
