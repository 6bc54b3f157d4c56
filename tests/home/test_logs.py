"""Logs that grow above their limit: a hole while they grow, head and tail in the end."""

import os
from pathlib import Path

import pytest

from stenella.console.log_file import LocalLog, pieces, tail_offset
from stenella.home import logs
from stenella.runtime.warden_logs import cap

LIMIT = 64 * 1024
HALF = LIMIT // 2
LINE = 100


def lines(count: int, start: int = 0) -> bytes:
    """Each of 100 bytes, numbered."""
    return b"".join(b"%0*d\n" % (LINE - 1, number) for number in range(start, start + count))


def grown(path: Path, count: int, step: int = 500) -> bytes:
    """A log of ``count`` lines that was looked at now and then; what was written."""
    whole = lines(count)
    with path.open("ab", buffering=0) as file:
        for begin in range(0, len(whole), step * LINE):
            file.write(whole[begin : begin + step * LINE])
            assert cap(str(path), LIMIT)
    return whole


def numbers(text: bytes) -> list[int]:
    return [int(line) for line in text.split(b"\n") if line.isdigit() and len(line) == LINE - 1]


def test_b8_a_log_takes_no_more_disk_than_its_limit_and_keeps_its_offsets(tmp_path: Path) -> None:
    path = tmp_path / "log"

    whole = grown(path, 5_000)

    status = path.stat()
    assert status.st_size == len(whole)
    assert status.st_blocks * 512 <= LIMIT + 2 * 4096
    with path.open("rb") as file:
        assert file.read(HALF) == whole[:HALF]
        file.seek(-HALF, os.SEEK_END)
        assert file.read() == whole[-HALF:]


def test_a_log_below_its_limit_has_no_hole(tmp_path: Path) -> None:
    path = tmp_path / "log"

    whole = grown(path, 600)

    assert path.read_bytes() == whole
    assert logs.settle(path, LIMIT) == ""
    assert path.read_bytes() == whole


def test_a_page_begins_behind_the_hole_and_ends_before_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = grown(path, 5_000)

    head = logs.read_page(path, HALF - 10, 1_000_000)
    behind = logs.read_page(path, HALF, 1_000_000)

    assert (head.offset, head.data, head.size) == (HALF - 10, whole[HALF - 10 : HALF], len(whole))
    assert len(whole) - HALF - 4096 <= behind.offset <= len(whole) - HALF
    assert behind.data == whole[behind.offset :]
    assert logs.read_page(path, len(whole), 10) == (len(whole), b"", len(whole))


def test_pieces_say_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = grown(path, 5_000)

    shown = b"".join(logs.pieces(path))

    [gap] = [line for line in shown.split(b"\n") if line.startswith(b"stenella")]
    missing = int(gap.split()[1])
    assert len(shown) == len(whole) - missing + len(logs.gap_line(missing))


@pytest.mark.parametrize("looked_at", [True, False])
def test_b8_in_the_end_there_are_head_tail_and_how_much_was_cut(
    tmp_path: Path, looked_at: bool
) -> None:
    path = tmp_path / "log"
    whole = grown(path, 5_000) if looked_at else lines(5_000)
    if not looked_at:
        path.write_bytes(whole)

    told = logs.settle(path, LIMIT)

    text = path.read_bytes()
    cut = int(told.split()[0].replace(",", ""))
    assert LIMIT - 4096 < len(text) <= LIMIT
    assert text.startswith(whole[:HALF])
    assert whole[-HALF + 2 * logs.LINE_BYTES_MAX :] in text
    notes = [line for line in text.split(b"\n") if line.startswith(b"stenella")]
    assert cut + len(text) == len(whole) + sum(len(note) + 2 for note in notes)
    assert text.endswith(b"its middle was cut to stay below worker.log_bytes_max\n")
    assert told == f"{cut:,} of the {len(whole):,} bytes of its log are not kept: {logs.WHY}"
    assert path.stat().st_mode & 0o777 == 0o600 or not looked_at


def test_settling_again_comes_to_the_same_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    grown(path, 5_000)

    first, text = logs.settle(path, LIMIT), path.read_bytes()
    (tmp_path / "log.cut").write_bytes(b"what a crash left")

    assert logs.settle(path, LIMIT) == first
    assert path.read_bytes() == text


def test_a_log_that_was_cut_meanwhile_goes_on_to_be_read_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = grown(path, 5_000)
    logs.settle(path, LIMIT)

    page = logs.read_page(path, len(whole) - 2 * LINE, 1_000_000)

    assert numbers(page.data) == [4_998, 4_999]
    assert logs.read_page(path, page.offset + len(page.data), 10).data == b""


def test_a_log_that_is_not_there_or_no_file_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    (tmp_path / "link").symlink_to(tmp_path / "secret")

    assert logs.settle(tmp_path / "none", LIMIT) == ""
    for name in ("none", "link", "."):
        with pytest.raises(OSError, match=r"No such|Too many levels|not a regular"):
            logs.read_page(tmp_path / name, 0, 10)


@pytest.mark.parametrize("count", [3, 100_000])
def test_last_lines_do_not_reach_across_what_is_not_kept(tmp_path: Path, count: int) -> None:
    grown(tmp_path / "log", 5_000)
    log = LocalLog(tmp_path / "log")

    shown = b"".join(piece for _, piece in pieces(log, tail_offset(log, count)))

    kept = numbers(shown)
    assert kept == list(range(5_000 - len(kept), 5_000))
    assert len(kept) == min(count, len(kept))
    assert len(kept) == 3 or HALF - 2 * 4096 < len(shown) <= HALF + 4096


def test_a_follower_sees_the_last_lines_though_the_log_is_cut_under_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    grown(path, 5_000)
    log, offset = LocalLog(path), 0
    for behind, _piece in pieces(log, 0):
        offset = behind
    with path.open("ab") as file:
        file.write(lines(3, start=5_000))

    logs.settle(path, LIMIT)

    assert numbers(b"".join(piece for _, piece in pieces(log, offset))) == [5_000, 5_001, 5_002]
