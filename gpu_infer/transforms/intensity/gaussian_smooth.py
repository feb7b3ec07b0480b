"""GaussianSmooth: a Gaussian filter of every channel."""

from __future__ import annotations

import math

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.filters import FILTERS, library_function
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Factors
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState


class GaussianSmooth(Barrier):
    """scikit-image's `filters.gaussian`: deviations in voxels, cut at 4 deviations, edges repeated.

    Raises ConfigError if scikit-image is not installed.
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
        """A float32 copy of all channels, and what the library takes for one."""
        voxels = math.prod(field.shape)
        return (4 * field.channels + 4 + FILTERS["gaussian"].scratch) * voxels

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        source = backend.empty(array.shape, np.float32)
        backend.resample(array, source, None, ClampedAffine(), ClampedAffine())
        out = backend.empty(array.shape, np.float32)
        backend.library_filter("gaussian", source, out, sigma=self.args.sigma)
        return out
