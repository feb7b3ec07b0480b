"""NormalizeNonzeroIntensities: the z-score of voxels that are not background."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes
from gpu_infer.transforms.intensity.moments import finite_moments


class NormalizeNonzeroIntensities(Barrier):
    """(x − mean) / std for voxels that are not 0; voxels that are 0 stay 0.

    Mean and population standard deviation are those of the voxels that are not 0, all channels together. If the
    deviation is 0, only the mean is subtracted.
    """

    name = "NormalizeNonzeroIntensities"
    scales_values = True

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of other numbers."""
        return as_float32_bytes(field)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        array = as_float32(array, backend)
        moments = finite_moments(self, array, field, backend, nonzero_only=True)
        out = backend.empty(array.shape, np.float32)
        backend.masked_affine(array, out, ClampedAffine(1.0 / (moments.std or 1.0), centre=moments.mean))
        return out
