"""MedianSmooth: a median filter of every channel."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.filters import FILTERS, library_function
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Radii
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import not_finite

_MOST = 161
"""CuPy holds half of a window up to this size per thread, and sorts larger ones whole, in memory outside the plan."""


def _window(radii: tuple[int, int, int]) -> tuple[int, int, int]:
    x, y, z = (2 * radius + 1 for radius in radii)
    return (x, y, z)


def _small(radii: tuple[int, int, int]) -> tuple[int, int, int]:
    window = _window(radii)
    if math.prod(window) > _MOST:
        sizes = "×".join(map(str, window))
        raise ValueError(f"expected a window of at most {_MOST} voxels, found {sizes} = {math.prod(window)}")
    return radii


class MedianSmooth(Barrier):
    """The median of the (2r + 1)³ voxels around each voxel, edges repeated. `radius` r is in voxels, one or per axis.

    Raises ConfigError if SciPy is not installed, and InputError for NaN and infinite voxels, which have no order.
    """

    name = "MedianSmooth"
    scales_values = True

    class Args(FieldsArguments):
        radius: Annotated[Radii, AfterValidator(_small)] = (1, 1, 1)

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        library_function("median", "cpu")

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of all channels, and what the library takes for one."""
        voxels = math.prod(field.shape)
        return (4 * field.channels + 4 + FILTERS["median"].scratch) * voxels

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        low, high, has_nan = backend.extrema(array)
        if has_nan or not (math.isfinite(low) and math.isfinite(high)):
            raise not_finite(self, field, "median")
        source = backend.empty(array.shape, np.float32)
        backend.resample(array, source, None, ClampedAffine(), ClampedAffine())
        out = backend.empty(array.shape, np.float32)
        backend.library_filter("median", source, out, size=_window(self.args.radius))
        return out
