"""Definitions that clients send in parts, kept until a submit takes them or nobody goes on.

Nothing here is on disk: a master that dies has received nothing, and the client begins again. What
is complete is what its digest says, or it was thrown away; who sends the same definition at the
same time adds to the same one.
"""

import hashlib

from ...protocol.commands import DefinitionPart
from ...workflow.definition import DEFINITION_BYTES_MAX, too_large
from ..base import Context

#: Declared by all that are under way: two of the largest.
UPLOADS_BYTES_MAX = 2 * DEFINITION_BYTES_MAX
#: Since its last part; longer than a client's longest pause, several times over.
UPLOAD_MS_MAX = 60_000
TIMER = "parts"  # of the owner's

Refusal = tuple[int, str, str]  # exit code, code, message


class Upload:
    """A definition of which something has come."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.received = 0
        self.parts: list[bytes] = []
        self.hash = hashlib.sha256()
        self.until_ms = 0

    def add(self, offset: int, data: bytes) -> None:
        """What follows without a gap; a repeated part, or one that came too early, adds nothing."""
        if offset == self.received:
            self.parts.append(data)
            self.hash.update(data)
            self.received += len(data)

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there."""
        return self.received == self.size


class Uploads:
    """By digest."""

    def __init__(self) -> None:
        self.by_digest: dict[str, Upload] = {}
        self.is_armed = False  # the owner's timer is set

    def __len__(self) -> int:
        return len(self.by_digest)

    def receive(self, part: DefinitionPart, ctx: Context) -> int | Refusal:
        """How many bytes of it are there now, from its beginning and without a gap."""
        digest, size = part.definition_digest, part.size
        if size > DEFINITION_BYTES_MAX:
            return 4, "definition_refused", too_large(size)
        if not 0 < part.offset + len(part.data) <= size:
            return 2, "usage", f"a part ends at byte {part.offset + len(part.data)} of {size}"
        upload = self.by_digest.get(digest)
        if upload is None:
            if part.offset:
                return 0
            if size + sum(other.size for other in self.by_digest.values()) > UPLOADS_BYTES_MAX:
                text = "other large definitions are being sent; try again in a minute"
                return 6, "busy", text
            upload = self.by_digest[digest] = Upload(size)
        if upload.size != size:
            return 2, "usage", f"the definition has {upload.size} bytes by an earlier part"
        upload.add(part.offset, part.data)
        upload.until_ms = ctx.now_ms + UPLOAD_MS_MAX
        if upload.is_complete and upload.hash.hexdigest() != digest:
            del self.by_digest[digest]
            return 0
        self._arm(ctx)
        return upload.received

    def take(self, digest: str) -> bytes:
        """All of it, which is then forgotten here; empty where it is not there, or not whole."""
        upload = self.by_digest.get(digest)
        if upload is None or not upload.is_complete:
            return b""
        del self.by_digest[digest]
        return b"".join(upload.parts)

    def forget_old(self, ctx: Context) -> None:
        """To be called when the timer fires."""
        self.is_armed = False
        for digest, upload in list(self.by_digest.items()):
            if upload.until_ms <= ctx.now_ms:
                del self.by_digest[digest]
        self._arm(ctx)

    def _arm(self, ctx: Context) -> None:
        if self.by_digest and not self.is_armed:
            self.is_armed = True
            due_ms = min(upload.until_ms for upload in self.by_digest.values())
            ctx.set_timer(TIMER, max(1, due_ms - ctx.now_ms))
