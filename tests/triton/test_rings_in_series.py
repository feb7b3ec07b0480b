"""A process that makes a ring for case after case does not grow."""

from __future__ import annotations

import gc
import logging
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from real_server import TRANSPORTS, WINDOW, infer_all, opened, ring_on

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]

RUNS = 20
MESSAGE = 4 * 9 * 8 * 7 * 3  # bytes of one window in and out


def held_bytes() -> int:
    """Bytes of Python's memory, without what measures it."""
    gc.collect()
    own = [tracemalloc.Filter(False, pattern) for pattern in ("*coverage*", tracemalloc.__file__, __file__)]
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(own).traces)


@pytest.fixture(autouse=True)
def _no_log_records() -> Iterator[None]:
    """Records that pytest collects during a test use memory, and an earlier test may have set a lower level."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
def test_no_run_leaves_a_message_or_a_thread(triton_server: Any, control: str, data: str) -> None:
    windows = np.ones((4, 1, *WINDOW), np.float32)

    def run() -> None:
        transport = opened(triton_server, control, data)
        with ring_on(transport, slots=2) as ring:
            infer_all(ring, windows, 1)

    tracemalloc.start()
    try:
        for _ in range(RUNS):  # what is loaded and cached on first use
            run()
        threads = threading.active_count()
        before = held_bytes()
        for _ in range(RUNS):
            run()
        after = held_bytes()
    finally:
        tracemalloc.stop()
    assert after - before < RUNS * MESSAGE / 4
    assert threading.active_count() <= threads + 2  # a thread may not be idle yet when the next ring needs one
