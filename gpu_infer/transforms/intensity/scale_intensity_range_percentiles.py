"""ScaleIntensityRangePercentiles: map the range between two percentiles to another range."""

from __future__ import annotations

import logging
from typing import Self

from pydantic import model_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Flag, Number
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.measured_parts import MeasuredParts, MeasuredPartsArguments
from gpu_infer.transforms.intensity.percentiles import Percent, finite_percentiles

log = logging.getLogger(__name__)


class ScaleIntensityRangePercentiles(MeasuredParts):
    """ScaleIntensityRange with a_min and a_max that are the percentiles `lower` and `upper` of all voxels.

    With `relative`, they become those percentiles of the range [b_min, b_max] instead of its ends. Percentiles are
    those of all voxels, background included, with linear interpolation. If both are equal, only the distance between
    them and b_min is added, without limits, as MONAI does, and a warning is logged.
    """

    name = "ScaleIntensityRangePercentiles"

    class Args(MeasuredPartsArguments):
        lower: Percent
        upper: Percent
        b_min: Number
        b_max: Number
        clip: Flag = False
        relative: Flag = False

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.upper <= self.lower:
                raise ValueError(f"expected upper above lower, found {self.upper:g} and {self.lower:g}")
            return self

    def measure(self, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        a = self.args
        low, high = finite_percentiles(self, part, field, backend, (a.lower, a.upper))
        first, last = a.b_min, a.b_max
        if a.relative:
            first, last = (a.b_min + (a.b_max - a.b_min) * (percent / 100) for percent in (a.lower, a.upper))
        if high == low:
            log.warning(
                "%s: percentiles %g and %g of %r are both %g, values are shifted and not scaled",
                self.place,
                a.lower,
                a.upper,
                field.name,
                low,
            )
            return ClampedAffine(1.0, first, centre=low)
        scale = (last - first) / (high - low)
        if not a.clip:
            return ClampedAffine(scale, first, centre=low)
        return ClampedAffine(scale, first, min(first, last), max(first, last), centre=low)
