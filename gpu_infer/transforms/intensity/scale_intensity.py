"""ScaleIntensity: map the range of the values that occur to another one."""

from __future__ import annotations

import math

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import not_finite
from gpu_infer.transforms.intensity.measured_parts import MeasuredParts, MeasuredPartsArguments


class ScaleIntensity(MeasuredParts):
    """(x − min) / (max − min) · (maxv − minv) + minv, limited to minv and maxv against rounding.

    If all values are equal, they become minv.
    """

    name = "ScaleIntensity"

    class Args(MeasuredPartsArguments):
        minv: Number = 0.0
        maxv: Number = 1.0

    def measure(self, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        low, high, has_nan = backend.extrema(part)
        if has_nan or not (math.isfinite(low) and math.isfinite(high)):
            raise not_finite(self, field, "range")
        first, last = self.args.minv, self.args.maxv
        scale = (last - first) / (high - low) if high > low else 0.0
        return ClampedAffine(scale, first, min(first, last), max(first, last), centre=low)
