"""What the tormented cluster is to do: tasks that write down for themselves that they ran.

Each task holds a lock as long as anything of it lives, so that two at once are seen at once, and
appends a line when it begins and one when it has ended.
"""

from pathlib import Path
from random import Random
from typing import Any

TASK_MS = (5, 200)
LAYER = 4  # tasks that wait for the same one; half of all write outputs

SCRIPT = """\
exec 9> "{locks}/$STENELLA_TASK_INSTANCE_ID"
me="$STENELLA_TASK_INSTANCE_ID $STENELLA_ATTEMPT_NUMBER $$"
flock -n 9 || echo "overlap $me" >> "{ledger}"
echo "begin $me ${{given:-}}" >> "{ledger}"
sleep {seconds}
{output}
echo "end $me" >> "{ledger}"
"""
OUTPUT = 'echo "out=$STENELLA_TASK_INSTANCE_ID.$STENELLA_ATTEMPT_NUMBER" >> "$STENELLA_OUTPUT"'


def workflow(random: Random, number: int, tasks: int, folder: Path) -> dict[str, Any]:
    """A definition: layers, each of which waits for the first task of the one before."""
    made = []
    for place in range(tasks):
        layer, first = divmod(place, LAYER)
        gives = first % 2 == 0  # half of them, and the first of each layer
        task: dict[str, Any] = {
            "name": f"t{place}",
            "script": SCRIPT.format(
                locks=folder / "locks",
                ledger=folder / "ledger",
                seconds=random.randint(*TASK_MS) / 1_000,
                output=OUTPUT if gives else "",
            ),
            "retry": {"times": 2, "interval": "200ms"},
        }
        if gives:
            task["outputs"] = ["out"]
        if layer:
            parent = f"t{(layer - 1) * LAYER}"
            task |= {"depends_on": [parent], "params": {"given": f"${{{parent}.out}}"}}
        made.append(task)
    return {"name": f"chaos-{number}", "failure_strategy": "continue", "tasks": made}
