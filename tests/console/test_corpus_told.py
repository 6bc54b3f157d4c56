"""What people see of each definition in the corpus of bad ones."""

from pathlib import Path

import pytest

from ..client.corpus import BAD, Bad
from .conftest import Call


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.title) for bad in BAD])
def test_a_bad_definition_is_told_with_its_lines_and_carets(
    bad: Bad, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / f"w{bad.suffix}"
    file.write_text(bad.text)

    outcome = call("run", file)

    assert (outcome.code, outcome.out) == (4, "")
    assert "Traceback" not in outcome.err
    assert f"[{bad.rule}]" in outcome.err
    if bad.suggestion is not None:
        assert f"did you mean {bad.suggestion}?" in outcome.err
    lines = outcome.err.splitlines()
    carets = [number for number, line in enumerate(lines) if line.strip("|^ ") == ""]
    assert len(carets) == outcome.err.count(f"{file}:") or bad.rule in ("empty", "syntax")
    for number in carets:
        assert len(lines[number]) <= 80
        assert lines[number].index("^") < len(lines[number - 1]) + 1, lines[number - 1]
