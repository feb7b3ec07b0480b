"""The rolling accumulator: rows enter while windows still touch them and leave finished, in order, exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..backends.base import Backend, RingAccumulator, Start
from ..backends.labels import label_dtype
from .windows import Window, WindowGrid


def accumulator_shape(grid: WindowGrid, channels: int, slab: bool) -> tuple[int, int, int, int]:
    """[K, H0, H1, H2]: the grid's own size, with the slab axis cut to the rows that one window covers."""
    return (channels, *(grid.ring_shape if slab else grid.shape))


class Finisher(Protocol):
    """Takes finished boxes out of the accumulator; `result` is whole once every row has been taken."""

    result: Any

    def take(self, ring: RingAccumulator, low: Start, high: Start) -> None: ...


class ArgmaxFinisher:
    """Labels [X, Y, Z]: uint8 for up to 256 classes, uint16 beyond. Needs neither softmax nor division by the count."""

    def __init__(self, backend: Backend, grid: WindowGrid, channels: int) -> None:
        self._backend = backend
        self.result = backend.empty(grid.shape, label_dtype(channels))

    def take(self, ring: RingAccumulator, low: Start, high: Start) -> None:
        self._backend.finish_argmax(ring, low, high, self.result)


class ScoreFinisher:
    """Scores float32 [K, X, Y, Z]: the mean over the windows that cover a voxel."""

    def __init__(self, backend: Backend, grid: WindowGrid, channels: int) -> None:
        self._backend = backend
        self._counts = grid.counts
        self.result = backend.empty((channels, *grid.shape), np.float32)

    def take(self, ring: RingAccumulator, low: Start, high: Start) -> None:
        self._backend.finish_scores(ring, low, high, self._counts, self.result)


class Accumulator:
    """Blends windows in traversal order and hands rows to a finisher as soon as no later window touches them."""

    def __init__(
        self, backend: Backend, grid: WindowGrid, channels: int, finisher: Finisher, *, slab: bool = True
    ) -> None:
        self._backend = backend
        self._grid = grid
        self._finisher = finisher
        self._finished = 0  # rows along the slab axis below this one have left
        shape = accumulator_shape(grid, channels, slab)
        self._ring = RingAccumulator(backend.zeros(shape, np.float32), grid.shape)

    def add(self, outputs: Any, windows: Sequence[Window]) -> None:
        """Blend outputs [N, K, R0, R1, R2] of `windows`, the next ones in traversal order."""
        axis = self._grid.slab_axis
        first = 0
        while first < len(windows):
            row = windows[first].start[axis]
            last = first
            while last < len(windows) and windows[last].start[axis] == row:
                last += 1
            self._finish_up_to(row)
            group = windows[first:last]
            self._backend.blend(
                outputs[first:last], [w.start for w in group], [w.repeats for w in group], None, self._ring
            )
            first = last

    def close(self) -> Any:
        """Finish what is left and return the finisher's result."""
        self._finish_up_to(self._grid.shape[self._grid.slab_axis])
        return self._finisher.result

    def _finish_up_to(self, row: int) -> None:
        axis = self._grid.slab_axis
        row = min(row, self._grid.shape[axis])
        if row <= self._finished:
            return
        low, high = [0, 0, 0], list(self._grid.shape)
        low[axis], high[axis] = self._finished, row
        self._finisher.take(self._ring, (low[0], low[1], low[2]), (high[0], high[1], high[2]))
        self._finished = row
