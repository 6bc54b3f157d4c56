"""Bugs planted in how a definition comes in parts."""

from typing import Any

from stenella.actors.base import Context
from stenella.actors.master.gateway import Gateway
from stenella.actors.master.uploads import Upload, Uploads

from .bugs import CALM, LOSSY, Bug, master

PARTS: dict[str, Any] = {"parts": 1.0, "instances": 8}


class TakesHalves(Uploads):
    def take(self, digest: str) -> bytes:
        upload = self.by_digest.pop(digest, None)
        return b"" if upload is None else b"".join(upload.parts)


class Believed:
    """A hash that is whatever was claimed."""

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def update(self, data: bytes) -> None:
        pass

    def hexdigest(self) -> str:
        return self.digest


class BelievesTheDigest(Uploads):
    def receive(self, part: Any, ctx: Context) -> Any:
        if part.offset == 0 and part.definition_digest not in self.by_digest:
            upload: Any = Upload(part.size)
            upload.hash = Believed(part.definition_digest)
            self.by_digest[part.definition_digest] = upload
        return super().receive(part, ctx)


class ForgetsNothing(Uploads):
    def forget_old(self, ctx: Context) -> None:
        pass


def with_uploads(kind: type[Uploads]) -> type[Gateway]:
    class Planted(Gateway):
        def _take_part(self, part: Any, ctx: Context) -> None:
            self.uploads.__class__ = kind
            super()._take_part(part, ctx)

    return Planted


PLANTED_PARTS = [
    Bug(
        "half of a definition is run",
        "what runs is what was sent",
        master(gateway=with_uploads(TakesHalves)),
        CALM | PARTS,
    ),
    Bug(
        "a digest is believed",
        "what runs is what was sent",
        master(gateway=with_uploads(BelievesTheDigest)),
        CALM | PARTS,
    ),
    Bug(
        "half of a definition is kept for ever",
        "nothing half-sent is kept",
        master(gateway=with_uploads(ForgetsNothing)),
        CALM | LOSSY | PARTS,
        seed=5,
    ),
]
