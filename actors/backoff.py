"""When what was not answered is sent again: one table for callbacks, requests and kills."""

#: Milliseconds until the next repeat, by how often it was sent; the last holds for ever. The
#: original's table in its first eight places (dolphinscheduler.md section 2.5).
REPEAT_MS = (1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 40_000, 100_000)


def repeat_after_ms(sent: int) -> int:
    """How long to wait after the ``sent``-th sending, counted from 1."""
    return REPEAT_MS[min(sent, len(REPEAT_MS)) - 1]
