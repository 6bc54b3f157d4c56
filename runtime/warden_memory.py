"""Kills for want of memory, as the warden tells them from others; small files of the kernel."""


class Memory:
    """How often the kernel has killed for want of memory: in this process's memory group, where
    that counts it, else on the whole machine. Tasks are in the group, unless they leave it.

    The kernel counts a kill before it sends it (mm/oom_kill.c): what died of one finds it here.
    """

    def __init__(self) -> None:
        groups = [f"/sys/fs/cgroup{path}" for path in memory_groups()]
        self.where, self.path = "machine", "/proc/vmstat"
        for path in groups:
            if b"oom_kill " in read(path):
                self.where, self.path = "group", path
                break

    def kills(self) -> int:
        """So far; 0 where nothing can be read."""
        for line in read(self.path).splitlines():
            name, _, number = line.partition(b" ")
            if name == b"oom_kill":
                return int(number)
        return 0


def memory_groups() -> list[str]:
    """Files below /sys/fs/cgroup that may count for this process (cgroups(7))."""
    paths = []
    for line in read("/proc/self/cgroup").decode(errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths.append(f"{path}/memory.events")
        elif "memory" in controllers.split(","):
            paths.append(f"/memory{path}/memory.oom_control")
    return paths


def read(path: str) -> bytes:
    """A small file of the kernel; empty if there is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
