"""Sums of the windows of one output of the predictor in float32, and their weighted mean.

An output may be smaller or larger than its window. Its grid is then the padded image's, scaled by output / window and
rounded down to whole voxels. Window starts are scaled and rounded likewise, as MONAI does, but in integer arithmetic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.types import TwinArray
from gpu_infer.compat.sliding_window.blending import Blender
from gpu_infer.compat.sliding_window.layout import Group, Layout, Run, Sizes
from gpu_infer.compat.sliding_window.short_axis import ShortAxis, shorten


class Output(NamedTuple):
    """One output of the predictor: number of images, channels, and the spatial shape of a window's output."""

    images: int
    channels: int
    shape: Sizes


class PlacedAxis(NamedTuple):
    """The distinct windows along one axis of the grid of an output.

    keys     their starts in the layout
    starts   their first voxels in the grid, ascending
    repeats  how often each counts
    """

    keys: list[int]
    starts: list[int]
    repeats: list[int]


class WindowSums(ABC):
    """Sums [B, K, *grid] of windows [N, K, *shape].

    weights  float32 [*shape]: importance of a window's voxels in the first call of the predictor, None for 1. `mean`
             divides each sum by the sum of these weights over the windows that cover it
    """

    def __init__(self, backend: Backend, windows: Layout, output: Output, weights: TwinArray | None) -> None:
        self._backend = backend
        self._windows = windows
        self.output = output
        self._shape = output.shape
        self._low, high = self._image_box()
        self._grid = tuple(b - a for a, b in zip(self._low, high, strict=True))
        self._starts = np.column_stack([self._first(axis, column) for axis, column in enumerate(windows.table.T)])
        self._blender = Blender(backend, output.shape, self._starts, windows.repeats)
        self._weights = weights
        self.sums = self._zeros((output.images, output.channels, *self._grid))

    def add(self, group: Group, values: TwinArray, weights: TwinArray | None) -> None:
        """Add the group's windows `values` [N, K, *shape], times `weights` [*shape]."""
        at = 0
        for run in group.runs:
            self._add_run(run, values[at : at + run.windows], weights)
            at += run.windows

    @abstractmethod
    def mean(self) -> TwinArray:
        """Sums divided by weights, in the memory of the sums if possible; NaN if the weight is 0."""

    def _add_run(self, run: Run, values: TwinArray, weights: TwinArray | None) -> None:
        self._blender.add(self.sums[run.image], values, run.first, weights)

    @abstractmethod
    def _zeros(self, shape: Sizes) -> TwinArray: ...

    @cached_property
    def _axes(self) -> list[PlacedAxis]:
        axes = []
        for axis, starts in enumerate(self._windows.axes):
            counted = Counter(starts)
            axes.append(PlacedAxis(list(counted), [self._first(axis, s) for s in counted], list(counted.values())))
        return axes

    @cached_property
    def _short_axes(self) -> list[ShortAxis]:
        axes = zip(self._axes, self._shape, self._grid, strict=True)
        return [shorten(axis.starts, axis.repeats, length, size) for axis, length, size in axes]

    def _short_total(self, weights: TwinArray) -> TwinArray:
        """Sums of repeats · weights over windows, on the grid of the short axes; the windows in their order."""
        axes = self._short_axes
        places = [dict(zip(a.keys, short.starts, strict=True)) for a, short in zip(self._axes, axes, strict=True)]
        starts, repeats = [], []
        for start, times in zip(self._windows.starts, self._windows.repeats, strict=True):
            moved = [place[s] for place, s in zip(places, start, strict=True)]
            if None not in moved:
                starts.append(moved)
                repeats.append(times)
        total = self._zeros((1, *(axis.size for axis in axes)))
        blender = Blender(self._backend, self._shape, np.array(starts, np.int64), repeats)
        for window in range(len(starts)):
            blender.add(total, weights[np.newaxis, np.newaxis], window, None)
        return total[0]

    def _counts(self) -> list[NDArray[np.float32]]:
        """Per axis, how many windows cover each index; a voxel is covered by the product of its axes' counts."""
        counts = []
        for axis, n, size in zip(self._axes, self._shape, self._grid, strict=True):
            covered = np.zeros(size, np.float32)
            for first, times in zip(axis.starts, axis.repeats, strict=True):
                covered[max(first, 0) : max(first + n, 0)] += times
            counts.append(covered)
        return counts

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

    def _scaled(self, axis: int, voxel: Any) -> Any:
        """floor(voxel · output / window) in integers, so that every scaled window has the size of the output."""
        return voxel * self._shape[axis] // self._windows.roi[axis]

    def _first(self, axis: int, start: Any) -> Any:
        """A window's first voxel in the output grid, or those of an array of starts."""
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
