"""Which keys are good now: the home's keyring as the links of a running master ask for it.

A revoked key counts from the next `look`; an unknown one is looked for before it is refused.
"""

import logging
import time

from ..home import keyring
from ..home.keyring import Holder
from ..home.layout import Home
from .zap import NotYet

log = logging.getLogger(__name__)

#: A flood of unknown keys makes us look no more often than that, which with 1,000 keys is 3 % of a
#: core; a key that was issued since the last look has to wait for the next.
LOOK_AGAIN_S = 0.05
#: Connections that are remembered, to be cut off when their key is revoked.
PEERS_MAX = 10_000

#: Which roles each door is for.
WORKERS, CLIENTS = "workers", "clients"
DOORS: dict[str, tuple[str, ...]] = {WORKERS: ("worker",), CLIENTS: ("client", "observer")}


class KeyTable:
    """The keyring in memory, and who came with which key."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._signature: tuple[tuple[str, int], ...] = ()
        self._holders: dict[bytes, Holder] = {}
        self._good: dict[str, Holder] = {}  # by user id
        self._looked_s = 0.0
        self._peers: dict[bytes, str] = {}  # connection → user id, the newest `PEERS_MAX`
        self.cut: dict[bytes, None] = {}  # connections whose key is good no more
        self.look()

    def admit(self, public_key: bytes, door: str) -> str | None:
        """The user id of a key that may come in by this door; None: it may not.

        Raises `NotYet` where it may have been issued since the last look.
        """
        holder = self._holders.get(public_key)
        if holder is None:
            if time.monotonic() - self._looked_s < LOOK_AGAIN_S:
                raise NotYet(LOOK_AGAIN_S)
            self.look()
            holder = self._holders.get(public_key)
        return holder.user_id if holder is not None and holder.role in DOORS[door] else None

    def holder(self, peer: bytes, user_id: str) -> Holder | None:
        """Who sent a frame over this connection; None: the key was revoked since it was made."""
        found = self._good.get(user_id)
        if found is not None and peer not in self._peers:
            if len(self._peers) >= PEERS_MAX:
                del self._peers[next(iter(self._peers))]
            self._peers[peer] = user_id
        return found

    def look(self) -> list[bytes]:
        """Read the files if they have changed; the connections that are cut off by that.

        Whether they have takes a stat of a few, 2 µs each (`keyring.signature`).
        """
        self._looked_s = time.monotonic()
        signature = keyring.signature(self._home)
        if signature == self._signature:
            return []
        self._signature = signature
        self._holders = keyring.authorised(self._home)
        self._good = {holder.user_id: holder for holder in self._holders.values()}
        gone = [peer for peer, user_id in self._peers.items() if user_id not in self._good]
        for peer in gone:
            log.warning("key revoked, cut off user=%s", self._peers.pop(peer).rpartition(":")[0])
            if len(self.cut) >= PEERS_MAX:
                del self.cut[next(iter(self.cut))]
            self.cut[peer] = None
        return gone
