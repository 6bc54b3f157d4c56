"""``debug trace`` as a message chart: who told whom what, and how long each step took.

An event of the history is a message that came to the event persister or left it; what the warden
did is known by its own times, which its worker reported. Eighty columns, or less.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import pages
from .text import is_ascii_only, moment, printable, span

Document = dict[str, Any]

#: Where the life line of each stands; the wire is between the master's and the worker's.
LANES = {
    "client": 2,
    "workflow": 11,
    "persister": 21,
    "dispatcher": 32,
    "wire": 40,
    "worker": 46,
    "warden": 54,
}
CHART_WIDTH = 57
TIME_WIDTH, STEP_WIDTH = 12, 8
#: Steps from here on are told in seconds, or longer units.
MILLISECONDS_MAX, SECONDS_MAX = 10_000, 600

#: Event → from whom to whom; others only happen at the persister. Of a person's, the client asked.
ARROWS = {
    "DISPATCH": ("persister", "worker"),
    "RUNNING": ("worker", "persister"),
    "RESULT": ("worker", "persister"),
    "RETURNED": ("dispatcher", "persister"),
    "SUBMIT": ("workflow", "persister"),
    "SKIP": ("workflow", "persister"),
    "KILL": ("workflow", "persister"),
    "KILL_FAILED": ("worker", "persister"),
    **dict.fromkeys(("PAUSE", "RESUME", "FORCE"), ("client", "persister")),
}
#: What the warden did before its worker said so.
WARDEN_DID = {"RUNNING": ("worker", "warden", "start"), "RESULT": ("warden", "worker", "ended")}

SIGNS = {"line": "─", "right": "▶", "left": "◀", "life": "│", "wire": "┊", "point": "●"}
ASCII_SIGNS = {"line": "-", "right": ">", "left": "<", "life": "|", "wire": ":", "point": "*"}


@dataclass(frozen=True)
class Step:
    """One line. ``far``: its time is by the worker's clock."""

    at: float
    source: str
    target: str
    label: str
    short: str = ""  # where the whole has no room
    far: bool = False


def lines(rows: Sequence[Document], local_host: str | None) -> list[str]:
    """The chart. ``local_host``: where the master is, if that is known; its workers there go by the
    same clock.
    """
    signs = ASCII_SIGNS if is_ascii_only() else SIGNS
    clock = f"{'TIME':{TIME_WIDTH}} {'STEP':>{STEP_WIDTH}} "
    found = [clock + _heads()]
    attempt, last = 0, None  # type: int, Step | None
    two_clocks = False
    for row, step in _all_steps(rows):
        if row["attempt"] != attempt:
            attempt = row["attempt"]
            found.append(f"attempt {attempt}")
        crosses = last is not None and step.far != last.far and row["host"] != local_host
        two_clocks = two_clocks or crosses
        took = "" if last is None else _took(step.at - last.at, crosses)
        found.append(f"{_clock(step.at)} {took:>{STEP_WIDTH}} {_drawn(step, signs)}".rstrip())
        last = step
        if row["event"] == "DISPATCH" and row.get("worker"):
            found.append(_beside(f"to {row['worker']}", signs))
    if two_clocks:
        found.append("~ between two clocks: the warden's machine has one of its own")
    told = [row for row in rows if row["event"] in pages.TOLD_EVENTS and row["detail"]]
    return [*found, *(f"{row['event']}: {printable(row['detail'])}" for row in told)]


def _all_steps(rows: Sequence[Document]) -> list[tuple[Document, Step]]:
    """In order: a RUNNING that came together with the RESULT came after what it tells of."""
    found: list[tuple[Document, Step]] = []
    for row in rows:
        before, told = found[-1] if found else (row, None)
        together = told is not None and told.at == row["at"] and before["event"] == "RUNNING"
        for step in _steps(row):
            if step.far and together and row["event"] == "RESULT":
                found.insert(-1, (row, step))
            else:
                found.append((row, step))
    return found


def _steps(row: Document) -> Iterator[Step]:
    event = row["event"]
    if event in WARDEN_DID and row.get("worker_time") is not None:
        source, target, label = WARDEN_DID[event]
        yield Step(row["worker_time"], source, target, label, far=True)
    source, target = ARROWS.get(event, ("persister", "persister"))
    if event == "SUBMIT" and row["attempt"] == 1:
        source = "client"
    if event == "LOST" and row["callback_seq"]:
        source = "worker"  # it said so itself
    yield Step(row["at"], source, target, _label(row), event)


def _label(row: Document) -> str:
    event = str(row["event"])
    words = [event]
    if event == "DISPATCH":
        words.append(str(row["dispatch_id"]))
    elif row["to"] not in (None, row["from"], event) and event != "RUNNING":
        words.append(pages.short_state(row["to"]))
    if event in ("RUNNING", "RESULT") and row["callback_seq"]:
        words.append(f"seq {row['callback_seq']}")
    if event == "SUBMIT":
        return event
    return " ".join(words)


def _heads() -> str:
    line = [" "] * CHART_WIDTH
    for name, place in LANES.items():
        begin = max(0, place - len(name) // 2)
        line[begin : begin + len(name)] = name
    return "".join(line).rstrip()


def _lives(signs: dict[str, str]) -> list[str]:
    line = [" "] * CHART_WIDTH
    for name, place in LANES.items():
        line[place] = signs["wire"] if name == "wire" else signs["life"]
    return line


def _drawn(step: Step, signs: dict[str, str]) -> str:
    line = _lives(signs)
    source, target = LANES[step.source], LANES[step.target]
    if source == target:
        line[source] = signs["point"]
        text = f" {step.label} "[: CHART_WIDTH - source - 1]
        line[source + 1 : source + 1 + len(text)] = text
        return "".join(line)
    begin, end = min(source, target) + 1, max(source, target)
    line[begin:end] = signs["line"] * (end - begin)
    if source < target:
        line[end - 1] = signs["right"]
    else:
        line[begin] = signs["left"]
    room = end - begin - 1  # all but the head
    text = (step.label if len(step.label) <= room else step.short)[:room]
    text = f" {text} " if len(text) + 4 <= room else text
    at = begin + (source > target) + (room - len(text)) // 2
    line[at : at + len(text)] = text
    return "".join(line)


def _beside(text: str, signs: dict[str, str]) -> str:
    """A note below an arrow, at its head."""
    line = _lives(signs)
    place = LANES["dispatcher"] + 2
    shown = printable(text)[: CHART_WIDTH - place]
    line[place : place + len(shown)] = shown
    return " " * (TIME_WIDTH + STEP_WIDTH + 2) + "".join(line).rstrip()


def _clock(epoch_s: float) -> str:
    """Time of day with milliseconds: what one looks for between events of one task."""
    return f"{moment(epoch_s)[-8:]}.{round(epoch_s * 1000) % 1000:03}"


def _took(seconds: float, crosses: bool) -> str:
    milliseconds = round(seconds * 1_000)
    mark = "~" if crosses else "" if milliseconds < 0 else "+"
    if abs(milliseconds) < MILLISECONDS_MAX:
        return f"{mark}{milliseconds} ms"
    return mark + (f"{seconds:.0f} s" if seconds < SECONDS_MAX else span(seconds)[:7].rstrip())
