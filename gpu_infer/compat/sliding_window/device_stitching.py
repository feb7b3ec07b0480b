"""Sums of windows on a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
            places = [axis.places for axis in self._short_axes]
            self._gpu.divide(sums, out, self._short_total(self._weights), (), places)
        return out

    def _zeros(self, shape: Sizes) -> DeviceArray:
        return self._gpu.zeros(shape, np.float32)
