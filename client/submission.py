"""How a definition gets to the master: with its submit, by name of its digest, or in parts.

A small one travels with the first submit of it. One that the master has is only named, and a large
one is sent in parts before (`DefinitionPart`); whichever it is, the submit keeps its request id.
"""

import msgspec

from ..protocol.commands import Answer, DefinitionPart, Submit
from ..protocol.errors import UNKNOWN_DEFINITION, RefusedInState
from .reads import new_request_id
from .requester import Requester

#: Of a part, and of a definition that travels with its submit: little enough that a master's turn
#: is short, much enough that 10 MB take 40 answers.
PART_BYTES = 256 * 1024
#: A master that died between the last part and the submit has forgotten them.
ROUNDS_MAX = 5


def submit(requester: Requester, request: Submit, body: bytes, is_known: bool) -> Answer:
    """The answer to ``request``, which names its definition by digest. ``body``: that definition;
    ``is_known``: the master took it before.
    """
    is_small = len(body) <= PART_BYTES
    if not is_small or is_known:
        for _ in range(ROUNDS_MAX):
            try:
                return requester.ask(request, Answer)
            except RefusedInState as error:
                if error.code != UNKNOWN_DEFINITION:
                    raise
            if is_small:
                break
            _send(requester, request.definition_digest, body)
        else:
            raise RefusedInState("the master does not keep the definition; try again")
    inline = msgspec.structs.replace(request, definition=body, definition_digest="")
    return requester.ask(inline, Answer)


def _send(requester: Requester, digest: str, body: bytes) -> None:
    """From where the master is; it may begin anew, as after a crash, but not for ever."""
    received = 0
    for _ in range(ROUNDS_MAX * (len(body) // PART_BYTES + 1)):
        part = DefinitionPart(
            request_id=new_request_id(),
            definition_digest=digest,
            size=len(body),
            offset=received,
            data=body[received : received + PART_BYTES],
        )
        received = requester.ask(part, Answer).result["received"]
        if received == len(body):
            return
    raise RefusedInState("the master does not keep the parts of the definition; try again")
