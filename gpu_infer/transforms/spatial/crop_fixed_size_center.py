"""CropFixedSizeCenter: crop the middle of the grid."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Start
from gpu_infer.transforms.arguments import Triple
from gpu_infer.transforms.base import Crop, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Shape3


class CropFixedSizeCenter(Crop):
    """`size` voxels from index (n − size) // 2 on, per axis X, Y, Z; an axis that is shorter stays as it is.

    RestoreOriginalShape puts the box back into a background of 0.
    """

    name = "CropFixedSizeCenter"

    class Args(FieldsArguments):
        size: Triple

    def box(self, field: FieldState) -> tuple[Start, Shape3]:
        a, b, c = (min(n, size) for n, size in zip(field.shape, self.args.size, strict=True))
        x, y, z = ((n - m) // 2 for n, m in zip(field.shape, (a, b, c), strict=True))
        return (x, y, z), (a, b, c)
