"""How long a worker is waited for, and from where its warden can be watched instead."""

import msgspec

from ...protocol.rows import WorkerRow


class Terms(msgspec.Struct, frozen=True):
    """How long workers are waited for; ``machine`` is the master's own, as in `WorkerRegister`."""

    heartbeat_ms: int
    lease_ms: int
    fence_grace_ms: int
    machine: str

    @property
    def patience_ms(self) -> int:
        """From the receipt of what was last heard until nothing can run there any more.

        The worker counts the lease from its sending, which was before; one grace is for ending
        what runs, the other for clocks that run apart.
        """
        return self.lease_ms + 2 * self.fence_grace_ms

    def sees(self, row: WorkerRow) -> bool:
        """Whether its warden is watched from here, so that it needs no lease."""
        return bool(row.machine) and row.machine == self.machine
