"""The error of transforms that measure an array which has voxels that are not finite."""

from __future__ import annotations

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
