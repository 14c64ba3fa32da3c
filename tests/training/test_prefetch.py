from __future__ import annotations

import threading
import time

import pytest

from rain.training.prefetch import Prefetch


def test_batches_come_in_order():
    with Prefetch(lambda step: step * step, range(3, 8)) as batches:
        assert list(batches) == [(step, step * step) for step in range(3, 8)]


def test_an_error_is_raised_where_its_batch_would_have_come():
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("frame 2 is unreadable")
        return step

    found = []
    with (
        pytest.raises(ValueError, match="frame 2"),
        Prefetch(make, range(5)) as batches,
    ):
        found.extend(step for step, _ in batches)
    assert found == [0, 1]


def test_closing_early_ends_the_thread():
    made = []
    before = threading.active_count()
    with Prefetch(lambda step: made.append(step) or step, range(1000)) as batches:
        for step, _ in batches:
            if step == 3:
                break
    time.sleep(0.01)
    assert threading.active_count() == before
    assert len(made) < 10
