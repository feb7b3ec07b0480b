"""Sums of the windows of one output of the predictor in float32, and their weighted mean.

An output may be smaller or larger than its window. Its grid is then the padded image's, scaled by output / window and
rounded down to whole voxels. Window starts are scaled and rounded likewise, as MONAI does, but in integer arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend, RollingSums
from gpu_infer.compat.sliding_window.layout import Group, Layout, Sizes

_SMALL = 1 << 16
"""Voxels of a window below which starting the backend's threads takes longer than the sum."""


class Output(NamedTuple):
    """One output of the predictor: number of images, channels, and the spatial shape of a window's output."""

    images: int
    channels: int
    shape: Sizes


class WindowSums:
    """Sums [B, K, *grid] of windows [N, K, *shape].

    weights  float32 [*shape]: importance of a window's voxels in the first call of the predictor, None for 1. `mean`
             divides each sum by the sum of these weights over the windows that cover it
    """

    def __init__(self, backend: Backend, windows: Layout, output: Output, weights: NDArray[np.float32] | None) -> None:
        self._backend = backend
        self._windows = windows
        self.output = output
        self._shape = output.shape
        self._low, high = self._image_box()
        self._grid = tuple(b - a for a, b in zip(self._low, high, strict=True))
        self._starts = [tuple(self._first(axis, s) for axis, s in enumerate(start)) for start in windows.starts]
        self._weights = weights
        self.sums = self._zeros((output.images, output.channels, *self._grid))

    def add(self, group: Group, values: NDArray[np.float32], weights: NDArray[np.float32] | None) -> None:
        """Add windows `values` [N, K, *shape] of (image, window) pairs, in order, times `weights` [*shape]."""
        for n, (image, window) in enumerate(group):
            self._blend(self.sums[image], values[n], window, weights)

    def mean(self) -> NDArray[np.float32]:
        """Sums divided by weights, in the memory of the sums; NaN if the weight is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self._weights is None:
                self._divide_by_counts()
            else:
                total = self._total(self._weights)
                for image in self.sums:
                    image /= total
        return self.sums

    def _zeros(self, shape: Sizes) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    def _total(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sums [1, *grid] of the weights of all windows."""
        total = self._zeros((1, *self._grid))
        for window in range(len(self._starts)):
            self._blend(total, weights[np.newaxis], window, None)
        return total

    def _blend(
        self, sums: NDArray[np.float32], values: NDArray[np.float32], window: int, weights: NDArray[np.float32] | None
    ) -> None:
        """sums [K, *grid] += (repeats · weights) · values [K, *shape], each operation rounded to float32."""
        start, times = self._starts[window], self._windows.repeats[window]
        if len(start) > 3 or values.size < _SMALL:
            ends = zip(start, self._shape, self._grid, strict=True)
            inside = [(max(s, 0), min(s + r, n)) for s, r, n in ends]
            box = (slice(None), *(slice(a, b) for a, b in inside))
            part = tuple(slice(a - s, b - s) for (a, b), s in zip(inside, start, strict=True))
            factor = np.float32(times) if weights is None else np.float32(times) * weights[part]
            sums[box] += factor * values[(slice(None), *part)].astype(np.float32, copy=False)
            return
        missing = (np.newaxis,) * (3 - len(start))
        target = sums[(slice(None), *missing)]
        x, y, z = target.shape[1:]
        a, b, c = (*(0 for _ in missing), *start)
        self._backend.blend(
            values[(np.newaxis, slice(None), *missing)],
            [(a, b, c)],
            [times],
            None if weights is None else weights[missing],
            RollingSums(target, (x, y, z)),
        )

    def _counts(self) -> list[NDArray[np.float32]]:
        """Per axis, how many windows cover each index; a voxel is covered by the product of its axes' counts."""
        counts = []
        for axis, starts in enumerate(self._windows.axes):
            covered = np.zeros(self._grid[axis], np.float32)
            for start in starts:
                first = self._first(axis, start)
                covered[max(first, 0) : max(first + self._shape[axis], 0)] += 1
            counts.append(covered)
        return counts

    def _divide_by_counts(self) -> None:
        counts = self._counts()
        if all((c == 1).all() for c in counts):
            return
        rest = np.ones((1,) * (len(counts) - 1), np.float32)
        for axis, covered in enumerate(counts[1:]):
            rest = rest * covered.reshape([-1 if a == axis else 1 for a in range(len(counts) - 1)])
        for row, count in enumerate(counts[0]):
            self.sums[:, :, row] /= count * rest

    def _image_box(self) -> tuple[Sizes, Sizes]:
        """First and last + 1 voxel of the image in the padded output."""
        windows = self._windows
        full = tuple(self._scaled(axis, n) for axis, n in enumerate(windows.padded))
        if not windows.pads:
            return (0,) * len(full), full
        low, high = [], []
        for n, r, size, before in zip(full, windows.roi, windows.size, windows.before, strict=True):
            low.append(round(before * (n / r)))
            high.append(min(round((before + size) * (n / r)), n))
        return tuple(low), tuple(high)

    def _scaled(self, axis: int, voxel: int) -> int:
        """floor(voxel · output / window) in integers, so that every scaled window has the size of the output."""
        return voxel * self._shape[axis] // self._windows.roi[axis]

    def _first(self, axis: int, start: int) -> int:
        """A window's first voxel in the output grid."""
        return self._scaled(axis, start + self._windows.before[axis]) - self._low[axis]


def nearest_index(shape: Sizes, target: Sizes) -> list[NDArray[np.int64]]:
    """Per axis, the sample nearest to the middle of each voxel of `target`: index floor((i + ½) · n_in / n_out)."""
    return [
        np.minimum(np.floor((np.arange(n) + 0.5) * np.float32(m / n)).astype(np.int64), m - 1)
        for n, m in zip(target, shape, strict=True)
    ]


def nearest_weights(weights: NDArray[np.float32], shape: Sizes) -> NDArray[np.float32]:
    """A weight map resampled to `shape` by `nearest_index`."""
    return weights[np.ix_(*nearest_index(weights.shape, shape))]
