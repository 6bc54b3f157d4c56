"""The type without a process."""

from pathlib import Path

from stenella.tasks.noop import Noop

from .attempts import request


def test_it_needs_no_process_and_no_folder(tmp_path: Path) -> None:
    assert Noop().prepare(request(None), tmp_path / "work") is None
    assert not (tmp_path / "work").exists()


def test_its_outputs_are_the_declared_defaults(tmp_path: Path) -> None:
    traces = Noop().collect(tmp_path, tmp_path / "log", 0, {"a": 1}, [])

    assert (traces.outputs, traces.tail, traces.problem) == ({"a": 1}, "", "")


def test_an_output_without_default_is_a_problem(tmp_path: Path) -> None:
    traces = Noop().collect(tmp_path, tmp_path / "log", 0, {"a": 1}, ["b"])

    assert (traces.outputs, "'b'" in traces.problem) == ({}, True)
