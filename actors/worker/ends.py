"""How an attempt ended, in a status, a stable reason and a sentence for people. Pure."""

from typing import Any

#: Signals by number; a table, because this room imports no `signal`.
SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV"}
SIGNALS |= {10: "USR1", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ"}
KILL = 9

#: What a shell means by an exit code, where that helps to mend.
SHELL_CODES = {
    126: "a program was found that may not be executed: it lacks chmod +x, or is of another"
    " machine's kind",
    127: "a program was not found: it is missing on this worker, not in PATH, or the first line of"
    " a script names one that is not there; the log's end names it",
}
#: Where the kernel struck (`warden.py`: oom).
OOM_PLACES = {"group": "in this worker's memory group", "machine": "on this machine"}

End = tuple[str, str, str]  # status, reason, message


def exit_code(ended: dict[str, Any]) -> int:
    """0–255; 128 + n for signal n, as a shell has it."""
    code: int | None = ended["code"]
    return 128 + ended["signal"] if code is None else code


def by_code(ended: dict[str, Any]) -> End:
    """The end of a process that nobody wanted to end and that did not succeed."""
    if ended.get("oom"):
        where = OOM_PLACES.get(ended["oom"], "")
        message = (
            f"killed by the system for want of memory: it killed {where} while the task ran, and"
            " nobody here sent that signal; the task needs less memory, or fewer at once"
        )
        return "FAILURE", "oom", message
    return "FAILURE", "exit_nonzero", _exit_sentence(ended)


def _exit_sentence(ended: dict[str, Any]) -> str:
    code = ended["code"]
    if code is None:
        name = SIGNALS.get(ended["signal"], "?")
        sentence = f"the command was ended by signal {ended['signal']} (SIG{name})"
        if ended["signal"] == KILL:
            sentence += (
                ", which Stenella did not send: a person did, or the system for want of memory"
                " (its log, dmesg, would say so)"
            )
        return sentence
    sentence = f"the command ended with exit code {code}"
    if code in SHELL_CODES:
        return f"{sentence}: as a rule {SHELL_CODES[code]}"
    if code - 128 in SIGNALS:
        name = SIGNALS[code - 128]
        return f"{sentence}: as a rule a program that it had started was ended by SIG{name}"
    return sentence


def by_intent(intent: str, processes_max: int) -> End:
    """The end that was asked for; ``processes_max``: what the limit is now."""
    match intent:
        case "person":
            return "KILL", "killed", "killed on request"
        case "timeout":
            return "FAILURE", "timeout", "stopped: its time was over"
        case "limit":
            message = (
                f"killed: it had more than {processes_max:,} processes at once, the limit of"
                " worker.processes_max"
            )
            return "FAILURE", "limit", message
        case "shutdown":
            return "NEED_FAULT_TOLERANCE", "shutdown", "stopped with the cluster; it will run again"
        case _:
            message = "stopped by its worker: no master had answered for the time of its lease"
            return "NEED_FAULT_TOLERANCE", "fenced", message
