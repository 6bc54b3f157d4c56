"""``stenella doctor``: is everything well with this home, this machine and this cluster?"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ..client.presence import is_held
from ..home.layout import Home, find_home
from ..protocol.errors import NotFound, StenellaError
from . import pages
from .history import read_of
from .options import json_option
from .text import printable

if TYPE_CHECKING:
    from .checks import Patient

#: How long a cluster may take to answer; it answers in milliseconds.
LIMIT_S = 3.0
LETTERS = 100


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Look for what is wrong with home, machine and cluster.

    Works with the cluster up or down. Exit code 1 if there is a problem; each is told with its
    mend. A notice is to be looked at some time.

    Example: stenella doctor
    """
    home = find_home()
    if home is None:
        raise NotFound("there is no home to look at yet; begin with `stenella run FILE`")
    rows = examine(patient_of(home))
    if as_json:
        pages.emit(rows)
    else:
        pages.emit_lines(lines(rows))
    return int(any(row["state"] == "problem" for row in rows))


def examine(patient: "Patient") -> list[dict[str, Any]]:
    """A document for each finding, and one for each check that found nothing."""
    from .checks import CHECKS

    rows: list[dict[str, Any]] = []
    for name, check in CHECKS.items():
        found = list(check(patient))
        if not found:
            rows.append({"check": name, "state": "ok", "message": None, "mend": None})
        for finding in found:
            row = {"check": name, "state": finding.level}
            rows.append(row | {"message": finding.what, "mend": finding.mend})
    return rows


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """For people: what is well in one line, the rest with its mend."""
    well = [row["check"] for row in rows if row["state"] == "ok"]
    said = [f"ok: {', '.join(well)}"]
    for row in rows:
        if row["state"] != "ok":
            said.append(f"{row['state']}: {row['check']}: {printable(row['message'])}")
            said.append(f"    {printable(row['mend'])}")
    return said


def patient_of(home: Home) -> "Patient":
    """What can be known of a home and its cluster."""
    from .checks import Patient  # sqlite3: only for those who ask

    patient = Patient(home, is_held(home))
    if patient.held:
        from ..client.reads import Reads  # zmq: loaded only where there is a cluster

        with Reads(home.root, limit_s=LIMIT_S) as client:
            try:
                patient.status = client.status()
            except StenellaError as error:
                patient.unreachable = error.message
            with suppress(StenellaError):  # also where the master takes nothing else any more
                patient.mailboxes = client.mailboxes()
                patient.stuck = client.stuck()
    with suppress(StenellaError):  # the check of the database says why
        patient.letters = read_of(home, lambda reader: reader.dead_letters(LETTERS))
    return patient
