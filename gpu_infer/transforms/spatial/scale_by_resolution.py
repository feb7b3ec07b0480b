"""ScaleByResolution and ScaleBySpacing: resample to a voxel size in mm."""

from __future__ import annotations

from gpu_infer.backends.resampling import resampled_size
from gpu_infer.transforms.arguments import PositiveTriple
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.spatial.resample import Resample, ResampleArguments
from gpu_infer.volume.geometry import Shape3


def _shape(field: FieldState, target: tuple[float, float, float]) -> Shape3:
    x, y, z = (resampled_size(n, s, t) for n, s, t in zip(field.shape, field.spacing, target, strict=True))
    return (x, y, z)


class ScaleByResolution(Resample):
    """size = max(1, round(n · spacing / target)) per axis X, Y, Z, `target_resolution` in mm in that
    order."""

    name = "ScaleByResolution"

    class Args(ResampleArguments):
        target_resolution: PositiveTriple

    def target_shape(self, field: FieldState) -> Shape3:
        return _shape(field, self.args.target_resolution)


class ScaleBySpacing(Resample):
    """ScaleByResolution under its other name, with the target as `target_spacing`."""

    name = "ScaleBySpacing"

    class Args(ResampleArguments):
        target_spacing: PositiveTriple

    def target_shape(self, field: FieldState) -> Shape3:
        return _shape(field, self.args.target_spacing)
