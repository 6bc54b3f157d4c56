"""An attempt as the worker performs it: prepare, a real process, collect."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec

from stenella.protocol.commands import TaskExecuteRequest
from stenella.protocol.launch import Collection, Launch
from stenella.tasks.types import TaskType

ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere", "LANG": "C.UTF-8"}


def request(script: str | None = "true", **changes: Any) -> TaskExecuteRequest:
    return msgspec.structs.replace(
        TaskExecuteRequest(
            task_instance_id=11,
            workflow_instance_id=7,
            attempt=2,
            dispatch_id=5,
            epoch=1,
            to_boot="boot",
            workflow="nightly",
            task="extract",
            task_type="shell",
            script=script,
            params={},
            origins={},
            env={},
            outputs={},
            required=[],
            working_dir=None,
            submit_dir=None,
            base_time=1_711_880_400_123,
        ),
        **changes,
    )


def launched(kind: TaskType, asked: TaskExecuteRequest, folder: Path) -> Launch:
    launch = kind.prepare(asked, folder)
    assert launch is not None
    return launch


def attempt(kind: TaskType, asked: TaskExecuteRequest, place: Path) -> tuple[int, str, Collection]:
    """Exit code, whole log and traces; the folder is ``place/work``, the log ``place/log``."""
    folder, log = place / "work", place / "log"
    launch = launched(kind, asked, folder)
    with open(log, "wb") as out:
        ended = subprocess.run(
            launch.argv,
            env=launch.env,
            cwd=launch.cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    traces = kind.collect(folder, log, ended.returncode, asked.outputs, asked.required)
    return ended.returncode, log.read_text(), traces
