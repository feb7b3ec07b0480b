"""NormalizeIntensity: the z-score, of all voxels or of those that are not background."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.measured_parts import MeasuredParts, MeasuredPartsArguments
from gpu_infer.transforms.intensity.moments import finite_moments


class NormalizeIntensity(MeasuredParts):
    """(x − mean) / std, with the population standard deviation, 1 if it is 0.

    With `nonzero`, mean and deviation are those of the voxels that are not 0, and voxels that are 0 stay 0.
    """

    name = "NormalizeIntensity"

    class Args(MeasuredPartsArguments):
        nonzero: Flag = False

    @property
    def nonzero_only(self) -> bool:
        return bool(self.args.nonzero)

    def measure(self, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        moments = finite_moments(self, part, field, backend, nonzero_only=self.nonzero_only)
        divisor = moments.std or 1.0
        return ClampedAffine(1.0 / divisor, -moments.mean / divisor)
