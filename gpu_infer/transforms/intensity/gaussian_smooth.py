"""GaussianSmooth: a Gaussian filter of every channel."""

from __future__ import annotations

import math

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.filters import FilterBytes, FilterPlaces, filter_bytes, library_function
from gpu_infer.transforms.arguments import Factors
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import check_finite
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes


class GaussianSmooth(Barrier):
    """scikit-image's `filters.gaussian`: deviations in voxels, cut at 4 deviations, edges repeated.

    Raises ConfigError if scikit-image is not installed, and InputError for NaN and infinite voxels, which would spread.
    """

    name = "GaussianSmooth"
    scales_values = True
    library_filters = ("gaussian",)

    class Args(FieldsArguments):
        sigma: Factors = (1.0, 1.0, 1.0)

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        library_function("gaussian", "cpu")

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of other numbers."""
        return as_float32_bytes(field)

    def filter_bytes(self, field: FieldState, places: FilterPlaces) -> FilterBytes:
        return filter_bytes("gaussian", math.prod(field.shape), places)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_finite(self, array, field, backend, "Gaussian")
        source = as_float32(array, backend)
        out = backend.empty(array.shape, np.float32)
        backend.library_filter("gaussian", source, out, sigma=self.args.sigma)
        return out
