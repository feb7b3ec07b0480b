"""What the transforms that change the sampling share: interpolation, corner convention and tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from pydantic import field_validator

from gpu_infer.backends.base import Tables
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.base import FieldsArguments, Interpolation, Regrid
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Shape3

MOST_SAMPLES = 1 << 20
"""Along an axis: no volume has as many, and the tables of one that had would not fit into memory."""


class ResampleArguments(FieldsArguments):
    """`interpolation` wins over `is_label`; without it labels take "nearest" and images "linear"."""

    is_label: Flag = False
    interpolation: Literal["linear", "nearest"] | None = None
    align_corners: Flag = True

    @field_validator("interpolation", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        if value not in ("linear", "nearest", None):
            raise ValueError('expected "linear" or "nearest"')
        return value


class Resample(Regrid):
    """A regrid to a target shape. Linear values equal `scipy.ndimage.zoom(order=1, mode="nearest",
    grid_mode=False)`, nearest ones order 0; `align_corners` false gives half-pixel centres
    (grid_mode=True)."""

    Args = ResampleArguments

    @property
    def interpolation(self) -> Interpolation:
        chosen: Interpolation | None = self.args.interpolation
        return chosen or ("nearest" if self.args.is_label else "linear")

    @property
    def align_corners(self) -> bool:
        return bool(self.args.align_corners)

    @abstractmethod
    def target_shape(self, field: FieldState) -> Shape3:
        """(X', Y', Z') for a field's current grid."""

    def tables(self, field: FieldState) -> tuple[Shape3, Tables]:
        shape = self.target_shape(field)
        if max(shape) > MOST_SAMPLES:
            raise ConfigError(
                f"{self.place}: {field.shape} voxels become {shape}, expected at most {MOST_SAMPLES} along an axis",
                remedy="check the target, and the spacing in the file",
            )
        make = nearest_table if self.interpolation == "nearest" else linear_table
        x, y, z = (make(n, m, align_corners=self.align_corners) for n, m in zip(field.shape, shape, strict=True))
        return shape, (x, y, z)
