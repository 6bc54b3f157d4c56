"""``logs -f``: what one task or all of an instance write, as it comes, across attempts."""

from collections.abc import Collection
from typing import Any

import click

from ..client.reads import Reads
from ..home.layout import Home
from ..protocol.errors import RefusedInState
from .log_file import LogFile, open_log, pieces, tail_offset
from .log_output import Output
from .progress import FINAL

POLL_S = 0.25  # between two looks for more; people do not read faster

Document = dict[str, Any]


class Followed:
    """An attempt whose log is being read."""

    def __init__(self, task: Document, attempt: int, tail: int | None) -> None:
        self.task = task
        self.attempt = attempt
        self.tail = tail  # lines of what was there before us
        self.log: LogFile | None = None  # not there yet
        self.offset = 0
        self.is_over = False  # nothing will follow what is there


class Follower:
    """Learns of attempts from the changes of an instance and reads each log to its end."""

    def __init__(
        self,
        home: Home | None,
        client: Reads,
        output: Output,
        tail: int | None,
        attempt: int | None,
    ) -> None:
        """``tail``: only so many lines of what was there before us. ``attempt``: that one only."""
        self._home, self._client, self._output = home, client, output
        self._tail, self._attempt = tail, attempt
        self._followed: dict[tuple[int, int], Followed] = {}  # by task instance and attempt
        self._newest: dict[int, int] = {}  # task instance → highest attempt taken up
        self._is_catching_up = True  # with what was there before us
        self._away: dict[str, None] = {}  # what was said of workers that are away now
        self._is_whole = True

    def follow(self, workflow_instance_id: int, names: Collection[str]) -> bool:
        """Until the instance has ended, or the one task in ``names``, or its attempt.

        Tells whether each last attempt was read to its end: not where its worker is away then.
        """
        for page in self._client.changes(workflow_instance_id, None, POLL_S):
            tasks = [task for task in page["tasks"] if task["name"] in names]
            for task in tasks:
                self._take_up(task)
            self._read(workflow_instance_id)
            self._is_catching_up = self._is_catching_up and bool(page["tasks"])
            if len(names) == 1 and any(map(self._has_ended, tasks)):
                break
        # Changes come page by page, and the end of an instance before the last page of a large one.
        for task in self._client.show(workflow_instance_id)["tasks"]:
            if task["name"] in names and task["task_instance_id"] is not None:
                self._take_up(task)
        self._read(workflow_instance_id)
        self._output.end()
        return self._is_whole

    def _has_ended(self, task: Document) -> bool:
        later = self._attempt is not None and task["attempt"] > self._attempt
        return later or task["state"] in FINAL

    def _take_up(self, task: Document) -> None:
        """Every attempt since the last look; with a tail, of those before us the last."""
        number, current = task["task_instance_id"], task["attempt"]
        if task["type"] == "noop" or not current:
            return
        if number in self._newest:
            first = self._newest[number] + 1
        else:
            was_there = self._is_catching_up and self._tail is not None
            first = self._attempt or (current if was_there else 1)
        tail = self._tail if self._is_catching_up else None
        for attempt in range(first, current + 1):
            if self._attempt in (None, attempt):
                self._followed[number, attempt] = Followed(task, attempt, tail)
        self._newest[number] = max(current, self._newest.get(number, 0))
        for attempt in range(1, current + 1):
            if (followed := self._followed.get((number, attempt))) is not None:
                followed.is_over = attempt < current or task["state"] in FINAL
                followed.task = task

    def _read(self, workflow_instance_id: int) -> None:
        away: dict[str, None] = {}
        for key, followed in list(self._followed.items()):
            try:
                self._read_on(workflow_instance_id, followed)
            except RefusedInState as error:  # its worker may come back: that is waited for
                away[error.message] = None
                if followed.is_over and followed.attempt == self._newest[key[0]]:
                    self._is_whole = False
            if followed.is_over:
                del self._followed[key]
        for text in away:
            if text not in self._away:
                click.echo(text, err=True)
        self._away = away

    def _read_on(self, workflow_instance_id: int, followed: Followed) -> None:
        if followed.log is None:
            task, attempt = followed.task, followed.attempt
            log = open_log(self._home, self._client, workflow_instance_id, task, attempt)
            if log is None:
                return
            if followed.tail is not None:
                followed.offset = tail_offset(log, followed.tail)
            followed.log = log
        for behind, chunk in pieces(followed.log, followed.offset):
            followed.offset = behind
            self._output.write(followed.task, followed.attempt, chunk)
