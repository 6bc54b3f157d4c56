#!/usr/bin/env python3
"""Kills the master and a worker with SIGKILL in the middle of a run, and the run just goes on.

    python3 examples/pull-the-plug.py

A cluster of its own, in a temporary home, runs sixteen steps; each writes a line into a ledger when
it begins and one when it ends. When some have ended and others run, master and worker are killed,
without warning or goodbye. Their supervisor starts them again; they read from the disk what is
true, and find again what still runs. The exit code is 0 only if the workflow succeeded, and the
ledger says that every command ran exactly once.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

STEPS = [f"step-{number:02}" for number in range(1, 17)]
SCRIPT = """
echo "$STENELLA_TASK begins" >> "$ledger"
sleep 1
echo "$STENELLA_TASK ends" >> "$ledger"
"""
BEGAN_S = time.monotonic()
LIMIT_S = 90.0  # it takes some five seconds; a busy machine may need longer


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN_S:5.1f} s  {text}", flush=True)


def main(folder: Path) -> int:
    """The exit code."""
    ledger, file, home = folder / "ledger", folder / "steps.json", str(folder / "home")
    # Whatever cluster you have set is not this one, and no process of it is to be killed.
    others = {name: value for name, value in os.environ.items() if not name.startswith("STENELLA_")}
    environment = {**others, "STENELLA_HOME": home}

    def stenella(*words: str, code: int | None = 0) -> dict[str, Any]:
        """The JSON document that a command prints."""
        command = [sys.executable, "-m", "stenella", *words, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT_S)
        if code is not None and done.returncode != code:
            raise SystemExit((done.stderr or done.stdout).decode())
        document: dict[str, Any] = json.loads(done.stdout or "{}")
        return document

    def noted(what: str) -> list[str]:
        """Which steps have written that they begin or end."""
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [line.split()[0] for line in lines if line.endswith(what)]

    def watch(enough: int) -> None:
        """Say how far it is, until so many steps have ended."""
        seen = (-1, -1)
        while len(noted("ends")) < enough and time.monotonic() < BEGAN_S + LIMIT_S:
            if (now := (len(noted("ends")), len(noted("begins")))) != seen:
                say(f"{now[0]:2} steps have ended, {now[1] - now[0]} are running")
            seen = now
            time.sleep(0.05)

    try:
        stenella("up", "--workers", "2", "--slots", "3", "--detach")
        say("a cluster is up: a master, and two workers with three slots each")
        tasks = [{"name": step, "script": SCRIPT} for step in STEPS]
        params = {"ledger": str(ledger)}
        file.write_text(json.dumps({"name": "steps", "params": params, "tasks": tasks}))
        number = stenella("submit", str(file))["workflow_instance_id"]

        watch(enough=4)
        before = stenella("status")
        killed = {"master": before["masters"][0]["pid"], "worker": before["workers"][0]["pid"]}
        for node, pid in killed.items():
            os.kill(pid, signal.SIGKILL)
            say(f"SIGKILL to the {node}, process {pid}")
        watch(enough=len(STEPS))

        ended = stenella("wait", str(number), code=None)
        after = stenella("status")
        now = {node["pid"] for node in (*after["masters"], *after["workers"])}
        attempts = {task["attempt"] for task in ended["tasks"]}
        begins, ends = Counter(noted("begins")), Counter(noted("ends"))
        once = begins == ends == Counter(STEPS) and attempts == {1}
        say(f"the workflow has ended: {ended['state']}")
        say(f"the nodes are processes {', '.join(map(str, sorted(now)))} now")
        say("every command ran exactly once" if once else f"NOT ONCE: {begins}, {ends}, {attempts}")
        return 0 if once and ended["state"] == "SUCCESS" and not now & set(killed.values()) else 1
    finally:
        stenella("down", "--wait", "0s", code=None)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pull-the-plug-") as temporary:
        sys.exit(main(Path(temporary)))
