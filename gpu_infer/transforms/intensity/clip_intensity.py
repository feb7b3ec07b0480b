"""ClipIntensity: limit values to a range."""

from __future__ import annotations

import math
from typing import Self

from pydantic import ValidationInfo, field_validator, model_validator

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.base import FieldsArguments, Pointwise
from gpu_infer.transforms.field import FieldState


class ClipIntensity(Pointwise):
    """min(max(x, minv), maxv); without one of them, values have no limit on that side."""

    name = "ClipIntensity"

    class Args(FieldsArguments):
        minv: Number | None = None
        maxv: Number | None = None

        @field_validator("maxv")
        @classmethod
        def _above(cls, value: float | None, info: ValidationInfo) -> float | None:
            low = info.data.get("minv")
            if value is not None and low is not None and value <= low:
                raise ValueError("expected a number above minv")
            return value

        @model_validator(mode="after")
        def _any(self) -> Self:
            if self.minv is None and self.maxv is None:
                raise ValueError("expected minv, maxv or both")
            return self

    def function(self, field: FieldState) -> ClampedAffine:
        low, high = self.args.minv, self.args.maxv
        return ClampedAffine(low=-math.inf if low is None else low, high=math.inf if high is None else high)
