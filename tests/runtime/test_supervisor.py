"""The supervisor's pauses between starts."""

from pathlib import Path

from stenella.home.layout import Home
from stenella.runtime.supervisor import PAUSES_S, Desired, Supervisor


def test_what_cannot_be_started_is_tried_again_after_growing_pauses(tmp_path: Path) -> None:
    """Seen: the home of a running cluster was removed, and its supervisor took a core."""
    said: list[str] = []
    supervisor = Supervisor(Home(tmp_path), Desired(0, None), None, said.append)
    [master] = supervisor.children
    master.log = tmp_path / "gone" / "master.log"
    master.started_s = 1.0  # it had run for long

    pauses_s = []
    for now_s in (1_000.0, 2_000.0, 3_000.0):
        supervisor._start(master, now_s)
        assert master.due_s is not None
        pauses_s.append(round(master.due_s - now_s, 6))

    assert pauses_s == list(PAUSES_S[:3])
    assert "cannot be started" in said[0]
