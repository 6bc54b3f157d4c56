"""How much work a workload is: commits, rows, frames, messages, bytes and calls for each task.

Calls are those of functions of the product, as cProfile counts them; those of comprehensions are
left out, which newer Pythons carry out inside their function. So a count is the same whatever the
Python's version, the machine and what else runs on it.
"""

import cProfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from stenella.workflow.definition import Definition

from ..simulation.parts import Parts
from .cluster import Cluster

ROOT = Path(__file__).parents[2]
ROOMS = ("actors", "protocol", "storage", "tasks", "workflow")
IN_FUNCTION = ("<listcomp>", "<dictcomp>", "<setcomp>")

Counts = dict[str, float]


def measured(definitions: list[Definition], parts: Parts | None = None) -> Counts:
    """What each task of these costs, on a fresh cluster that has done the same once before."""
    with tempfile.TemporaryDirectory(prefix="stenella-work-") as folder:
        cluster = Cluster(Path(folder), parts)
        with closing(cluster):
            cluster.begin()
            run(cluster, definitions)  # the version is known, encoders and caches are warm
            before = totals(cluster, Path(folder))
            profile = cProfile.Profile(builtins=False)
            profile.enable()
            run(cluster, definitions)
            profile.disable()
            after = totals(cluster, Path(folder))
    tasks = sum(len(definition.tasks) for definition in definitions)
    work = {name: after[name] - before[name] for name in after} | calls(profile)
    return {name: round(number / tasks, 4) for name, number in work.items()}


def run(cluster: Cluster, definitions: list[Definition]) -> None:
    """Submit all, and let them end well."""
    for definition in definitions:
        cluster.client.submit(definition)
    cluster.finish()
    [[failed]] = cluster.connections()[0].execute(
        "SELECT count(*) FROM workflow_instance WHERE state != 7"
    )
    assert not failed


def totals(cluster: Cluster, folder: Path) -> dict[str, int]:
    """All that was done since the beginning."""
    master, *workers = cluster.connections()
    nodes: list[Any] = [cluster.head, *cluster.hands]
    return {
        "master turns": nodes[0].turns,
        "master messages": nodes[0].mailboxes.handled,
        "master commits": nodes[0].turn.storage.handled,
        "master rows": master.total_changes,
        "master log bytes": size(folder / "stenella.db-wal"),
        "worker turns": sum(node.turns for node in nodes[1:]),
        "worker messages": sum(node.mailboxes.handled for node in nodes[1:]),
        "worker commits": sum(node.turn.storage.handled for node in nodes[1:]),
        "worker rows": sum(connection.total_changes for connection in workers),
        "worker log bytes": sum(size(path) for path in folder.glob("worker-*.db-wal")),
        "frames": cluster.wire.frames[b"w"],
        "wire bytes": cluster.wire.bytes[b"w"],
        "client frames": cluster.wire.frames[b"c"],
        "client bytes": cluster.wire.bytes[b"c"],
        "warden lines": sum(node.warden_lines for node in nodes[1:]),
        "warden bytes": sum(node.warden_bytes for node in nodes[1:]),
        "warden records": cluster.ledger.records,
    }


def size(path: Path) -> int:
    return path.stat().st_size


def calls(profile: cProfile.Profile) -> dict[str, int]:
    """Of functions of each room, recursive ones too."""
    found = {f"calls in {room}": 0 for room in ROOMS}
    profile.create_stats()
    for (file, _line, name), (_primitive, count, *_rest) in profile.stats.items():
        path = Path(file)
        if name in IN_FUNCTION or ROOT not in path.parents:
            continue
        room = path.relative_to(ROOT).parts[0]
        if room in ROOMS:
            found[f"calls in {room}"] += count
    return found
