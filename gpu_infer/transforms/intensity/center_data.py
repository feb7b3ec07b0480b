"""CenterData: subtract and divide."""

from __future__ import annotations

from pydantic import field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.base import FieldsArguments, Measured
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.moments import finite_moments


class CenterData(Measured):
    """(x − subtrahend) / divisor. Defaults come from the whole array, all channels together: the mean, and the
    population standard deviation (1 if it is 0)."""

    name = "CenterData"

    class Args(FieldsArguments):
        subtrahend: Number | None = None
        divisor: Number | None = None

        @field_validator("divisor")
        @classmethod
        def _not_zero(cls, value: float | None) -> float | None:
            if value == 0:
                raise ValueError("expected a number other than 0, by which it divides")
            return value

    @property
    def needs_array(self) -> bool:
        return self.args.subtrahend is None or self.args.divisor is None

    def function(self, field: FieldState) -> ClampedAffine:
        return _center(self.args.subtrahend, self.args.divisor)

    def measure(self, array: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        moments = finite_moments(self, array, field, backend, nonzero_only=False)
        subtrahend, divisor = self.args.subtrahend, self.args.divisor
        return _center(moments.mean if subtrahend is None else subtrahend, divisor or moments.std or 1.0)


def _center(subtrahend: float, divisor: float) -> ClampedAffine:
    return ClampedAffine(1.0 / divisor, centre=subtrahend)
