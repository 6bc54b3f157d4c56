"""A worker's files: prepares attempts, collects their traces, reads logs, on native threads."""

import logging
import os
from collections.abc import Callable
from collections.abc import Collection as Names
from contextlib import suppress
from pathlib import Path
from traceback import TracebackException
from typing import Any

import msgspec

from ..actors.base import Collect, Collected, Discard, LogPage, Prepare, Prepared, ReadLog
from ..actors.worker.log_reader import log_name
from ..home import logs
from ..home.layout import WorkerHome
from ..home.settings import WorkerSettings
from ..protocol.commands import TaskExecuteRequest, clipped
from ..protocol.launch import CannotPrepare, Collection, Launch
from ..tasks import run_as as run_as_account
from ..tasks import traces
from ..tasks.types import TaskType
from .file_work import FileWork
from .work_folders import WorkFolders, remove

log = logging.getLogger(__name__)

#: What is to be removed gathers so long: it waits for nobody, and is in the way of what does.
GATHER_S = 0.05
#: As JSON. Far above the 6 MB of arguments and environment that the kernel takes; below the line
#: at which a warden gives its worker up.
LAUNCH_BYTES_MAX = 32 << 20

_launches = msgspec.json.Decoder(Launch)
_collections = msgspec.json.Decoder(Collection)

FileEffect = Prepare | Collect | Discard | ReadLog


class AttemptFiles:
    """The files of all attempts of one worker; ``marks`` begins the names of those outside of it.

    ``offer(actor, message)`` is given what the effects answer. On the hub's thread: all without
    underscore; on file threads, several at the same time: the methods at the end.
    """

    def __init__(
        self,
        place: WorkerHome,
        settings: WorkerSettings,
        types: dict[str, TaskType],
        marks: str,
        offer: Callable[[str, Any], None],
    ) -> None:
        self.folders = WorkFolders(place.work)
        self._logs, self._settings, self._types = str(place.logs), settings, types
        self._marks, self._offer = marks, offer
        #: A thread each: what has ended is told whatever is being prepared, or removed.
        self._preparations, self._ends = FileWork(), FileWork()
        self._removals = FileWork(gather_s=GATHER_S)
        #: Attempts being prepared → whether they are given up meanwhile.
        self._preparing: dict[int, bool] = {}

    def pumps(self) -> list[Callable[[], None]]:
        """To be run until the end."""
        return [*self._preparations.pumps, *self._ends.pumps, *self._removals.pumps]

    def log(self, name: str) -> str:
        """Where a log is."""
        return f"{self._logs}/{name}"

    def perform(self, effect: FileEffect) -> None:
        """Have it done; never blocks."""
        match effect:
            case Prepare():
                self._preparing[effect.request.dispatch_id] = False
                self._preparations.post(self._prepare, effect.request, self._prepared)
            case Collect():
                self._ends.post(self._collect, effect, self._collected)
            case ReadLog():
                self._ends.post(self._read_log, effect, self._log_read)
            case Discard():
                if effect.dispatch_id in self._preparing:
                    self._preparing[effect.dispatch_id] = True  # `_prepared` comes back here
                else:
                    self._removals.post(self._discard, effect)

    def clear_away(self, known: Names[int]) -> None:
        """Remove what former lives left of attempts that the journal does not know (``known``)."""
        for left in [*self.folders.strange(known), *self._strange_outside(known)]:
            self._removals.post(remove, left)

    def _strange_outside(self, known: Names[int]) -> list[str]:
        ours = {f"{self._marks}.{dispatch_id}" for dispatch_id in known}
        folders = run_as_account.FOLDERS
        try:
            names = os.listdir(folders)
        except FileNotFoundError:
            return []
        strange = [n for n in names if n.startswith(f"{self._marks}.") and n not in ours]
        return [f"{folders}/{name}" for name in strange]

    def look(self) -> None:
        """Now and then: at spare folders that nobody wanted lately, and at work that hangs."""
        for spare in self.folders.idle():
            self._removals.post(remove, spare)
        for work in (self._preparations, self._ends, self._removals):
            for subject in work.look():
                log.warning("file work takes long, a file system may hang: %s", _named(subject))

    def close(self) -> None:
        """The last thing; it waits for the disk."""
        for spare in self.folders.spares():
            remove(spare)

    # --- answers --------------------------------------------------------------------------------

    def _prepared(self, request: TaskExecuteRequest, launch: Any) -> None:
        if self._preparing.pop(request.dispatch_id):
            self._removals.post(self._discard, Discard(request.dispatch_id))
        problem = ""
        if isinstance(launch, Exception):
            launch, problem = None, _sentence(launch)
        self._offer("executor", Prepared(request.dispatch_id, launch, problem))

    def _collected(self, effect: Collect, collection: Any) -> None:
        if isinstance(collection, Exception):
            collection = Collection({}, "", _sentence(collection))
        self._offer("executor", Collected(effect.dispatch_id, collection))

    def _log_read(self, effect: ReadLog, page: Any) -> None:
        if isinstance(page, Exception):
            page = LogPage(effect.token, b"", 0, False, effect.offset)
        self._offer("log_reader", page)

    # --- on file threads ------------------------------------------------------------------------

    def _prepare(self, request: TaskExecuteRequest) -> Launch | None:
        """What is to be started. Raises `CannotPrepare`, OSError, or whatever a task type does."""
        with suppress(FileExistsError):
            os.mkdir(f"{self._logs}/{request.workflow_instance_id}", 0o700)
        kind, account = self._types[request.task_type], None
        if request.run_as is not None:
            account = run_as_account.account(request.run_as, self._settings.run_as_allowed)
        if account is None:
            rewritten = getattr(kind, "rewritten", None)
            self.folders.make(request.dispatch_id, rewritten(request) if rewritten else ())
            return _readable(kind.prepare(request, Path(self.folders.path(request.dispatch_id))))
        folder = Path(self._outside(request.dispatch_id))
        run_as_account.make_folder(folder)
        launch = _readable(kind.prepare(request, folder))
        name = log_name(request.workflow_instance_id, request.task_instance_id, request.attempt)
        run_as_account.hand_over(folder, Path(self.log(name)), account)
        return None if launch is None else run_as_account.as_account(launch, account, request)

    def _collect(self, effect: Collect) -> Collection:
        """The traces of an ended process. Raises OSError, or whatever a task type does."""
        log_file = Path(self.log(effect.log))
        cut = self._settle_log(log_file)
        collection = self._types[effect.task_type].collect(
            Path(self._folder(effect.dispatch_id)),
            log_file,
            effect.exit_code,
            effect.outputs,
            effect.required,
        )
        return _reportable(collection, cut)

    def _settle_log(self, path: Path) -> str:
        try:
            return logs.settle(path, self._settings.log_bytes_max)
        except OSError as error:  # a full disk must not turn a success into a failure
            log.warning("log not cut log=%s error=%s", path, error.strerror)
            return ""

    def _folder(self, dispatch_id: int) -> str:
        """The attempt's; what it was at its start is seen by where it lies."""
        outside = self._outside(dispatch_id)
        if not self.folders.knows(dispatch_id) and os.path.exists(outside):
            return outside
        return self.folders.path(dispatch_id)

    def _outside(self, dispatch_id: int) -> str:
        return f"{run_as_account.FOLDERS}/{self._marks}.{dispatch_id}"

    def _discard(self, effect: Discard) -> None:
        """Nobody needs the attempt's folder any more."""
        folder = self._folder(effect.dispatch_id)
        if folder == self.folders.path(effect.dispatch_id):
            self.folders.clear(effect.dispatch_id, brief=effect.brief)
        else:
            remove(folder)

    def _read_log(self, effect: ReadLog) -> LogPage:
        """A page of a log; raises OSError but for one that is not there."""
        try:
            page = logs.read_page(Path(self.log(effect.log)), effect.offset, effect.limit)
        except FileNotFoundError:
            return LogPage(effect.token, b"", 0, False, effect.offset)
        return LogPage(effect.token, page.data, page.size, True, page.offset)


def _named(subject: Any) -> str:
    """What is being worked at, without anything of the task's own but its folder."""
    match subject:
        case TaskExecuteRequest():
            ids = f"task={subject.task_instance_id} attempt={subject.attempt}"
            folder = os.path.join(subject.submit_dir or "", subject.working_dir or "")
            return f"preparing {ids} type={subject.task_type} working_dir={folder or 'its own'}"
        case Collect() | ReadLog():
            return f"reading log={subject.log}"
        case Discard():
            return f"removing the folder of dispatch_id={subject.dispatch_id}"
    return f"removing {subject}"


def _readable(launch: Launch | None) -> Launch | None:
    """As the warden reads it, whoever made it. Raises what is wrong with it."""
    if launch is None:
        return None
    body = msgspec.json.encode(launch)
    if len(body) > LAUNCH_BYTES_MAX:
        raise CannotPrepare(
            f"its arguments and environment are {len(body)} bytes, the limit is {LAUNCH_BYTES_MAX}"
        )
    plain = _launches.decode(body)
    for path in plain.traces or ():
        if not path.startswith("/") or "\0" in path:
            raise CannotPrepare(f"its trace {path!r} is no absolute path")
    return plain


def _reportable(collection: Collection, note: str) -> Collection:
    """As it can travel and be stored, whoever made it. Raises what is wrong with its fields.

    What could not would end the worker when it is told, again in each of its lives.
    """
    given = Collection(collection.outputs, collection.tail or "", collection.problem or "")
    plain = _collections.decode(msgspec.json.encode(given))
    wrong = traces.wrong_with(plain.outputs)
    problem = plain.problem or traces.in_words(wrong)
    return Collection({} if wrong else plain.outputs, _text(plain.tail), _text(problem), note)


def _sentence(error: Exception) -> str:
    """Why a task type could not do its work, for the person who reads the task's message."""
    # Even its text may be one more error; and bytes of a name are none that can travel.
    told = str(TracebackException(type(error), error, None, lookup_lines=False))
    told = told.encode(errors="backslashreplace").decode()
    return _text(told if isinstance(error, CannotPrepare) else f"{type(error).__name__}: {told}")


def _text(text: str) -> str:
    """As it may travel and be stored."""
    return clipped(text.replace("\0", "\\x00"))
