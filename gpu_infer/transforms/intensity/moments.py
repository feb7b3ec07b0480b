"""Mean and standard deviation of a field; an error if they are not finite."""

from __future__ import annotations

import math

from gpu_infer.backends.base.backend import Array, Backend, Moments
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import not_finite


def finite_moments(
    transform: Transform, array: Array, field: FieldState, backend: Backend, *, nonzero_only: bool
) -> Moments:
    """`Backend.masked_moments`; InputError if a voxel is NaN or infinite."""
    moments = backend.masked_moments(array, nonzero_only)
    if not (math.isfinite(moments.mean) and math.isfinite(moments.std)):
        raise not_finite(transform, field, "mean")
    return moments
