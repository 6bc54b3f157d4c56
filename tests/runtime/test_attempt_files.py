"""A worker's files: prepared, collected and removed on native threads."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from stenella.actors.base import (
    Collect,
    Collected,
    Discard,
    LogPage,
    Prepare,
    Prepared,
    ReadLog,
)
from stenella.home import settings
from stenella.home.layout import Home, WorkerHome
from stenella.protocol.codec import encode_command
from stenella.protocol.commands import TEXT_MAX
from stenella.protocol.launch import CannotPrepare, Collection, Launch
from stenella.runtime.attempt_files import LAUNCH_BYTES_MAX, AttemptFiles
from stenella.tasks.shell import Shell
from stenella.tasks.types import TaskType

from ..actors.builders import result
from ..tasks.attempts import ENVIRON, request

COLLECT = Collect(1, "shell", "7/11.2.log", 0, {"n": 1}, [])


class Held(Shell):
    """Prepares when the gate is open."""

    def __init__(self) -> None:
        super().__init__(ENVIRON)
        self.entered, self.gate = threading.Event(), threading.Event()

    def prepare(self, request: Any, folder: Path) -> Launch | None:
        self.entered.set()
        assert self.gate.wait(20)
        return super().prepare(request, folder)


class Stranger:
    """A type of somebody else; it does what a test says."""

    def __init__(self) -> None:
        self.does: Callable[[], Any] = lambda: None

    def prepare(self, request: Any, folder: Path) -> Launch | None:
        launch: Launch | None = self.does()
        return launch

    def collect(self, *traces: Any) -> Collection:
        collection: Collection = self.does()
        return collection


class Worker:
    """Who has the files, and what it is answered."""

    def __init__(self, place: WorkerHome) -> None:
        self.place, self.held, self.stranger = place, Held(), Stranger()
        types: dict[str, TaskType] = {"shell": Shell(ENVIRON), "held": self.held}
        types["strange"] = self.stranger
        self.answers: list[Any] = []
        worker = settings.load(None).worker
        self.files = AttemptFiles(place, worker, types, "c.w", self._answered)
        self.pumps = [gevent.spawn(pump) for pump in self.files.pumps()]

    def _answered(self, actor: str, message: Any) -> None:
        self.answers.append(message)

    def wait_for(self, condition: Any) -> None:
        with gevent.Timeout(20):
            while not condition():
                gevent.sleep(0.001)

    def answer_to(self, effect: Any) -> Any:
        before = len(self.answers)
        self.files.perform(effect)
        self.wait_for(lambda: len(self.answers) > before)
        return self.answers[-1]

    def folders(self) -> list[str]:
        return sorted(os.listdir(self.place.work))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    place = Home(tmp_path).worker(1)
    place.create()
    made = Worker(place)
    yield made
    made.held.gate.set()
    gevent.killall(made.pumps)


def test_an_attempt_is_prepared_collected_and_its_folder_goes_on_to_the_next(
    worker: Worker,
) -> None:
    first = worker.answer_to(Prepare(request(dispatch_id=1, script="echo a long script")))
    assert isinstance(first, Prepared)
    assert first.launch is not None
    assert worker.answer_to(COLLECT) == Collected(1, Collection({"n": 1}, ""))
    worker.files.perform(Discard(1, brief=True))
    worker.wait_for(lambda: not worker.files.folders.knows(1))

    second = worker.answer_to(Prepare(request(dispatch_id=2, script="true")))

    assert second.launch.cwd == str(worker.place.work / "2")
    assert (worker.place.work / "2" / "script").read_text() == "true"


def test_what_is_given_up_while_it_is_prepared_is_removed_after(worker: Worker) -> None:
    worker.files.perform(Prepare(request(dispatch_id=1, task_type="held")))
    worker.wait_for(worker.held.entered.is_set)
    worker.files.perform(Discard(1))
    worker.files.perform(Prepare(request(dispatch_id=2)))
    worker.held.gate.set()
    worker.wait_for(lambda: len(worker.answers) == 2)

    worker.wait_for(lambda: worker.folders() == ["2"])


def test_what_a_former_life_left_is_cleared_away_but_for_what_the_journal_knows(
    worker: Worker,
) -> None:
    for number in (1, 2):
        (worker.place.work / str(number) / "deep").mkdir(parents=True)

    worker.files.clear_away([2])

    worker.wait_for(lambda: worker.folders() == ["2"])


def test_what_a_former_life_left_is_not_taken_for_the_attempt_of_its_number(
    worker: Worker,
) -> None:
    (worker.place.work / "1" / "deep").mkdir(parents=True)

    worker.files.clear_away([])  # as after a new database, whose numbers begin again
    worker.answer_to(Prepare(request(dispatch_id=1)))
    worker.wait_for(lambda: worker.folders() == ["1"])

    assert os.listdir(worker.place.work / "1") == ["script"]


def test_spare_folders_are_removed_when_nobody_wants_them(worker: Worker) -> None:
    worker.answer_to(Prepare(request(dispatch_id=1)))
    worker.files.perform(Discard(1, brief=True))
    worker.wait_for(lambda: not worker.files.folders.knows(1))

    def gone() -> bool:
        worker.files.look()
        return worker.folders() == []

    worker.wait_for(gone)


def test_ends_are_told_while_preparations_hang(worker: Worker) -> None:
    worker.files.perform(Prepare(request(dispatch_id=1, task_type="held")))
    worker.wait_for(worker.held.entered.is_set)
    worker.files.perform(Prepare(request(dispatch_id=2, task_type="held")))

    assert worker.answer_to(COLLECT) == Collected(1, Collection({"n": 1}, ""))
    page = worker.answer_to(ReadLog("t", "7/11.2.log", 0, 100))
    assert isinstance(page, LogPage)


def test_what_hangs_is_told_and_nothing_else_waits_for_it(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    for number, kind in enumerate(("shell", "held", "shell"), start=1):  # they cross together
        asked = request(dispatch_id=number, task_type=kind, working_dir="/", submit_dir="/nfs")
        worker.files.perform(Prepare(asked))

    def prepared() -> list[int]:
        worker.files.look()
        return sorted(answer.dispatch_id for answer in worker.answers)

    worker.wait_for(lambda: prepared() == [1, 3])
    assert worker.answer_to(Prepare(request(dispatch_id=4))).dispatch_id == 4
    hangs = "file work takes long, a file system may hang: preparing task=11 attempt=2"
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{hangs} type=held working_dir=/"]

    worker.held.gate.set()
    worker.wait_for(lambda: prepared() == [1, 2, 3, 4])
    for number in (5, 6):  # the thread that hung is not lost
        assert worker.answer_to(Prepare(request(dispatch_id=number))).dispatch_id == number


def test_why_a_preparation_failed_is_its_problem(worker: Worker) -> None:
    refused = worker.answer_to(Prepare(request(dispatch_id=1, script=None)))
    unknown = worker.answer_to(Prepare(request(dispatch_id=2, task_type="none")))

    assert refused.problem == "the shell task extract has neither script nor command"
    assert unknown.problem == "KeyError: 'none'"


# --- types of others -----------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]


def raising(error: BaseException) -> Callable[[], Any]:
    def does() -> Any:
        raise error

    return does


def collected(worker: Worker, does: Callable[[], Any]) -> Collection:
    """What is made of it; it can be told to the master."""
    worker.stranger.does = does
    answer = worker.answer_to(Collect(1, "strange", "7/11.2.log", 0, {}, []))
    assert isinstance(answer, Collected)
    told = answer.collection
    assert encode_command(result(outputs=told.outputs, message=told.problem, tail=told.tail))
    assert max(map(len, (told.problem, told.tail))) <= TEXT_MAX
    return told


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"n": 2**64}, "output 'n' holds an integer of more than 63 bits; write it as text"),
        ({"n": [{"deep": -(2**70)}]}, "output 'n' holds an integer of more than 63 bits"),
        ({"n": "x" * 9_000_000}, "output 'n' is 9000000 bytes, the limit is 262144"),
        ({f"n{i}": "x" * 200_000 for i in range(50)}, "the outputs are 10000000 bytes together"),
        ({"n" * 9_000_000: 1}, "the names of the outputs are 9000000 characters together"),
        ({"n": "a\0b"}, "output 'n' holds a NUL"),
        ({"\0": 1}, "holds a NUL"),
        ({"n": "\udcff"}, "UnicodeEncodeError"),
        ({"n": object()}, "TypeError"),
        ([1], "ValidationError: Expected `object`, got `array` - at `$.outputs`"),
        (None, "ValidationError: Expected `object`, got `null` - at `$.outputs`"),
    ],
    ids=lambda given: given[:20] if isinstance(given, str) else "",
)
def test_b9_outputs_of_anybodys_type_that_cannot_be_stored_are_a_problem(
    worker: Worker, outputs: Any, says: str
) -> None:
    """One of them ended its worker when it was told, and all that ran there in the end."""
    told = collected(worker, lambda: Collection(outputs, "the end"))

    assert told.outputs == {}
    assert says in told.problem


def test_b9_texts_of_anybodys_type_are_bounded_and_can_be_told(worker: Worker) -> None:
    long = "x" * 2 * TEXT_MAX
    assert collected(worker, lambda: Collection({"n": 1}, long, long)).outputs == {"n": 1}
    assert collected(worker, lambda: Collection({}, "a\0b", "c\0d")) == Collection(
        {}, "a\\x00b", "c\\x00d"
    )
    none: Any = None
    assert collected(worker, lambda: Collection({}, none, none)) == Collection({}, "")
    five: Any = 5
    assert "got `int` - at `$.tail`" in collected(worker, lambda: Collection({}, five)).problem
    assert "AttributeError" in collected(worker, lambda: none).problem


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("x" * 2 * TEXT_MAX), "ValueError: xxx"),
        (CannotPrepare("no \udcff"), "no \\udcff"),
        (Mute(), "Mute: <exception str() failed>"),
        (SystemExit(3), "it would have ended the worker: exit 3"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_whatever_anybodys_type_raises_is_a_sentence(
    worker: Worker, error: BaseException, says: str
) -> None:
    problem = collected(worker, raising(error)).problem

    assert says in problem


@pytest.mark.parametrize(
    ("launch", "says"),
    [
        (Launch(["\udcff"], {}, "/"), "UnicodeEncodeError"),
        (Launch([5], {}, "/"), "ValidationError: Expected `str`, got `int` - at `$.argv[0]`"),  # type: ignore[list-item]
        (Launch([sys.executable], {"A": None}, "/"), "got `null` - at `$.env[...]`"),  # type: ignore[dict-item]
        (Launch(["x" * LAUNCH_BYTES_MAX], {}, "/"), "its arguments and environment are"),
        (Launch(["a"], {}, "/", ["output"]), "its trace 'output' is no absolute path"),
        (Launch(["a"], {}, "/", ["/a\0b"]), "its trace '/a\\x00b' is no absolute path"),
        ("a command", "ValidationError: Expected `object`, got `str`"),
    ],
    ids=lambda given: given[:20] if isinstance(given, str) else "",
)
def test_what_no_warden_could_read_is_never_begun(worker: Worker, launch: Any, says: str) -> None:
    """It ended the worker when it was handed on."""
    worker.stranger.does = lambda: launch

    refused = worker.answer_to(Prepare(request(dispatch_id=1, task_type="strange")))

    assert refused.launch is None
    assert says in refused.problem
