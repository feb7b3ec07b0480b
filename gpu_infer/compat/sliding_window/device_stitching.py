"""Sums of windows on a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.compat.arrays import DeviceArray
from gpu_infer.compat.sliding_window.layout import Layout, Sizes
from gpu_infer.compat.sliding_window.stitching import Output, WindowSums

if TYPE_CHECKING:
    from gpu_infer.backends.gpu.backend import GpuBackend


class DeviceWindowSums(WindowSums):
    """`WindowSums` by the backend's kernels. `mean` has the dtype `dtype`, in the memory of the sums if float32."""

    def __init__(
        self, backend: GpuBackend, dtype: np.dtype[Any], windows: Layout, output: Output, weights: DeviceArray | None
    ) -> None:
        self._gpu = backend
        self._dtype = dtype
        super().__init__(backend, windows, output, weights)

    def mean(self) -> DeviceArray:
        """Sums divided by weights; NaN if the weight is 0."""
        sums: DeviceArray = self.sums
        out = sums if self._dtype == np.float32 else self._gpu.empty(sums.shape, self._dtype)
        if self._weights is None:
            self._gpu.divide(sums, out, None, self._counts())
        else:
            self._gpu.divide(sums, out, self._total(self._weights)[0], ())
        return out

    def _zeros(self, shape: Sizes) -> DeviceArray:
        return self._gpu.zeros(shape, np.float32)

    def _blend(self, sums: DeviceArray, values: DeviceArray, window: int, weights: DeviceArray | None) -> None:
        """sums [K, *grid] += (repeats · weights) · values [K, *shape]; a loop visits axes before the last three."""
        start, times = self._starts[window], self._windows.repeats[window]
        looped = max(len(start) - 3, 0)
        missing = (None,) * (3 - (len(start) - looped))
        a, b, c = (*(0 for _ in missing), *start[looped:])
        for index in np.ndindex(*self._shape[:looped]):
            place = tuple(s + i for s, i in zip(start, index, strict=False))
            if not all(0 <= p < n for p, n in zip(place, self._grid, strict=False)):
                continue
            target = sums[(slice(None), *place, *missing)]
            self._gpu.blend(
                values[(slice(None), *index, *missing)][None],
                [(a, b, c)],
                [times],
                None if weights is None else weights[(*index, *missing)],
                RollingSums(target, target.shape[1:]),
            )
