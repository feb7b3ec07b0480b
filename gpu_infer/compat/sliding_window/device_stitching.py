"""One output of the predictor put together again on a CUDA device."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.compat.sliding_window.layout import Layout, Sizes
from gpu_infer.compat.sliding_window.stitching import Stitched


class DeviceStitched(Stitched):
    """`Stitched` by the backend's kernels; `mean` gives `dtype`, in the sums' own memory where that is float32."""

    def __init__(
        self,
        backend: Any,
        dtype: np.dtype[Any],
        windows: Layout,
        images: int,
        channels: int,
        shape: Sizes,
        weights: Any,
    ) -> None:
        self._backend = backend
        self._dtype = dtype
        super().__init__(windows, images, channels, shape, weights)

    def mean(self) -> Any:
        """Sums over weights; NaN where no weight is."""
        sums: Any = self.sums
        out = sums if self._dtype == np.float32 else self._backend.empty(sums.shape, self._dtype)
        if self._weights is None:
            self._backend.divide(sums, out, None, self._counts())
        else:
            self._backend.divide(sums, out, self._total(self._weights)[0], ())
        return out

    # -- inside --------------------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        """The backend is there."""

    def _zeros(self, shape: Sizes) -> Any:
        return self._backend.zeros(shape, np.float32)

    def _blend(self, sums: Any, values: Any, window: int, weights: Any) -> None:
        """sums [K, *grid] += (repeats · weights) · values [K, *shape]; axes before the last three one by one."""
        start, times = self._starts[window], self._windows.repeats[window]
        walked = max(len(start) - 3, 0)
        missing = (None,) * (3 - (len(start) - walked))
        a, b, c = (*(0 for _ in missing), *start[walked:])
        for index in np.ndindex(*self._shape[:walked]):
            place = tuple(s + i for s, i in zip(start, index, strict=False))
            if not all(0 <= p < n for p, n in zip(place, self._grid, strict=False)):
                continue
            target = sums[(slice(None), *place, *missing)]
            self._backend.blend(
                values[(slice(None), *index, *missing)][None],
                [(a, b, c)],
                [times],
                None if weights is None else weights[(*index, *missing)],
                RollingSums(target, target.shape[1:]),
            )
