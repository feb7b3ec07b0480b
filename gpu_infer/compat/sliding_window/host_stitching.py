"""Sums of windows in host memory."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.grid_windows import GridAdder
from gpu_infer.backends.cpu.means import CoveredAxis
from gpu_infer.backends.types import HostArray
from gpu_infer.compat.sliding_window.layout import Layout, Run, Sizes
from gpu_infer.compat.sliding_window.stitching import Output, WindowSums


class HostWindowSums(WindowSums):
    """`WindowSums` by NumPy and the backend's kernels. `mean` has the memory of the sums."""

    def __init__(
        self, backend: CpuBackend, windows: Layout, output: Output, weights: NDArray[np.float32] | None
    ) -> None:
        self._cpu = backend
        super().__init__(backend, windows, output, weights)
        self._adder = self._grid_adder()

    def _grid_adder(self) -> GridAdder | None:
        missing = (1,) * (3 - len(self._grid))
        if len(self._grid) > 3 or not self.sums.size:
            return None
        sums = self.sums.reshape(*self.sums.shape[:2], *missing, *self._grid)
        starts = np.pad(self._starts, ((0, 0), (len(missing), 0)))
        return GridAdder(sums, starts, np.array(self._windows.repeats), (*missing, *self._shape))

    def _add_run(self, run: Run, values: HostArray, weights: HostArray | None) -> None:
        if self._adder is not None and GridAdder.takes(values, weights):
            self._adder.add(run.image, run.first, values, weights)
        else:
            super()._add_run(run, values, weights)

    def mean(self) -> NDArray[np.float32]:
        """Sums divided by weights; NaN if the weight is 0."""
        sums: NDArray[np.float32] = self.sums
        missing = (1,) * (3 - len(self._grid))
        if not sums.size:
            return sums
        if len(self._grid) > 3:
            self._divide_whole(sums)
        elif self._weights is None:
            ones = [np.ones(1, np.float32) for _ in missing]
            self._cpu.divide_by_counts(sums.reshape(-1, *missing, *self._grid), [*ones, *self._counts()])
        else:
            one = CoveredAxis(np.zeros(1, np.int64), np.ones(1, np.int64), np.zeros(1, np.int64))
            *lead, last = self._covered_axes()
            *roi, length = self._weights.shape
            *grid, size = self._grid
            # missing axes before the last: threads share the first one
            places = [*range(len(lead)), 2]
            order = [*range(len(lead), 2), *(places[axis] for axis in self._windows.order)]
            weights = self._weights.reshape(*roi, *missing, length)
            axes = [*lead, *(one for _ in missing), last]
            self._cpu.divide_by_weights(sums.reshape(-1, *grid, *missing, size), weights, axes, order)
        return sums

    def _zeros(self, shape: Sizes) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    def _covered_axes(self) -> list[CoveredAxis]:
        """All axes but the last are short."""
        axes = []
        for axis, short in zip(self._axes[:-1], self._short_axes[:-1], strict=True):
            pairs = [(s, times) for s, times in zip(short.starts, axis.repeats, strict=True) if s is not None]
            starts, repeats = np.array(pairs, np.int64).T
            axes.append(CoveredAxis(starts, repeats, short.places))
        last = self._axes[-1]
        table = np.array([last.starts, last.repeats], np.int64)
        return [*axes, CoveredAxis(table[0], table[1], np.arange(self._grid[-1]))]

    def _divide_whole(self, sums: NDArray[np.float32]) -> None:
        """Divide by totals of the whole grid, of any number of axes."""
        if self._weights is None:
            total = reduce(np.multiply, np.ix_(*self._counts()))
        else:
            total = self._short_total(self._weights)[np.ix_(*(axis.places for axis in self._short_axes))]
        with np.errstate(divide="ignore", invalid="ignore"):
            for image in sums:
                image /= total
