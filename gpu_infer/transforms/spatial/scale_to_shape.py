"""ScaleToShape: resample to a number of voxels per axis."""

from __future__ import annotations

from gpu_infer.transforms.arguments import Shape
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.spatial.resample import Resample, ResampleArguments
from gpu_infer.volume.geometry import Shape3


class ScaleToShape(Resample):
    """Exactly `target_shape` voxels along X, Y, Z; it has no entry for channels, whatever their axis is."""

    name = "ScaleToShape"

    class Args(ResampleArguments):
        target_shape: Shape

    def target_shape(self, field: FieldState) -> Shape3:
        shape: Shape3 = self.args.target_shape
        return shape
