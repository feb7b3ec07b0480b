"""ScaleIntensityRange: map one intensity range to another."""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Flag, Number
from gpu_infer.transforms.base import FieldsArguments, Pointwise
from gpu_infer.transforms.field import FieldState


class ScaleIntensityRange(Pointwise):
    """(x − a_min) / (a_max − a_min) · (b_max − b_min) + b_min, then clipped to [b_min, b_max] with `clip`."""

    name = "ScaleIntensityRange"

    class Args(FieldsArguments):
        a_min: Number
        a_max: Number
        b_min: Number
        b_max: Number
        clip: Flag = False

        @field_validator("a_max")
        @classmethod
        def _not_empty(cls, value: float, info: ValidationInfo) -> float:
            if value == info.data.get("a_min"):
                raise ValueError("expected a number other than a_min, by whose distance it divides")
            return value

    def function(self, field: FieldState) -> ClampedAffine:
        a = self.args
        scale = (a.b_max - a.b_min) / (a.a_max - a.a_min)
        if not a.clip:
            return ClampedAffine(scale, a.b_min, centre=a.a_min)
        return ClampedAffine(scale, a.b_min, min(a.b_min, a.b_max), max(a.b_min, a.b_max), centre=a.a_min)
