"""Add windows to sums on grids of any number of axes; the backends have three."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend, RollingSums
from gpu_infer.compat.sliding_window.layout import Sizes


class Blender:
    """Adds windows of `shape` at their `starts` on a grid, each as often as it repeats.

    starts  int64 [W, axes]: first voxels, negative if the window begins outside the grid
    """

    def __init__(self, backend: Backend, shape: Sizes, starts: NDArray[np.int64], repeats: Sequence[int]) -> None:
        self._backend = backend
        self._looped = shape[: max(len(shape) - 3, 0)]
        self._missing = (np.newaxis,) * (3 - len(shape))
        self._starts = starts
        self._last = np.pad(starts, ((0, 0), (len(self._missing), 0)))[:, -3:]
        self._repeats = repeats

    def add(self, sums: Array, values: Array, first: int, weights: Array | None) -> None:
        """sums [K, *grid] += (repeats · weights) · values [N, K, *shape], each operation rounded to float32.

        The values are those of the windows from `first` on, in order. A loop visits the axes before the last 3.
        """
        last = first + values.shape[0]
        if not self._looped:
            self._add_group(sums, values, slice(first, last), weights)
            return
        for n in range(first, last):
            start = self._starts[n]
            for index in np.ndindex(*self._looped):
                place = tuple(int(s) + i for s, i in zip(start, index, strict=False))
                if all(0 <= p < length for p, length in zip(place, sums.shape[1:], strict=False)):
                    part = values[(slice(n - first, n - first + 1), slice(None), *index)]
                    part_weights = None if weights is None else weights[index]
                    self._add_group(sums[(slice(None), *place)], part, slice(n, n + 1), part_weights)

    def _add_group(self, sums: Array, values: Array, windows: slice, weights: Array | None) -> None:
        """`add` on the last three axes; axes of length 1 are added if there are fewer."""
        missing = self._missing
        if missing:
            sums = sums[(slice(None), *missing)]
            values = values[(slice(None), slice(None), *missing)]
            weights = None if weights is None else weights[(*missing, ...)]
        x, y, z = sums.shape[1:]
        rolling = RollingSums(sums, (x, y, z))
        starts = [(a, b, c) for a, b, c in self._last[windows].tolist()]
        self._backend.blend(values, starts, self._repeats[windows], weights, rolling)
