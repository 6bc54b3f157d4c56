"""Jobs on the file threads: all answered, together, whatever some of them raise."""

from typing import Any

import gevent

from stenella.runtime.file_work import JOBS_MAX, FileWork


def answers_to(jobs: list[Any], files: FileWork) -> dict[Any, Any]:
    """Serve until each subject is answered."""
    answered: dict[Any, Any] = {}
    for work, subject in jobs:
        files.post(work, subject, answered.__setitem__)
    servers = [gevent.spawn(pump) for pump in files.pumps]
    with gevent.Timeout(20):
        while len(answered) < len(jobs):
            gevent.sleep(0.001)
    gevent.killall(servers)
    return answered


def test_every_job_is_answered_with_what_it_returned() -> None:
    jobs = [(abs, -number) for number in range(3 * JOBS_MAX)]

    assert answers_to(jobs, FileWork()) == {-number: number for number in range(3 * JOBS_MAX)}


def test_an_error_is_the_answer_of_its_job_only() -> None:
    answered = answers_to([(int, "1"), (int, "one"), (int, "2")], FileWork())

    assert (answered["1"], answered["2"]) == (1, 2)
    assert isinstance(answered["one"], ValueError)
