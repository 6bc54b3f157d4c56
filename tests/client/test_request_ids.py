"""Ids of requests."""

import time

from stenella.client.reads import new_request_id


def test_no_two_are_alike_and_later_ones_stand_behind_earlier_ones() -> None:
    together = {new_request_id() for _ in range(1_000)}
    time.sleep(0.002)

    assert len(together) == 1_000
    assert new_request_id() > max(together)
