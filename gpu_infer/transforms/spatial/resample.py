"""What the transforms that change the sampling share: interpolation, corner convention and tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from pydantic import field_validator

from gpu_infer.backends.base.backend import Tables
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.base import FieldsArguments, Interpolation, Regrid
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.grid_limit import MOST_SAMPLES, check_grid
from gpu_infer.volume.geometry import Shape3


class ResampleArguments(FieldsArguments):
    """`interpolation` has precedence over `is_label`; without it labels take "nearest" and images "linear"."""

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
        interpolation: Interpolation | None = self.args.interpolation
        return interpolation or ("nearest" if self.args.is_label else "linear")

    @property
    def align_corners(self) -> bool:
        return bool(self.args.align_corners)

    @abstractmethod
    def target_shape(self, field: FieldState) -> Shape3:
        """(X', Y', Z') for a field's current grid."""

    def tables(self, field: FieldState) -> tuple[Shape3, Tables]:
        try:
            shape = self.target_shape(field)
        except (OverflowError, ZeroDivisionError):  # more voxels than a float64 can represent
            raise ConfigError(
                f"{self.place}: {field.shape} voxels become more than 10^308 along an axis, "
                f"expected at most {MOST_SAMPLES}",
                remedy="check the target, and the spacing in the file",
            ) from None
        check_grid(self.place, field.shape, shape)
        table = nearest_table if self.interpolation == "nearest" else linear_table
        x, y, z = (table(n, m, align_corners=self.align_corners) for n, m in zip(field.shape, shape, strict=True))
        return shape, (x, y, z)
