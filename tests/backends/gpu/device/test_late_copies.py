"""Copies that the device carries out as late as CUDA allows: when an event behind them is waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim import memory, stand_in
from cudasim.simulated import simulated_cupy


class Late:
    """One stream of copies. `waits` counts the events that were waited for while copies before them were pending."""

    def __init__(self) -> None:
        self.queued: list[tuple[int, ...]] = []
        self.done = 0
        self.waits = 0

    def copy(self, *arguments: int) -> None:
        self.queued.append(arguments)

    def wait_for(self, behind: int) -> None:
        self.waits += behind > self.done
        for to, source, nbytes, kind, stream in self.queued[self.done : behind]:
            memory.memcpy(to, source, nbytes, kind, stream)
        self.done = max(self.done, behind)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    copies = Late()

    class Event(stand_in.Event):
        behind = 0

        def record(self, stream: Any = None) -> None:
            self.recorded = True
            self.behind = len(copies.queued)

        def synchronize(self) -> None:
            copies.wait_for(self.behind)

    monkeypatch.setattr(stand_in, "Event", Event)
    return copies


@pytest.fixture
def device(late: Late) -> Iterator[Any]:
    with simulated_cupy() as module:
        sys.modules["cupy"].cuda.runtime.memcpyAsync = late.copy  # type: ignore[attr-defined]
        yield module.GpuBackend()._device


def test_a_table_may_change_when_it_has_been_handed_over(device: Any) -> None:
    table = np.arange(1000, dtype=np.int32)
    array = device.small_upload(table)
    table[...] = -1
    np.testing.assert_array_equal(device.small_download(array), np.arange(1000))
    assert device.counters.table_bytes == 8000


def test_thousands_of_tables_wait_a_few_times(device: Any, late: Late) -> None:
    rng = np.random.default_rng(0)
    tables = [rng.integers(0, 256, int(n), np.uint8) for n in rng.integers(1, 5000, 3000)]
    arrays = []
    for table in tables:
        handed = table.copy()
        arrays.append(device.small_upload(handed))
        handed[...] = 0
    total = sum(t.nbytes for t in tables)
    assert late.waits <= total >> 19
    assert device.counters.table_bytes == total
    for table, array in zip(tables, arrays, strict=True):
        np.testing.assert_array_equal(device.small_download(array), table)


@pytest.mark.parametrize("nbytes", [0, 1, 1 << 20, (1 << 20) + 1, 40 << 20])
def test_tables_of_any_size(device: Any, nbytes: int) -> None:
    before = device.small_upload(np.full(700_000, 7, np.uint8))
    table = np.random.default_rng(1).integers(0, 256, nbytes, np.uint8)
    array = device.small_upload(table)
    after = device.small_upload(np.full(700_000, 9, np.uint8))
    np.testing.assert_array_equal(device.small_download(array) if nbytes else table, table)
    assert (device.small_download(before) == 7).all()
    assert (device.small_download(after) == 9).all()


def test_a_table_with_gaps(device: Any) -> None:
    table = np.arange(60, dtype=np.float32).reshape(6, 10)[::2, 1::3]
    np.testing.assert_array_equal(device.small_download(device.small_upload(table)), table)


def test_a_copy_waits_for_the_last_but_one(device: Any, late: Late) -> None:
    """Pieces of a volume come one by one while it is read, and each takes the other half of the pinned buffer."""
    pieces = [np.full(100, n, np.uint8) for n in range(5)]
    arrays = []
    for n, piece in enumerate(pieces):
        arrays.append(device.uploaded(piece))
        assert late.done == max(0, n - 1)
    for piece, array in zip(pieces, arrays, strict=True):
        np.testing.assert_array_equal(device.downloaded(array), piece)
