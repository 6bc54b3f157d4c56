"""Kills, freezes and cuts, as a seed has it, and writes down what it did.

It ends only what belongs to its own cluster: pids are found by the homes that they carry.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from .machines import LEASE_S, Cluster, Machine
from .proxy import WAYS

PAUSE_S = (0.2, 1.5)  # between two deeds
CUT_S_MAX = 6.0  # longer than the lease and its graces
#: What is frozen goes on after so long. A warden is the one that ends what outlives its lease, and
#: one that is itself stopped longer is a machine that stands still, which no lease covers.
FREEZE_S = {"master": 2 * LEASE_S, "worker": 2 * LEASE_S, "warden": 1.0}


class Tormentor:
    """One thread of deeds, one of awakenings: what was stopped goes on, whatever happens."""

    def __init__(self, cluster: Cluster, seed: int, log: Path) -> None:
        self.cluster = cluster
        self.random = Random(seed)
        self.log = log
        self.began_s = time.monotonic()
        self.deeds: Counter[str] = Counter()
        self.frozen: dict[int, float] = {}  # pid → when it goes on
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, name="tormentor")

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def end(self) -> None:
        """No more of it: what is frozen goes on, and everything passes."""
        self.ending.set()
        self.thread.join()
        self._wake(everybody=True)
        for machine in self.cluster.machines:
            machine.proxy.heal()
            if machine.init is None or machine.init.poll() is not None:
                machine.start()

    def _run(self) -> None:
        while not self.ending.wait(self.random.uniform(*PAUSE_S)):
            self._wake()
            weights = self._weights()
            (deed,) = self.random.choices(list(weights), list(weights.values()))
            deed()

    def _weights(self) -> dict[Callable[[], None], int]:
        found: dict[Callable[[], None], int] = {
            self.kill_master: 2,
            self.freeze_master: 1,
            self.kill_worker: 3,
            self.freeze_worker: 2,
            self.kill_warden: 1,
            self.freeze_warden: 1,
            self.kill_task: 2,
            self.cut: 3,
        }
        if self.cluster.isolated:
            found[self.power_off] = 1
        return found

    # --- the deeds --------------------------------------------------------------------------------

    def kill_master(self) -> None:
        """SIGKILL; its supervisor starts another."""
        self._signal("kill master", self.cluster.master_pids(), signal.SIGKILL)

    def freeze_master(self) -> None:
        """Past every lease."""
        self._freeze("master", self.cluster.master_pids())

    def kill_worker(self) -> None:
        """SIGKILL; its tasks run on below the warden."""
        machine = self._machine()
        self._signal(f"kill worker {machine.number}", machine.of("worker"), signal.SIGKILL)

    def freeze_worker(self) -> None:
        """Past its lease: the warden ends what it ran."""
        machine = self._machine()
        self._freeze("worker", machine.of("worker"), machine.number)

    def kill_warden(self) -> None:
        """SIGKILL; its tasks run on until the next one sweeps them."""
        machine = self._machine()
        self._signal(f"kill warden {machine.number}", machine.of("warden"), signal.SIGKILL)

    def freeze_warden(self) -> None:
        """For less than a lease."""
        machine = self._machine()
        self._freeze("warden", machine.of("warden"), machine.number)

    def kill_task(self) -> None:
        """One process of a task, as the kernel does when memory is short."""
        machine = self._machine()
        pids = machine.of("tasks")
        if pids:
            self._signal(f"kill task {machine.number}", [self.random.choice(pids)], signal.SIGKILL)

    def cut(self) -> None:
        """The wire of a machine: closed, or silent, or silent one way."""
        machine, way = self._machine(), self.random.choice(WAYS)
        for_s = self.random.uniform(0.1, CUT_S_MAX)
        machine.proxy.cut(way, for_s)
        self._note(f"cut {machine.number}", f"{way} for {for_s:.1f} s")

    def power_off(self) -> None:
        """A whole machine, and on again."""
        machine = self._machine()
        machine.power_off()
        self._note(f"power off {machine.number}", "")
        machine.start()

    # --- how --------------------------------------------------------------------------------------

    def _machine(self) -> Machine:
        return self.random.choice(self.cluster.machines)

    def _signal(self, deed: str, pids: list[int], number: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                self._note(deed, f"pid {pid}")

    def _freeze(self, what: str, pids: list[int], machine: int = 0) -> None:
        for_s = self.random.uniform(0.1, FREEZE_S[what])
        self._signal(f"freeze {what} {machine or ''}".strip(), pids, signal.SIGSTOP)
        for pid in pids:
            self.frozen[pid] = time.monotonic() + for_s

    def _wake(self, everybody: bool = False) -> None:
        for pid, until_s in list(self.frozen.items()):
            if everybody or time.monotonic() >= until_s:
                del self.frozen[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _note(self, deed: str, text: str) -> None:
        self.deeds[deed.rstrip("0123456789 ")] += 1
        with self.log.open("a") as log:
            log.write(f"{time.monotonic() - self.began_s:8.2f} {deed} {text}\n")
