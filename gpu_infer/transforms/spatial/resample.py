"""What the transforms that change the sampling share: interpolation, placement of the samples, and tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from pydantic import field_validator, model_validator

from gpu_infer.backends.base.backend import Backend, Tables
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.backends.taps import TapTable, TapTables, cubic_table, tap_table
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.base import FieldsArguments, Regrid, RegridInterpolation
from gpu_infer.transforms.field import Fields, FieldState, Position
from gpu_infer.transforms.grid_limit import MOST_SAMPLES, check_grid
from gpu_infer.transforms.recipe import Recipe
from gpu_infer.volume.geometry import Shape3

_NAMES = ("linear", "nearest", "cubic")

AxisInterpolations = tuple[RegridInterpolation, RegridInterpolation, RegridInterpolation]


class ResampleArguments(FieldsArguments):
    """`interpolation` has precedence over `is_label`; without it labels take "nearest" and images "linear"."""

    is_label: Flag = False
    interpolation: RegridInterpolation | AxisInterpolations | None = None
    align_corners: Flag = True
    clip: Flag = False

    @field_validator("interpolation", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        axes = value if isinstance(value, (list, tuple)) else [value] * 3
        if value is not None and (len(axes) != 3 or any(axis not in _NAMES for axis in axes)):
            raise ValueError('expected "linear", "nearest" or "cubic", or 3 of them for X, Y, Z')
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _clip_of_cubic(self) -> Self:
        if self.clip and "cubic" not in (self.interpolation or ()):
            raise ValueError(
                '"clip" limits values of cubic interpolation: leave it out, or set "interpolation": "cubic"'
            )
        return self


class Resample(Regrid):
    """A regrid to a target shape. Values equal `scipy.ndimage.zoom(mode="nearest", grid_mode=False)` of order 1 if
    linear, 0 if nearest, 3 if cubic; `align_corners` false gives half-pixel centres (grid_mode=True). Cubic values can
    exceed the range of the input; `clip` limits them to it."""

    Args = ResampleArguments

    @property
    def interpolations(self) -> AxisInterpolations:
        """That of X, Y and Z."""
        chosen: RegridInterpolation | AxisInterpolations | None = self.args.interpolation
        if chosen is None:
            chosen = "nearest" if self.args.is_label else "linear"
        return (chosen, chosen, chosen) if isinstance(chosen, str) else chosen

    @property
    def interpolation(self) -> RegridInterpolation:
        x, y, z = self.interpolations
        return x if x == y == z else "cubic"

    @property
    def align_corners(self) -> bool:
        return bool(self.args.align_corners)

    @abstractmethod
    def target_shape(self, field: FieldState) -> Shape3:
        """(X', Y', Z') for a field's current grid."""

    def tables(self, field: FieldState) -> tuple[Shape3, Tables | TapTables]:
        try:
            shape = self.target_shape(field)
        except (OverflowError, ZeroDivisionError):  # more voxels than a float64 can represent
            raise ConfigError(
                f"{self.place}: {field.shape} voxels become more than 10^308 along an axis, "
                f"expected at most {MOST_SAMPLES}",
                remedy="check the target, and the spacing in the file",
            ) from None
        check_grid(self.place, field.shape, shape)
        steps = self.sample_steps(field)
        if self.interpolation == "cubic":
            a, b, c = (self._taps(axis, field, shape, steps) for axis in range(3))
            return shape, (a, b, c)
        table = nearest_table if self.interpolation == "nearest" else linear_table
        x, y, z = (
            table(n, m, align_corners=self.align_corners, step=steps and steps[axis])
            for axis, (n, m) in enumerate(zip(field.shape, shape, strict=True))
        )
        return shape, (x, y, z)

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        super().add_to_pass(recipe, fields, field, backend)
        if self.args.clip and recipe.tables is not None and backend is not None:
            array = fields[field].array
            extrema = backend.extrema(array if recipe.window is None else array[(slice(None), *recipe.window)])
            if extrema.low <= extrema.high:
                recipe.limit(extrema.low, extrema.high)

    def _taps(self, axis: int, field: FieldState, shape: Shape3, steps: Position | None) -> TapTable:
        name, step = self.interpolations[axis], steps and steps[axis]
        if name == "cubic":
            return cubic_table(field.shape[axis], shape[axis], self.align_corners, step)
        table = nearest_table if name == "nearest" else linear_table
        return tap_table(table(field.shape[axis], shape[axis], self.align_corners, step))
