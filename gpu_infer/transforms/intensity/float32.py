"""The float32 numbers of a field: what operations take that read no other numbers."""

from __future__ import annotations

import math

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.field import FieldState


def as_float32(array: Array, backend: Backend) -> Array:
    """`array` [C, X, Y, Z] itself, or a float32 copy of other numbers."""
    if array.dtype == np.float32:
        return array
    copy = backend.empty(array.shape, np.float32)
    backend.resample(array, copy, None, ClampedAffine(), ClampedAffine())
    return copy


def as_float32_bytes(field: FieldState) -> int:
    """Bytes of that copy."""
    return 0 if field.dtype == np.float32 else 4 * field.channels * math.prod(field.shape)
