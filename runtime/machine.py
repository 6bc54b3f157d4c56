"""Which machine this process is on, and whether a process of it is still the one that it was."""

import os
from pathlib import Path


def kernel_boot() -> str:
    """Changes with every start of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def here() -> str:
    """Equal for two processes that can see each other by pid: kernel boot and pid namespace."""
    return f"{kernel_boot()}.{Path('/proc/self/ns/pid').stat().st_ino}"


def start_ticks(pid: int) -> int | None:
    """When the process started, which with its pid names it for good; None: there is none of ours.

    Somebody else's, under a number that was used again, may be hidden (proc(5), hidepid).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[19])  # proc(5): field 22


def carriers(marks: bytes) -> list[int]:
    """Processes in whose environment a variable begins like ``marks``, as far as we may look."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue  # gone meanwhile, or not ours to see
            if any(entry.startswith(marks) for entry in environment.split(b"\0")):
                found.append(int(name))
    return found
