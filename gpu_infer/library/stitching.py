"""One output of the predictor put together again: weighed sums of windows in float32, divided by the weights.

An output may be smaller or larger than its window. Its grid is then the padded image's, scaled by
output / window and cut to whole voxels; window starts and ends are scaled and cut likewise, as MONAI does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base import RingAccumulator
from gpu_infer.backends.cpu import CpuBackend

from .layout import Layout, Sizes


class Stitched:
    """Sums [B, K, *grid] of windows [N, K, *shape].

    weights  float32 [*shape] that the first windows are weighed with, None for 1: every sum is divided by as many of
             these as windows cover it. Raises ValueError where a scaled window has no whole size.
    """

    def __init__(
        self, windows: Layout, images: int, channels: int, shape: Sizes, weights: NDArray[np.float32] | None
    ) -> None:
        self._windows = windows
        self._shape = shape
        self.channels = channels
        self._low, high = self._kept()
        self._grid = tuple(b - a for a, b in zip(self._low, high, strict=True))
        self._starts = [self._place(start) for start in windows.starts]
        self._weights = weights
        self._backend = CpuBackend()
        self.sums = np.zeros((images, channels, *self._grid), np.float32)

    @property
    def shape(self) -> Sizes:
        return self._shape

    def add(
        self, group: Sequence[tuple[int, int]], values: NDArray[np.float32], weights: NDArray[np.float32] | None
    ) -> None:
        """Add windows `values` [N, K, *shape] of (image, window) pairs, in order, times `weights` [*shape]."""
        for n, (image, window) in enumerate(group):
            self._blend(self.sums[image], values[n], window, weights)

    def mean(self) -> NDArray[np.float32]:
        """Sums over weights, in the sums' own memory; NaN where no weight is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self._weights is None:
                self._divide_by_counts()
            else:
                total = np.zeros((1, *self._grid), np.float32)
                for window in range(len(self._starts)):
                    self._blend(total, self._weights[np.newaxis], window, None)
                for image in self.sums:
                    image /= total
        return self.sums

    # -- inside --------------------------------------------------------------------------------------------------
    def _blend(
        self, sums: NDArray[np.float32], values: NDArray[np.float32], window: int, weights: NDArray[np.float32] | None
    ) -> None:
        """sums [K, *grid] += repeats · weights · values [K, *shape]; three axes at a time, the others one by one."""
        start, times = self._starts[window], [self._windows.repeats[window]]
        missing = (np.newaxis,) * max(3 - len(start), 0)
        here = (0,) * len(missing)
        extra = max(len(start) - 3, 0)
        for index in np.ndindex(*self._shape[:extra]):
            at = tuple(s + i for s, i in zip(start, index, strict=False))
            if not all(0 <= a < n for a, n in zip(at, self._grid, strict=False)):
                continue
            target = sums[(slice(None), *at, *missing)]
            x, y, z = target.shape[1:]
            a, b, c = (*here, *start[extra:])
            self._backend.blend(
                values[(np.newaxis, slice(None), *index, *missing)],
                [(a, b, c)],
                times,
                None if weights is None else weights[(*index, *missing)],
                RingAccumulator(target, (x, y, z)),
            )

    def _divide_by_counts(self) -> None:
        """Windows cover a voxel as often as the product of its axes' counts says."""
        counts = []
        for axis, starts in enumerate(self._windows.axes):
            covered = np.zeros(self._grid[axis], np.float32)
            for start in starts:
                first, last = self._range(axis, start)
                covered[max(first, 0) : max(last, 0)] += 1
            counts.append(covered)
        if all((c == 1).all() for c in counts):
            return
        rest = np.ones((1,) * (len(counts) - 1), np.float32)
        for axis, covered in enumerate(counts[1:]):
            rest = rest * covered.reshape([-1 if a == axis else 1 for a in range(len(counts) - 1)])
        for row, count in enumerate(counts[0]):
            self.sums[:, :, row] /= count * rest

    def _kept(self) -> tuple[Sizes, Sizes]:
        """First and last + 1 voxel of the padded output that are the image's."""
        windows = self._windows
        full = tuple(int(n * self._scale(axis)) for axis, n in enumerate(windows.padded))
        if not windows.pads:
            return (0,) * len(full), full
        low, high = [], []
        for n, r, size, before in zip(full, windows.roi, windows.size, windows.before, strict=True):
            low.append(round(before * (n / r)))
            high.append(min(round((before + size) * (n / r)), n))
        return tuple(low), tuple(high)

    def _scale(self, axis: int) -> float:
        return self._shape[axis] / float(self._windows.roi[axis])

    def _range(self, axis: int, start: int) -> tuple[int, int]:
        """A window's first and last + 1 voxel of the output grid."""
        begin, scale = start + self._windows.before[axis], self._scale(axis)
        first, last = int(begin * scale), int((begin + self._windows.roi[axis]) * scale)
        return first - self._low[axis], last - self._low[axis]

    def _place(self, start: Sizes) -> Sizes:
        ranges = [self._range(axis, s) for axis, s in enumerate(start)]
        lengths = tuple(last - first for first, last in ranges)
        if lengths != self._shape:
            raise ValueError(
                f"outputs of {self._shape} for windows of {self._windows.roi} do not fall on whole voxels: a window at "
                f"{start} would be {lengths}; choose roi_size and overlap so that overlap·roi·output/window is whole"
            )
        return tuple(first for first, _ in ranges)


def nearest_weights(weights: NDArray[np.float32], shape: Sizes) -> NDArray[np.float32]:
    """A map at the sample nearest to each new voxel's middle: index floor((i + ½) · n_in / n_out)."""
    index = [
        np.minimum(np.floor((np.arange(n) + 0.5) * np.float32(m / n)).astype(int), m - 1)
        for n, m in zip(shape, weights.shape, strict=True)
    ]
    return weights[np.ix_(*index)]
