"""NormalizeNonzeroIntensities: the z-score of voxels that are not background."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.moments import finite_moments


class NormalizeNonzeroIntensities(Barrier):
    """(x − mean) / std for voxels that are not 0; voxels that are 0 stay 0.

    Mean and population standard deviation are those of the voxels that are not 0, all channels together. If the
    deviation is 0, only the mean is subtracted.
    """

    name = "NormalizeNonzeroIntensities"
    scales_values = True

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        moments = finite_moments(self, array, field, backend, nonzero_only=True)
        divisor = moments.std or 1.0
        out = backend.empty(array.shape, field.dtype)
        backend.masked_affine(array, out, ClampedAffine(1.0 / divisor, -moments.mean / divisor))
        return out
