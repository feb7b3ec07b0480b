"""Transforms that need finite voxels: the check, and its error."""

from __future__ import annotations

import math

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.errors import InputError
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.field import FieldState


def not_finite(transform: Transform, field: FieldState, measure: str) -> InputError:
    """`measure` is what they are measured for: "mean", "range", …"""
    return InputError(
        f"{transform.place}: {field.name!r} has voxels that are NaN or infinite, expected finite ones to take the "
        f"{measure} of",
        remedy='give LoadNifti "nan": 0, clip with ClipIntensity before, or repair the volume',
    )


def check_finite(
    transform: Transform, array: Array, field: FieldState, backend: Backend, measure: str
) -> tuple[float, float]:
    """The least and the greatest number of [C, X, Y, Z]. Raises `not_finite`."""
    low, high, has_nan = backend.extrema(array)
    if has_nan or not (math.isfinite(low) and math.isfinite(high)):
        raise not_finite(transform, field, measure)
    return low, high
