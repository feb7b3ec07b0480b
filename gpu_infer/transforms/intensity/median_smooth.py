"""MedianSmooth: a median filter of every channel."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.filters import FilterBytes, FilterPlaces, filter_bytes, library_function
from gpu_infer.transforms.arguments import Radii
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import check_finite
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes

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
    library_filters = ("median",)

    class Args(FieldsArguments):
        radius: Annotated[Radii, AfterValidator(_small)] = (1, 1, 1)

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        library_function("median", "cpu")

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of other numbers."""
        return as_float32_bytes(field)

    def filter_bytes(self, field: FieldState, places: FilterPlaces) -> FilterBytes:
        return filter_bytes("median", math.prod(field.shape), places)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_finite(self, array, field, backend, "median")
        source = as_float32(array, backend)
        out = backend.empty(array.shape, np.float32)
        backend.library_filter("median", source, out, size=_window(self.args.radius))
        return out
