"""ClipIntensityPercentiles: limit values to percentiles of the values that occur."""

from __future__ import annotations

import math
from typing import Self

from pydantic import model_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.measured_parts import MeasuredParts, MeasuredPartsArguments
from gpu_infer.transforms.intensity.percentiles import Percent, finite_percentiles


class ClipIntensityPercentiles(MeasuredParts):
    """min(max(x, percentile `lower`), percentile `upper`); without one of them, values have no limit on that side.

    Percentiles are those of all voxels, background included, with linear interpolation.
    """

    name = "ClipIntensityPercentiles"

    class Args(MeasuredPartsArguments):
        lower: Percent | None = None
        upper: Percent | None = None

        @model_validator(mode="before")
        @classmethod
        def _hard(cls, arguments: object) -> object:
            if isinstance(arguments, dict) and arguments.get("sharpness_factor") is not None:
                raise ValueError('"sharpness_factor" (soft clipping) is not supported: leave it out for hard limits')
            return arguments

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.lower is None and self.upper is None:
                raise ValueError("expected lower, upper or both")
            if self.lower is not None and self.upper is not None and self.upper < self.lower:
                raise ValueError(f"expected upper of at least lower, found {self.upper:g} and {self.lower:g}")
            return self

    def measure(self, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        lower, upper = self.args.lower, self.args.upper
        low, high = finite_percentiles(self, part, field, backend, (lower or 0.0, 100.0 if upper is None else upper))
        return ClampedAffine(
            low=-math.inf if lower is None else low,
            high=math.inf if upper is None else high,
        )
