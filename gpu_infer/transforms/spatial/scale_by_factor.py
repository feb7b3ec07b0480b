"""ScaleByFactor: resample by a factor per axis."""

from __future__ import annotations

from gpu_infer.transforms.arguments import Factors
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.spatial.resample import Resample, ResampleArguments
from gpu_infer.volume.geometry import Shape3


class ScaleByFactor(Resample):
    """size = max(1, round(n · factor)) per axis X, Y, Z; one factor for all axes, or three."""

    name = "ScaleByFactor"

    class Args(ResampleArguments):
        factor: Factors

    def target_shape(self, field: FieldState) -> Shape3:
        x, y, z = (max(1, round(n * f)) for n, f in zip(field.shape, self.args.factor, strict=True))
        return (x, y, z)
